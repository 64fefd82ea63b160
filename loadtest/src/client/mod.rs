//! Who takes an append: the event-store, the raw log, or an echo.

mod http;
mod import;
mod raw;

use spina_testkit::history::Outcome;

use crate::script::Script;

pub use http::HttpClient;
pub use import::import;
pub use raw::{Grouping, RawClient, RawLog};

/// Sends appends, one at a time.
pub trait Client: Send + 'static {
    /// Sends request `n` and waits for its answer.
    ///
    /// # Errors
    /// When there was no answer to make sense of. That ends the run; a refusal is an outcome.
    fn append(&mut self, script: &Script, n: u64) -> impl Future<Output = anyhow::Result<Outcome>> + Send;
}
