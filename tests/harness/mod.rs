//! What system tests stand on: servers of their own, services as child processes, and clients of all kinds.
//!
//! - [`stack`]: the servers, started by `dev/with-servers` around the whole run.
//! - [`context`]: a bounded context of a test's own. [`world`]: its event-store and projector. [`flights`]: the demo.
//! - [`service`]: one service process, to be killed or stopped at will.
//! - [`spina`], [`http`], [`sse`], [`tools`]: the command line, HTTP, server-sent events, kcat and Kafka's Java tools.
//! - [`history`]: what the log holds in the end, and whether it may.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "what is wrong here fails a test by panicking")]

pub mod context;
pub mod flights;
pub mod history;
pub mod http;
pub mod service;
pub mod spina;
pub mod sse;
pub mod stack;
pub mod tools;
pub mod world;

use std::time::{Duration, Instant};

/// Longest that anything may take that should happen soon. Generous: machines of tests are slow and shared.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks until there is an answer; panics when there is none in [`PATIENCE`].
pub async fn eventually<T>(what: &str, ask: impl AsyncFnMut() -> Option<T>) -> T {
    eventually_within(PATIENCE, what, ask).await
}

/// Asks until there is an answer; panics when there is none in time.
pub async fn eventually_within<T>(patience: Duration, what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within {patience:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
