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

use crate::args::Part;
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

/// Runs the trials that are asked for.
pub async fn run(bench: &mut Bench) -> anyhow::Result<Vec<Trial>> {
    let args = bench.args.clone();
    let mut trials = Vec::new();
    for part in Part::value_variants().iter().copied().filter(|part| args.measures(*part)) {
        say(format_args!("trial: {part:?}"));
        match part {
            // They run in rounds, before the trials.
            Part::Appends => {}
            Part::Commands => trials.push(commands::run(bench).await?),
            Part::Priority => trials.push(priority::run(bench).await?),
            Part::Reads => trials.push(reading::run(bench).await?),
            Part::Archive => trials.push(archiving::run(bench).await?),
            Part::Projector => trials.push(projecting::run(bench).await?),
            Part::Correlation => trials.extend(correlating::run(bench).await?),
            Part::Sagas => trials.extend(stepping::run(bench).await?),
            Part::TakeOver => trials.push(taking_over::run(bench).await?),
        }
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
