//! `gate`: a mixed load through faults, on servers that `dev/with-servers` has started for it alone.
//!
//! ```text
//! dev/with-servers target/release/gate --seconds 600 --seed 7
//! ```
//!
//! Exit status 1 if an invariant was broken. The reports are in `target/gate`.
#![allow(clippy::print_stdout, reason = "the report is what it is for")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use spina_tests::gate::nemesis::schedule::Scenario;
use spina_tests::gate::report;
use spina_tests::gate::run::{Gate, Settings};
use spina_tests::gate::swarm::Sizes;

/// Faults while events are appended, and whether anything was lost, doubled or torn
#[derive(Debug, Parser)]
struct Args {
    /// What goes wrong
    #[arg(long, value_enum, default_value = "mixed")]
    scenario: Name,
    /// How long
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// The same seed gives the same schedule
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Brokers: 1, or 3 with everything replicated
    #[arg(long, default_value_t = 3)]
    brokers: usize,
    /// Event-store processes
    #[arg(long, default_value_t = 3)]
    stores: usize,
    /// Partitions
    #[arg(long, default_value_t = 12)]
    partitions: i32,
    /// Clients that import
    #[arg(long, default_value_t = 3)]
    importers: u32,
    /// How soon after the last fault every client must succeed, in seconds
    #[arg(long, default_value_t = 15)]
    liveness_s: u64,
    /// Fewer events acknowledged than this is a failure
    #[arg(long, default_value_t = 0)]
    events_min: u64,
    /// Where the reports go
    #[arg(long, default_value = "target/gate")]
    out: PathBuf,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Name {
    Mixed,
    Failover,
    Calm,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let scenario = match args.scenario {
        Name::Mixed => Scenario::Mixed,
        Name::Failover => Scenario::FailOver,
        Name::Calm => Scenario::Calm,
    };
    let sizes = Sizes {
        writers: 8,
        contenders: 4,
        repeaters: 2,
        publishers: 6,
        importers: args.importers,
        import_lines: 2_000,
        followers: 2,
    };
    let settings = Settings {
        seed: args.seed,
        brokers: args.brokers,
        stores: args.stores,
        partitions: args.partitions,
        sizes,
        projector: true,
        liveness_limit: Duration::from_secs(args.liveness_s),
    };
    let gate = Gate::open(settings).await;
    let mut ended = gate.run(scenario, Duration::from_secs(args.seconds), Duration::from_secs(15)).await;
    if ended.acknowledged < args.events_min {
        ended.verdict.add(format!("I15: {} events acknowledged, not {}", ended.acknowledged, args.events_min));
    }
    let name = format!("{:?}-{}", args.scenario, args.seed).to_lowercase();
    let document = report::document(&name, args.seed, &ended);
    match report::write(&args.out, &name, &document) {
        Ok(text) => println!("{text}report: {}", args.out.join(format!("{name}.json")).display()),
        Err(error) => println!("{document}\ncannot keep the report: {error}"),
    }
    ExitCode::from(u8::from(ended.verdict.count > 0))
}
