//! alert-correlator: turns floods of alerts and events into few incidents, explained and repeatable.
//!
//! ```text
//! <ctx>.events.v1, monitoring.alerts.v1 --route--> spina.signals.v1 (the journal) --correlate--> spina.incidents.v1 --notify--> receivers
//!                                                                           `--> <ctx>.commands.v1 (actions)
//! HTTP: alerts, silences, what people say ----------^      ^-- clock, rules
//! ```
//!
//! Everything that a decision depends on is a record of the journal: signals, readings of the clock, the rules' text. So a
//! start replays the journal and knows what it knew; what is in the incidents topic already is not written again.

mod acting;
mod backtest;
mod clock;
mod config;
mod correlate;
mod http;
mod incidents;
mod journal;
mod learn;
mod metrics;
mod notify;
mod probe;
mod route;
mod rules;
mod wiring;

use std::process::ExitCode;

fn main() -> ExitCode {
    spina_runtime::run("alert-correlator", env!("CARGO_PKG_VERSION"), wiring::build)
}
