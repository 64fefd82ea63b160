//! Learning: which signals come together over a history, in which order, and how far ahead of each other.
//!
//! ```text
//! signals, by time --> begins of items, in each scope --pairs within the frame--> figures --thresholds--> proposals
//! ```
//!
//! An *item* is what a signal is called: its `alertname`, or the name that its context gave it. A burst of one item counts
//! once: it *begins* when the item was not seen for a frame. A *scope* is a label whose value the two must share, such as
//! the host; or none. Support, confidence and lift are those of association rules (Agrawal, Imielinski and Swami, 1993), with
//! frames of time as baskets.
//!
//! What comes of it only proposes: it is an argument, with its figures and examples, for a person to judge.

mod pairs;
mod proposals;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::incident::Evidence;
use super::{Kind, Signal};
use crate::Timestamp;
use pairs::{Begin, Pairs};

/// Most items that are looked at: those with the most signals. So there are at most 40,000 pairs.
pub const ITEMS_MAX: usize = 200;
/// Most labels that are tried as scopes: those of the most items.
pub const SCOPES_MAX: usize = 4;
/// Most values of a label that is tried as a scope: beyond, it is an id and nothing that signals share.
pub const VALUES_MAX: usize = 10_000;
/// Most names of labels that are looked at for scopes.
const LABELS_MAX: usize = 256;
/// Labels that name a signal, in the order in which they are looked for.
const NAMES: [&str; 2] = ["alertname", "signal"];
/// Labels that say how bad it is and not where.
const NOT_SCOPES: [&str; 3] = ["alertname", "signal", "severity"];

/// What a signal is called.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Item {
    /// Who tells.
    pub source: String,
    /// The label that names it.
    pub label: &'static str,
    /// Its name.
    pub name: String,
}

/// From when on a coincidence is worth a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Thresholds {
    /// Signals that lie at most so far apart come together, in microseconds.
    pub frame: i64,
    /// How often at least.
    pub support: u32,
    /// In which share of all cases at least, from 0 to 1.
    pub confidence: f64,
    /// How many times as often as by chance at least.
    pub lift: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { frame: 300_000_000, support: 5, confidence: 0.8, lift: 3.0 }
    }
}

/// How sure it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// How often they came together.
    pub support: u32,
    /// Of how many times that the one came which the proposal is about.
    pub of: u32,
    /// The one over the other.
    pub confidence: f64,
    /// How many times as often as if they had nothing to do with each other.
    pub lift: f64,
    /// How far the first was ahead of the second, in microseconds: the median. Of a grouping: how far apart they were.
    pub lead: i64,
}

/// Two signals that came together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Example {
    /// The one that came first.
    pub first: Evidence,
    /// The one that came then.
    pub then: Evidence,
}

/// What is proposed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "proposes", rename_all = "snake_case")]
pub enum Idea {
    /// They come together, in no order: one incident.
    Grouping {
        /// Two or more.
        items: Vec<Item>,
    },
    /// One announces the other.
    Sequence {
        /// The one that comes first.
        first: Item,
        /// The one that comes then.
        then: Item,
    },
    /// One hardly ever comes without the other before it: it is a symptom.
    Inhibition {
        /// The cause.
        source: Item,
        /// The symptom.
        target: Item,
    },
}

/// A proposal with its evidence.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Proposal {
    /// What.
    #[serde(flatten)]
    pub idea: Idea,
    /// The label whose value they share; `None`: wherever they are.
    pub scope: Option<String>,
    /// How sure it is; of a grouping of several: its weakest pair.
    #[serde(flatten)]
    pub figures: Figures,
    /// Some of the times.
    pub examples: Vec<Example>,
}

/// What was learned from a history.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Learned {
    /// Signals that were looked at.
    pub signals: usize,
    /// Items among them.
    pub items: usize,
    /// Items that were left out because there were too many.
    pub items_left_out: usize,
    /// Time of the first signal.
    pub from: Timestamp,
    /// Time of the last.
    pub to: Timestamp,
    /// What is proposed, the surest first.
    pub proposals: Vec<Proposal>,
}

impl Item {
    /// What the signal is called; `None` if nothing names it.
    pub fn of(signal: &Signal) -> Option<Self> {
        let label = NAMES.into_iter().find(|label| !signal.labels.get(label).is_empty())?;
        Some(Self { source: signal.source.clone(), label, name: signal.labels.get(label).to_owned() })
    }
}

/// Learns from signals in the order of their time. The same signals teach the same.
pub fn learn(signals: &[Signal], thresholds: &Thresholds) -> Learned {
    let told = |signal: &&Signal| signal.kind != Kind::Resolved;
    let mut counts: BTreeMap<Item, usize> = BTreeMap::new();
    for item in signals.iter().filter(told).filter_map(Item::of) {
        *counts.entry(item).or_default() += 1;
    }
    let all = counts.len();
    let mut by_count: Vec<(Item, usize)> = counts.into_iter().collect();
    by_count.sort_by(|(a, more), (b, less)| less.cmp(more).then_with(|| a.cmp(b)));
    by_count.truncate(ITEMS_MAX);
    let mut items: Vec<Item> = by_count.into_iter().map(|(item, _)| item).collect();
    items.sort_unstable();
    let seen: Vec<(usize, usize)> = signals
        .iter()
        .enumerate()
        .filter(|(_, signal)| signal.kind != Kind::Resolved)
        .filter_map(|(at, signal)| Some((at, items.binary_search(&Item::of(signal)?).ok()?)))
        .collect();
    let (from, to) =
        (signals.first().map(|s| s.time).unwrap_or_default(), signals.last().map(|s| s.time).unwrap_or_default());
    let span = (to.micros() - from.micros()).max(1);
    let scopes = scopes(signals, &seen, items.len());
    let counted = scopes.iter().map(|(scope, bears)| {
        let ours = seen.iter().filter(|(_, item)| bears[*item]);
        let begins = ours.map(|(at, item)| Begin {
            signal: *at,
            item: *item,
            time: signals[*at].time.micros(),
            place: scope.as_ref().map_or("", |label| signals[*at].labels.get(label)),
        });
        (scope.as_deref(), Pairs::count(begins, items.len(), thresholds.frame, span))
    });
    let counted: Vec<(Option<&str>, Pairs)> = counted.collect();
    let proposals = proposals::of(&counted, &items, signals, thresholds);
    Learned { signals: seen.len(), items: items.len(), items_left_out: all - items.len(), from, to, proposals }
}

/// What may be shared, and which items always have it: nothing at all, and the labels that most items have.
fn scopes(signals: &[Signal], seen: &[(usize, usize)], items: usize) -> Vec<(Option<String>, Vec<bool>)> {
    let mut times = vec![0usize; items];
    let mut labelled: BTreeMap<&str, (Vec<usize>, BTreeSet<&str>)> = BTreeMap::new();
    for (at, item) in seen {
        times[*item] += 1;
        for (label, value) in signals[*at].labels.iter().filter(|(label, _)| !NOT_SCOPES.contains(label)) {
            if labelled.len() >= LABELS_MAX && !labelled.contains_key(label) {
                continue;
            }
            let (of_item, values) = labelled.entry(label).or_insert_with(|| (vec![0; items], BTreeSet::new()));
            of_item[*item] += 1;
            if values.len() <= VALUES_MAX {
                values.insert(value);
            }
        }
    }
    let mut found: Vec<(Option<String>, Vec<bool>)> = labelled
        .into_iter()
        .filter(|(_, (_, values))| (2..=VALUES_MAX).contains(&values.len()))
        .map(|(label, (of_item, _))| {
            let always = of_item.iter().zip(&times).map(|(with, times)| with == times).collect();
            (Some(label.to_owned()), always)
        })
        .collect();
    let share = |bears: &[bool]| bears.iter().filter(|bears| **bears).count();
    found.retain(|(_, bears)| share(bears) >= 2);
    found.sort_by(|(a, more), (b, less)| share(less).cmp(&share(more)).then_with(|| a.cmp(b)));
    found.truncate(SCOPES_MAX);
    found.insert(0, (None, vec![true; items]));
    found
}

#[cfg(test)]
mod tests;
