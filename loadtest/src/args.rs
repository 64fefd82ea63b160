//! The command line.

use std::time::Duration;

use clap::Parser;

/// Measures appends to the event-store beside the floor of the same client, and prints one table
///
/// Needs servers: run it as `dev/with-servers cargo run --release -p loadtest --`, or by `make bench`.
#[derive(Debug, Clone, Parser)]
#[command(name = "loadtest")]
pub struct Args {
    /// How often every arm runs; medians and ratios are taken over the rounds
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// How long an arm runs
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: u64,
    /// Events that an import has
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub import_events: u64,
    /// Connections, or clients of the raw log
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub connections: u16,
    /// Appends in a second where they come at a fixed rate
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rate: u32,
    /// Seed of keys and payloads
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// One short round, to see that it works; the figures mean nothing
    #[arg(long)]
    pub smoke: bool,
}

impl Args {
    /// The options, cut down if it is only to be seen that it works.
    pub fn effective(mut self) -> Self {
        if self.smoke {
            self.rounds = 1;
            self.seconds = 1;
            self.import_events = self.import_events.min(2_000);
            self.rate = self.rate.min(200);
        }
        self
    }

    /// How long an arm runs.
    pub fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}
