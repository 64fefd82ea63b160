//! The event-store as a library: the stock service, with code of the user's own.

use std::process::ExitCode;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use spina_core::aggregate::Typed;
use spina_core::upcast::Upcaster;
use spina_core::{Decider, Rejection};
use spina_runtime::readings::InRust;

use crate::deciders::Coded;
use crate::wiring;

/// The event-store with deciders and upcasters of your own:
///
/// ```no_run
/// # use spina_core::{Decider, Rejection};
/// # struct Account;
/// # impl Decider for Account {
/// #     type State = std::collections::BTreeMap<String, i64>; type Command = String; type Event = String;
/// #     type Rejection = Rejection;
/// #     fn initial(&self) -> Self::State { Default::default() }
/// #     fn decide(&self, _: &Self::State, _: &String) -> Result<Vec<String>, Rejection> { Ok(Vec::new()) }
/// #     fn evolve(&self, state: Self::State, _: &String) -> Self::State { state }
/// # }
/// fn main() -> std::process::ExitCode {
///     event_store::Service::new().decider("bank", "account", Account).run()
/// }
/// ```
#[derive(Default)]
pub struct Service {
    code: InCode,
}

/// What the user has in Rust.
#[derive(Default)]
pub struct InCode {
    /// What decides.
    pub deciders: Coded,
    /// What reads older events.
    pub upcasters: InRust,
}

impl Service {
    /// The stock service: it goes by what the topology declares.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets this decider decide for an aggregate, whose commands `context.yaml` lists by name.
    #[must_use]
    pub fn decider<D>(mut self, context: &str, aggregate: &str, decider: D) -> Self
    where
        D: Decider<Rejection = Rejection> + Send + Sync + 'static,
        D::State: Serialize + DeserializeOwned,
        D::Command: DeserializeOwned,
        D::Event: Serialize + DeserializeOwned,
    {
        self.code.deciders.insert((context.to_owned(), aggregate.to_owned()), Arc::new(Typed(decider)));
        self
    }

    /// Reads older events of a context with this upcaster, after the steps of `upcasters.yaml`. Give the projector the
    /// same ones: its read models are filled from the same log.
    #[must_use]
    pub fn upcaster(mut self, context: &str, upcaster: impl Upcaster + 'static) -> Self {
        self.code.upcasters.push((context.to_owned(), Arc::new(upcaster)));
        self
    }

    /// Runs the service until it is told to stop. The exit code is for `main` to give.
    pub fn run(self) -> ExitCode {
        let code = Arc::new(self.code);
        spina_runtime::run("event-store", env!("CARGO_PKG_VERSION"), |ctx| wiring::build(ctx, code))
    }
}
