//! Figures of an experiment, as text and as JSON under `target/faults/`.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

/// How often an experiment is done: `few` times, or as often as `SPINA_FAULTS` says.
pub fn times(few: usize) -> usize {
    std::env::var("SPINA_FAULTS").map_or(few, |often| often.parse().expect("SPINA_FAULTS is a number"))
}

/// How often an experiment that takes long is done: a fifth of the others.
pub fn few_times(few: usize) -> usize {
    few.max(times(0) / 5)
}

/// Durations, to be told as percentiles.
#[derive(Debug, Default)]
pub struct Times(Vec<Duration>);

impl Times {
    pub fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// Milliseconds: the median, nine tenths, and the longest.
    pub fn figures(&self) -> Value {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let at = |share: f64| {
            let place = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
            sorted.get(place).map(|time| (time.as_secs_f64() * 10_000.0).round() / 10.0)
        };
        json!({ "count": sorted.len(), "p50_ms": at(0.5), "p90_ms": at(0.9), "max_ms": at(1.0) })
    }
}

/// Keeps the figures of an experiment.
pub fn keep(experiment: &str, figures: &Value) {
    let folder = folder();
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(format!("{experiment}.json")), serde_json::to_string_pretty(figures).unwrap()).unwrap();
    let mut files: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut text = String::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "json")) {
        let figures: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        text.push_str(&format!("{}\n", file.file_stem().unwrap().to_string_lossy()));
        for (name, figure) in figures.as_object().unwrap() {
            text.push_str(&format!("    {name:<28} {figure}\n"));
        }
    }
    fs::write(folder.join("report.txt"), text).unwrap();
    println!("{experiment}: {figures}");
}

fn folder() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    own.ancestors().nth(3).expect("tests lie in target/<profile>/deps").join("faults")
}
