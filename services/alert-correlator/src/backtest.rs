//! Rules over history: the same engine, a log that is read once, and nobody is told or asked.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use spina_core::correlation::Signal;
use spina_core::{ContextName, Timestamp};
use spina_log::{LogConfig, LogReader, ReaderOptions, Start, names};

use crate::correlate::{Engine, Input};
use crate::journal::Journal;
use crate::route;
use crate::rules::Wanted;

/// Most signals of one back-test or lesson: about 300 bytes each.
pub const SIGNALS_MAX: usize = 1_000_000;
/// Incidents that are told in full.
const INCIDENTS_SHOWN: usize = 1_000;

/// Where history is read.
#[derive(Clone)]
pub struct History {
    /// The log.
    pub log: LogConfig,
    /// Decodes.
    pub journal: Arc<Journal>,
}

/// Runs the rules over the events of a context, from an instant to another.
///
/// # Errors
/// When the log cannot be read, or there are more signals than a back-test takes.
pub async fn run(
    history: &History,
    wanted: Wanted,
    context: &str,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
) -> anyhow::Result<Value> {
    let parts = wanted.sources.get(context).copied().unwrap_or(0);
    let began = Instant::now();
    let (mut signals, events) = read(history, &wanted, context, parts).await?;
    signals.retain(|signal| from.is_none_or(|from| from <= signal.time) && to.is_none_or(|to| signal.time < to));
    let read = began.elapsed();
    let mut judged = judge(&wanted, signals, events);
    judged["took"] = json!({
        "read_seconds": read.as_secs_f64(),
        "correlate_seconds": (began.elapsed() - read).as_secs_f64(),
    });
    Ok(judged)
}

/// The engine after some signals and the end of everything that they opened. Their order does not matter: it goes by event
/// time.
pub fn replayed(wanted: &Wanted, mut signals: Vec<Signal>) -> Engine {
    signals.sort_by(|a, b| (a.time, &a.id).cmp(&(b.time, &b.id)));
    let last = signals.last().map(|signal| signal.time).unwrap_or_default();
    let mut engine = Engine::default();
    // In order already, so one part will do.
    let sources = wanted.sources.keys().map(|source| (source.clone(), 1)).collect();
    let files = wanted.set.texts.clone();
    engine.take(Input::RulesChanged { files, sources }, Timestamp::default());
    for mut signal in signals {
        signal.part = 0;
        engine.take(Input::SignalTaken(signal), last);
    }
    // Whatever is open ends by itself.
    let end = Timestamp::from_micros(last.micros() + spina_rules::correlation::SPAN_MAX).unwrap_or(last);
    engine.take(Input::ClockTicked { now: end }, end);
    engine
}

/// What some signals would have led to.
fn judge(wanted: &Wanted, signals: Vec<Signal>, events: u64) -> Value {
    let count = signals.len();
    let engine = replayed(wanted, signals);
    let mut kept: Vec<_> = engine.incidents().iter().collect();
    kept.sort_by_key(|kept| (kept.incident.opened_at, kept.incident.id.clone()));
    let incidents = kept.len();
    let actions: u64 = engine.costs().values().map(|cost| cost.actions).sum();
    let shown: Vec<Value> = kept.iter().take(INCIDENTS_SHOWN).map(|kept| json!(kept.incident)).collect();
    let noise = if count == 0 { 0.0 } else { 1.0 - incidents as f64 / count as f64 };
    json!({
        "events": events,
        "signals": count,
        "incidents": incidents,
        "actions": actions,
        "noise_removed": noise,
        "account": engine.account(),
        "rules": engine.costs(),
        "found": shown,
    })
}

async fn read(history: &History, wanted: &Wanted, context: &str, parts: u32) -> anyhow::Result<(Vec<Signal>, u64)> {
    let (mut signals, mut events) = (Vec::new(), 0);
    let name: ContextName = context.parse().context("read the context's name")?;
    let starts = (0..parts).filter_map(|part| Some((i32::try_from(part).ok()?, Start::Earliest))).collect();
    let options = ReaderOptions { stop_at_end: true, ..ReaderOptions::default() };
    let mut reader = LogReader::open(&history.log, &names::events_topic(&name), starts, options)?;
    while let Some(batch) = reader.next().await {
        for record in batch.context("read the history")?.records {
            events += 1;
            let routed = route::routed(&record, context, &wanted.set, history.journal.schemas()).await;
            signals.extend(routed.unwrap_or_default().signals);
            ensure!(signals.len() <= SIGNALS_MAX, "more than {SIGNALS_MAX} signals: ask for less at a time");
        }
    }
    Ok((signals, events))
}
