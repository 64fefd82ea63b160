//! Retrying calls to neighbours: exponential back-off with jitter, always bounded.
//!
//! ```text
//! use spina_runtime::retry::{self, Retryable};
//! let answer = call.retry(retry::backoff(Duration::from_millis(50), 5)).when(is_transient).await?;
//! ```

use std::time::Duration;

use backon::ExponentialBuilder;

pub use backon::Retryable;

/// Longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Pauses that double from `first` up to 10 s, each with up to its own length of jitter on top, so that many clients
/// of a restarted server do not come back in step.
#[must_use]
pub fn backoff(first: Duration, retries: usize) -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(first)
        .with_max_delay(PAUSE_MAX)
        .with_factor(2.0)
        .with_max_times(retries)
        .with_jitter()
}
