//! alert-correlator: turns alerts and events into incidents.
//!
//! So far only the shell: configuration, health, metrics and an orderly stop. Nothing takes signals or raises incidents
//! yet, so it is ready as soon as it serves, and its API has no paths of its own.

mod config;
mod http;

use std::process::ExitCode;

use spina_runtime::Context;

use crate::config::AlertCorrelatorConfig;

fn main() -> ExitCode {
    spina_runtime::run("alert-correlator", env!("CARGO_PKG_VERSION"), async |_: Context<AlertCorrelatorConfig>| {
        Ok(http::api())
    })
}
