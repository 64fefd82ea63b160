//! The command line.

use std::time::Duration;

use clap::{Parser, ValueEnum};

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
    /// Records that wait in the commands topic
    #[arg(long, default_value_t = 500_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub command_records: u64,
    /// Streams of the partition that is taken over; a tenth as many events are never archived
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(10..=20_000_000))]
    pub streams: u64,
    /// Signals that go through a hundred correlation rules
    #[arg(long, default_value_t = 400_000, value_parser = clap::value_parser!(u64).range(20_000..=1_000_000))]
    pub signals: u64,
    /// Sagas that run at a time, of five steps each
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub sagas: u64,
    /// Seed of keys and payloads
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Only these parts, separated by commas; all of them if none is named
    #[arg(long, value_enum, value_delimiter = ',')]
    pub only: Vec<Part>,
    /// One short round, to see that it works; the figures mean nothing
    #[arg(long)]
    pub smoke: bool,
}

/// What can be measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Appends and imports beside their floors, in rounds
    Appends,
    /// The commands topic beside a raw copy
    Commands,
    /// Priority events beside others
    Priority,
    /// Reads of streams
    Reads,
    /// The archive beside COPY
    Archive,
    /// Read models
    Projector,
    /// Correlation rules
    Correlation,
    /// Sagas beside bare hops
    Sagas,
    /// Taking a partition over, and memory
    TakeOver,
}

impl Args {
    /// Whether a part is to be measured.
    pub fn measures(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    /// The options, cut down if it is only to be seen that it works.
    pub fn effective(mut self) -> Self {
        if self.smoke {
            self.rounds = 1;
            self.seconds = 1;
            self.import_events = self.import_events.min(2_000);
            self.rate = self.rate.min(200);
            self.command_records = self.command_records.min(2_000);
            self.streams = self.streams.min(1_000);
            self.signals = 20_000;
            self.sagas = self.sagas.min(100);
        }
        self
    }

    /// How long an arm runs.
    pub fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}
