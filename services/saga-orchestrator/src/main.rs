//! saga-orchestrator: runs sagas, long transactions over several contexts that always end in a named state.
//!
//! ```text
//!   events, replies of all contexts ─▶ route ─▶ spina.saga-inbox.v1 ─▶ react ─▶ spina.sagas.v1, commands
//!   HTTP verbs ─────────────────────────────────────▲                   └─▶ calls ─▶ answers back to react
//! ```
//!
//! Both stages commit their records and the offsets they have read in one transaction. What a saga does is decided by
//! `spina_core::saga`; what it is comes from `topology/<context>/sagas/*.yaml`.

mod calls;
mod config;
mod definitions;
mod http;
mod metrics;
mod react;
mod route;
mod sagas;
mod snapshots;
mod views;
mod wire;
mod wiring;

use std::process::ExitCode;

fn main() -> ExitCode {
    spina_runtime::run("saga-orchestrator", env!("CARGO_PKG_VERSION"), wiring::build)
}
