//! What system tests stand on: servers of their own, services as child processes, and clients of all kinds.
//!
//! - [`stack`]: the servers, started by `dev/with-servers` around the whole run.
//! - [`context`]: a bounded context of a test's own. [`world`]: its event-store and projector. [`flights`]: the demo.
//! - [`fleet`]: several event-stores of one context.
//! - [`database`]: PostgreSQL away, killed, or losing answers.
//! - [`service`]: one service process, to be killed or stopped at will.
//! - [`kafka`]: a cluster of a test's own, whose brokers can be killed. [`proxy`]: what can happen to single requests.
//! - [`spina`], [`http`], [`sse`], [`tools`]: the command line, HTTP, server-sent events, kcat and Kafka's Java tools.
//! - [`registry`]: a proxy before the registry, which can be silent, gone or lie.
//! - [`history`]: what the log holds in the end, and whether it may. [`model_topic`]: what a model's topic holds.
//! - [`bookings`]: the built-in saga under another name. [`notices`]: a target of the calls that sagas make.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "what is wrong here fails a test by panicking")]

pub mod bookings;
pub mod connect;
pub mod context;
pub mod database;
pub mod fleet;
pub mod flights;
#[path = "../gate/mod.rs"]
pub mod gate;
pub mod history;
pub mod http;
pub mod kafka;
pub mod model_topic;
pub mod notices;
pub mod openapi;
pub mod pager;
pub mod proxy;
pub mod registry;
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
