//! When snapshots of an aggregate are taken: `snapshot: { every: 100, fold_time_ms: 50, on: [FlightLanded] }`.

use std::collections::BTreeSet;

use spina_core::snapshot::SnapshotPolicy;

use super::read_located;
use crate::node::{Node, Reading};
use crate::source::{Located, quote};

/// Reads the policy of an aggregate with these events.
pub(super) fn read(reading: &mut Reading<'_>, node: &Located<Node>, events: &[Located<String>]) -> SnapshotPolicy {
    let Some(entries) = reading.mapping(node, "`snapshot`", &["every", "fold_time_ms", "on"]) else {
        return SnapshotPolicy::default();
    };
    if entries.is_empty() {
        let reasons = "`every` (so many events), `fold_time_ms` (a fold that took longer), `on` (events)";
        reading.complain(node.place, format!("`snapshot` says nothing: give one or more of {reasons}"));
    }
    let mut number = |key: &str| Some(read_located(reading, entries.get(key)?, key, u32::MAX.into())?.value);
    let (every, fold_time_ms) = (number("every"), number("fold_time_ms"));
    let on = entries.get("on").map(|node| read_events(reading, node, events)).unwrap_or_default();
    SnapshotPolicy { every, fold_time_ms, on }
}

fn read_events(reading: &mut Reading<'_>, node: &Located<Node>, events: &[Located<String>]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for item in reading.list(node, "`on`").unwrap_or_default() {
        let Some(name) = reading.text(item, "an event's name") else { continue };
        if !events.iter().any(|event| event.value == name) {
            reading.complain(item.place, format!("the aggregate has no event {}", quote(name)));
        }
        names.insert(name.to_owned());
    }
    names
}
