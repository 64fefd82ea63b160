//! saga-orchestrator: runs sagas with compensations over the event log.
//!
//! So far only the shell: configuration, health, metrics and an orderly stop. Nothing consumes events or drives sagas
//! yet, so it is ready as soon as it serves, and its API has no paths of its own.

mod config;
mod http;

use std::process::ExitCode;

use spina_runtime::Context;

use crate::config::SagaOrchestratorConfig;

fn main() -> ExitCode {
    spina_runtime::run("saga-orchestrator", env!("CARGO_PKG_VERSION"), async |_: Context<SagaOrchestratorConfig>| {
        Ok(http::api())
    })
}
