//! The projector as a library: the stock service, with upcasters of the user's own.

use std::process::ExitCode;
use std::sync::Arc;

use spina_core::upcast::Upcaster;
use spina_runtime::readings::InRust;

use crate::wiring;

/// The projector, for those who read older events with upcasters in Rust.
#[derive(Default)]
pub struct Service {
    upcasters: InRust,
}

impl Service {
    /// The stock service: it goes by what the topology declares.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads older events of a context with this upcaster, after the steps of `upcasters.yaml`. Give the event-store the
    /// same ones.
    #[must_use]
    pub fn upcaster(mut self, context: &str, upcaster: impl Upcaster + 'static) -> Self {
        self.upcasters.push((context.to_owned(), Arc::new(upcaster)));
        self
    }

    /// Runs the service until it is told to stop. The exit code is for `main` to give.
    pub fn run(self) -> ExitCode {
        let upcasters = Arc::new(self.upcasters);
        spina_runtime::run("projector", env!("CARGO_PKG_VERSION"), |ctx| wiring::build(ctx, upcasters))
    }
}
