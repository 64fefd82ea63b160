//! Trials: what is measured in one go, not beside a floor in every round: the commands topic, priority, reads, the
//! archive, the projector, correlation, sagas, taking a partition over, memory.
//!
//! Each checks what it measured before it tells a figure.

mod archiving;
mod beside;
mod commands;
mod copy;
mod correlating;
mod declaring;
mod hop;
mod priority;
mod projecting;
mod published;
mod reading;
mod stepping;
mod taking_over;

use clap::ValueEnum;
use serde::Serialize;

use crate::bench::Bench;
use crate::say;

/// What came of a trial: rows of figures under a title.
#[derive(Debug, Serialize)]
pub struct Trial {
    /// What was done.
    pub title: String,
    /// What was measured, line by line.
    pub rows: Vec<Row>,
}

/// A line of figures.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Of what.
    pub label: &'static str,
    /// The figures, with their units.
    pub figures: Vec<Figure>,
}

/// A figure.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Figure {
    /// How much.
    pub value: f64,
    /// Of what unit; a latency's also says which share of all is below it.
    pub unit: &'static str,
}

impl Trial {
    fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), rows: Vec::new() }
    }

    fn row(mut self, label: &'static str, figures: impl IntoIterator<Item = (f64, &'static str)>) -> Self {
        let figures = figures.into_iter().map(|(value, unit)| Figure { value, unit }).collect();
        self.rows.push(Row { label, figures });
        self
    }
}

/// The trials, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Name {
    /// The commands topic
    Commands,
    /// Single events beside much other traffic
    Priority,
    /// Reads of streams
    Reads,
    /// The archive
    Archive,
    /// The projector
    Projector,
    /// Correlation
    Correlation,
    /// Sagas
    Sagas,
    /// Take-over and memory
    TakeOver,
}

/// Runs every trial that is asked for.
pub async fn run(bench: &mut Bench) -> anyhow::Result<Vec<Trial>> {
    let mut trials = Vec::new();
    let only = bench.args.only;
    for name in Name::value_variants().iter().filter(|name| only.is_none_or(|only| only == **name)) {
        say(format_args!("trial: {name:?}"));
        trials.extend(match name {
            Name::Commands => vec![commands::run(bench).await?],
            Name::Priority => vec![priority::run(bench).await?],
            Name::Reads => vec![reading::run(bench).await?],
            Name::Archive => vec![archiving::run(bench).await?],
            Name::Projector => vec![projecting::run(bench).await?],
            Name::Correlation => correlating::run(bench).await?,
            Name::Sagas => stepping::run(bench).await?,
            Name::TakeOver => vec![taking_over::run(bench).await?],
        });
    }
    Ok(trials)
}

/// A quantile of latencies in microseconds, in milliseconds.
fn quantiles(latency: &hdrhistogram::Histogram<u64>) -> [(f64, &'static str); 3] {
    let at = |share: f64| latency.value_at_quantile(share) as f64 / 1e3;
    [(at(0.5), "ms p50"), (at(0.99), "ms p99"), (at(0.999), "ms p99.9")]
}

/// The middle one, or the greater of the two in the middle.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
