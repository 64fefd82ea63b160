//! Learning from the journal: what comes together becomes a draft of rules, tried on the same history. Nothing of it is put
//! in force here.

mod draft;

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use spina_core::Timestamp;
use spina_core::correlation::learning::{Idea, Thresholds, learn};
use spina_core::correlation::{Kind, Labels, Signal};
use spina_log::{LogReader, ReaderOptions, Start, names};
use spina_rules::correlation::{Inhibit, matches_all};

use crate::backtest::{History, SIGNALS_MAX, replayed};
use crate::correlate::{Engine, Input, labels_of};
use crate::journal::PARTITION;
use crate::rules::Files;

/// What is to be learned from.
#[derive(Debug, Clone)]
pub struct Lesson {
    /// The contexts whose signals are looked at; the draft is for the first.
    pub contexts: Vec<String>,
    /// Signals from this instant on.
    pub from: Option<Timestamp>,
    /// Signals before this instant.
    pub to: Option<Timestamp>,
    /// What is worth a proposal.
    pub thresholds: Thresholds,
}

/// Reads the journal, learns, and tries the draft.
///
/// # Errors
/// When the log cannot be read, there are more signals than a lesson takes, or the draft cannot be used.
pub async fn run(history: &History, files: &Files, lesson: &Lesson) -> anyhow::Result<Value> {
    let begun = read(history, lesson).await?;
    taught(files, lesson, begun)
}

/// What some signals teach, in the order of their time.
fn taught(files: &Files, lesson: &Lesson, signals: Vec<Signal>) -> anyhow::Result<Value> {
    let learned = learn(&signals, &lesson.thresholds);
    let context = &lesson.contexts[0];
    let compile = |text: &str| {
        let mut texts: BTreeMap<String, String> =
            lesson.contexts.iter().map(|context| (context.clone(), String::new())).collect();
        texts.insert(context.clone(), text.to_owned());
        files.compile(&texts).context("use the draft")
    };
    let count = signals.len();
    let plain = draft::of(&learned, context, lesson.thresholds.frame, &[]);
    let wanted = compile(&plain.text)?;
    let engine = replayed(&wanted, signals);
    let inhibit: Vec<&Inhibit> = wanted.set.files.iter().flat_map(|file| &file.inhibit).collect();
    let (mut muting, mut tests, mut notes) = (inhibit.into_iter(), Vec::new(), Vec::new());
    for (proposal, rule) in learned.proposals.iter().zip(&plain.rules) {
        let (test, note) = match (&proposal.idea, rule) {
            (Idea::Inhibition { .. }, _) => {
                let (targets, muted) = muting.next().map(|rule| muted(&engine, rule)).unwrap_or_default();
                let note = format!("back-test: {muted} of {targets} incidents are not told");
                (json!({ "incidents": targets, "muted": muted }), note)
            }
            (Idea::Grouping { .. } | Idea::Sequence { .. }, rule) => {
                let name = format!("{context}/{}", rule.as_deref().unwrap_or_default());
                let cost = engine.costs().get(&name).copied().unwrap_or_default();
                let note = format!("back-test: {} incidents of {} signals", cost.opened, cost.matched);
                (json!({ "incidents": cost.opened, "signals": cost.matched }), note)
            }
        };
        tests.push(test);
        notes.push(note);
    }
    let text = draft::of(&learned, context, lesson.thresholds.frame, &notes).text;
    let mut told = serde_json::to_value(&learned).context("tell what was learned")?;
    for (proposal, test) in told["proposals"].as_array_mut().into_iter().flatten().zip(tests) {
        proposal["backtest"] = test;
    }
    told["thresholds"] = json!(lesson.thresholds);
    told["begun"] = Value::from(count);
    told["draft"] = Value::from(text);
    Ok(told)
}

/// How many incidents an inhibition is about, and how many of them opened while one of its sources was open.
fn muted(engine: &Engine, rule: &Inhibit) -> (usize, usize) {
    let shared = |labels: &Labels| rule.equal.iter().map(|name| labels.get(name).to_owned()).collect::<Vec<String>>();
    let mut sources: HashMap<Vec<String>, Vec<(Timestamp, Timestamp)>> = HashMap::new();
    let mut targets = Vec::new();
    for kept in engine.incidents().iter() {
        let (incident, labels) = (&kept.incident, labels_of(&kept.incident));
        if matches_all(&rule.source, &labels) {
            let over = incident.resolved_at.unwrap_or(incident.updated_at);
            sources.entry(shared(&labels)).or_default().push((incident.opened_at, over));
        }
        if matches_all(&rule.target, &labels) {
            targets.push((shared(&labels), incident.opened_at));
        }
    }
    let is_muted = |(key, opened): &&(Vec<String>, Timestamp)| {
        let open = sources.get(key).into_iter().flatten();
        open.into_iter().any(|(from, to)| from <= opened && opened < to)
    };
    (targets.len(), targets.iter().filter(is_muted).count())
}

/// The signals of the journal as beginnings: each told once, endings left out, in the order of their time.
async fn read(history: &History, lesson: &Lesson) -> anyhow::Result<Vec<Signal>> {
    let options = ReaderOptions { stop_at_end: true, ..ReaderOptions::default() };
    let starts = [(PARTITION, Start::Earliest)].into_iter().collect();
    let mut reader = LogReader::open(&history.log, names::SIGNALS_TOPIC, starts, options)?;
    let (mut begun, mut known) = (Vec::new(), HashSet::new());
    while let Some(batch) = reader.next().await {
        for record in batch.context("read the journal")?.records {
            let Some(Input::SignalTaken(signal)) = history.journal.read(&record).await else { continue };
            let wanted = lesson.contexts.contains(&signal.source)
                && signal.kind != Kind::Resolved
                && lesson.from.is_none_or(|from| from <= signal.time)
                && lesson.to.is_none_or(|to| signal.time < to);
            if wanted && known.insert((signal.source.clone(), signal.id.clone())) {
                begun.push(Signal { kind: Kind::Occurrence, ..signal });
            }
            ensure!(begun.len() <= SIGNALS_MAX, "more than {SIGNALS_MAX} signals: ask for less at a time");
        }
    }
    begun.sort_by(|a, b| (a.time, &a.source, &a.id).cmp(&(b.time, &b.source, &b.id)));
    Ok(begun)
}
