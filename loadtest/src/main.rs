//! loadtest: append throughput and latency of the running event-store, beside the raw floor of the same client.
//!
//! ```text
//! script (seeded) ─▶ drive (closed, paced, import) ─▶ client (HTTP, raw log, echo) ─▶ measured ─┐
//!                                                              │                                ├─▶ report
//!                                                     log, read back ─▶ history check ──────────┘
//! ```
//!
//! Absolute times say little on a shared machine: every arm runs in every round, and what counts is the median of the
//! ratios within rounds. A run whose check fails prints no figure and exits with 1.

mod args;
mod bench;
mod client;
mod drive;
mod log;
mod machine;
mod measured;
mod report;
mod rng;
mod script;
mod servers;
mod trials;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

#[tokio::main]
async fn main() -> ExitCode {
    let args = args::Args::parse().effective();
    match bench::run(&args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("no figures: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Tells what happens meanwhile, apart from the result on stdout.
fn say(line: std::fmt::Arguments<'_>) {
    // With nobody to hear it, the run goes on.
    let _unheard = writeln!(std::io::stderr(), "{line}");
}
