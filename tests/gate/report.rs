//! The report, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::run::Ended;

/// A kind of client and its answers: `writer` from `writer 12`.
type Counts = BTreeMap<String, BTreeMap<&'static str, u64>>;

/// All figures as one document.
pub fn document(title: &str, seed: u64, ended: &Ended) -> Value {
    let verdict = &ended.verdict;
    json!({
        "run": title,
        "seed": seed,
        "seconds": ended.time.as_secs_f64(),
        "events_acknowledged": ended.acknowledged,
        "events_per_second": ended.acknowledged as f64 / ended.time.as_secs_f64(),
        "events_per_second_before_the_first_fault": ended.calm_rate,
        "operations": counts(ended),
        "faults": ended.happened,
        "recovery_ms": recovery(ended),
        "clients_revived_ms_max": ended.revived.iter().filter_map(|(_, after)| *after).max().map(|it| it.as_millis() as u64),
        "log": { "events": verdict.logged, "streams": verdict.streams },
        "checked": {
            "commands": verdict.commands,
            "states": verdict.states, "rows": verdict.rows, "subscribed_events": verdict.followed,
            "connections": verdict.connections,
        },
        "violations": { "count": verdict.count, "first": verdict.violations },
    })
}

/// Writes `<name>.json` and `<name>.txt` into a folder, and gives the text.
pub fn write(folder: &Path, name: &str, document: &Value) -> std::io::Result<String> {
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join(format!("{name}.json")), serde_json::to_vec_pretty(document)?)?;
    let text = text(document);
    std::fs::write(folder.join(format!("{name}.txt")), &text)?;
    Ok(text)
}

fn counts(ended: &Ended) -> Counts {
    let mut all = Counts::new();
    for journal in &ended.journals {
        let kind = journal.client.split(' ').next().unwrap_or_default().to_owned();
        let of_kind = all.entry(kind).or_default();
        for (outcome, count) in &journal.counts {
            *of_kind.entry(outcome).or_default() += count;
        }
    }
    all
}

/// By kind of fault: how often, and how long until every partition was served again.
fn recovery(ended: &Ended) -> Value {
    let mut by_kind: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for fault in &ended.happened {
        by_kind.entry(fault.fault.name()).or_default().extend(fault.recovered_us.map(|us| us / 1_000));
    }
    let figures = by_kind.into_iter().map(|(kind, mut times)| {
        times.sort_unstable();
        let figures = json!({
            "times": times.len(), "p50": quantile(&times, 0.5), "p99": quantile(&times, 0.99), "max": times.last(),
        });
        (kind.to_owned(), figures)
    });
    Value::Object(figures.collect())
}

/// The smallest value that at least this share does not exceed.
fn quantile(sorted: &[u64], share: f64) -> Option<u64> {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

fn text(document: &Value) -> String {
    let mut text = String::new();
    let mut line = |words: String| writeln!(text, "{words}").expect("a string takes everything");
    let of = |pointer: &str| document.pointer(pointer).cloned().unwrap_or_default();
    let rounded = |pointer: &str| of(pointer).as_f64().unwrap_or_default().round();
    line(format!("{} (seed {}): {} s", of("/run").as_str().unwrap_or_default(), of("/seed"), rounded("/seconds")));
    let (rate, calm) = (rounded("/events_per_second"), rounded("/events_per_second_before_the_first_fault"));
    line(format!("events acknowledged  {}, {rate}/s; {calm}/s before the first fault", of("/events_acknowledged")));
    line(format!("log                  {}", of("/log")));
    line(format!("checked              {}", of("/checked")));
    line("requests by client and outcome".to_owned());
    for (client, outcomes) in of("/operations").as_object().into_iter().flatten() {
        line(format!("  {client:<12} {outcomes}"));
    }
    line("recovery by fault: ms until every partition acknowledged an append again".to_owned());
    for (fault, figures) in of("/recovery_ms").as_object().into_iter().flatten() {
        line(format!("  {fault:<22} {figures}"));
    }
    line(format!("clients revived      {} ms at most after the last fault", of("/clients_revived_ms_max")));
    line(format!("violations           {}", of("/violations/count")));
    for violation in of("/violations/first").as_array().into_iter().flatten() {
        line(format!("  {}", violation.as_str().unwrap_or_default()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::quantile;

    #[test]
    fn quantiles_are_values_that_occurred() {
        let sorted = [1, 2, 3, 4];
        assert_eq!([0.0, 0.5, 0.99].map(|share| quantile(&sorted, share)), [Some(1), Some(2), Some(4)]);
        assert_eq!(quantile(&[], 0.5), None);
    }
}
