//! An aggregate of a context: its events and how its streams are decided and kept.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use spina_core::snapshot::SnapshotPolicy;
use spina_core::unique::CATEGORY_PREFIX;

use super::commands::{self, CommandDef, EvolveDef};
use super::{TYPE_NAME_BYTES_MAX, snapshot};
use crate::node::{Node, Reading};
use crate::source::{Located, quote};

/// Most unique fields of an aggregate: an append claims each value that it brings.
const UNIQUE_MAX: usize = 8;

/// An aggregate: a kind of stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AggregateDef {
    /// Its name, which is the category of its stream ids.
    pub name: String,
    /// The events that its streams may hold.
    pub events: Vec<Located<String>>,
    /// Fields of the state that no two of its streams may have in common.
    pub unique: Vec<Located<String>>,
    /// When snapshots of its streams are taken; never if nothing is said.
    pub snapshot: SnapshotPolicy,
    /// The state before its first event.
    pub initial: Map<String, Value>,
    /// The commands that it decides.
    pub commands: Vec<CommandDef>,
    /// Events that change the state otherwise than by merging their fields into it.
    pub evolve: Vec<EvolveDef>,
}

pub(super) fn read_all(reading: &mut Reading<'_>, node: &Located<Node>) -> Option<Vec<AggregateDef>> {
    let entries = reading.names(node, "`aggregates`")?;
    if entries.is_empty() {
        reading.complain(node.place, "`aggregates` is empty: a context has at least one");
    }
    let mut seen = BTreeMap::new();
    let aggregates = entries.iter().filter_map(|(name, node)| {
        check_aggregate_name(reading, name);
        read_aggregate(reading, name, node, &mut seen)
    });
    Some(aggregates.collect())
}

fn read_aggregate(
    reading: &mut Reading<'_>,
    name: &Located<String>,
    node: &Located<Node>,
    seen: &mut BTreeMap<String, String>,
) -> Option<AggregateDef> {
    let what = format!("aggregate {}", quote(name));
    let entries = reading.mapping(node, &what, &["events", "unique", "snapshot", "initial", "commands", "evolve"])?;
    let Some(list) = entries.get("events") else {
        reading.complain(node.place, format!("{what} has no `events`"));
        return None;
    };
    let items = reading.list(list, "`events`")?;
    if items.is_empty() {
        reading.complain(list.place, "`events` is empty: an aggregate has at least one");
    }
    let events: Vec<_> = items.iter().filter_map(|item| read_event(reading, name, item, seen)).collect();
    let unique = entries.get("unique").map(|node| read_unique(reading, node)).unwrap_or_default();
    let snapshot = entries.get("snapshot").map(|node| snapshot::read(reading, node, &events)).unwrap_or_default();
    let commands = entries.get("commands").map(|node| commands::read_commands(reading, node)).unwrap_or_default();
    for command in &commands {
        check_unseen(reading, name, &command.name, seen);
    }
    let evolve = entries.get("evolve").map(|node| commands::read_evolve(reading, node)).unwrap_or_default();
    let initial = entries.get("initial").map(|node| commands::read_initial(reading, node)).unwrap_or_default();
    Some(AggregateDef { name: name.value.clone(), events, unique, snapshot, initial, commands, evolve })
}

fn read_event(
    reading: &mut Reading<'_>,
    aggregate: &str,
    node: &Located<Node>,
    seen: &mut BTreeMap<String, String>,
) -> Option<Located<String>> {
    let event = reading.text(node, "an event's name")?;
    let event = Located::new(event.to_owned(), node.place);
    (check_type_name(reading, "event", &event) && check_unseen(reading, aggregate, &event, seen)).then_some(event)
}

/// Names of fields; what they are is for [`crate::decide`] to check, which knows the schemas.
fn read_unique(reading: &mut Reading<'_>, node: &Located<Node>) -> Vec<Located<String>> {
    let mut fields: Vec<Located<String>> = Vec::new();
    let Some(items) = reading.list(node, "`unique`") else { return fields };
    if items.is_empty() || items.len() > UNIQUE_MAX {
        reading.complain(node.place, format!("`unique` must name 1 to {UNIQUE_MAX} fields"));
    }
    for item in items {
        let Some(field) = reading.text(item, "a unique field") else { continue };
        if fields.iter().any(|known| known.value == field) {
            reading.complain(item.place, format!("{} is named twice", quote(field)));
        }
        if field.is_empty() || field.len() > TYPE_NAME_BYTES_MAX {
            let message = format!("unique field {} must be 1 to {TYPE_NAME_BYTES_MAX} bytes long", quote(field));
            reading.complain(item.place, message);
        }
        fields.push(Located::new(field.to_owned(), item.place));
    }
    fields
}

/// The names of events and commands are those of Avro records.
pub(super) fn check_type_name(reading: &mut Reading<'_>, what: &str, name: &Located<String>) -> bool {
    let shape = name.starts_with(|c: char| c.is_ascii_uppercase()) && name.bytes().all(|b| b.is_ascii_alphanumeric());
    let valid = shape && name.len() <= TYPE_NAME_BYTES_MAX;
    if !valid {
        let rule =
            format!("1 to {TYPE_NAME_BYTES_MAX} letters and digits, starting with a capital, as in FlightLanded");
        reading.complain(name.place, format!("{what} {} is not valid: {rule}", quote(name)));
    }
    valid
}

/// A name stands for one event or one command of the context.
fn check_unseen(
    reading: &mut Reading<'_>,
    aggregate: &str,
    name: &Located<String>,
    seen: &mut BTreeMap<String, String>,
) -> bool {
    let other = seen.insert(name.value.clone(), aggregate.to_owned());
    if let Some(other) = &other {
        let message = format!("event or command `{}` is listed already, in aggregate {}", name.value, quote(other));
        reading.complain(name.place, message);
    }
    other.is_none()
}

/// An aggregate's name is the category of its stream ids.
fn check_aggregate_name(reading: &mut Reading<'_>, name: &Located<String>) {
    let stream = format!("{}-1", name.value).parse::<spina_core::StreamId>();
    if name.len() > TYPE_NAME_BYTES_MAX || stream.is_err() || name.contains('-') {
        let rule =
            format!("1 to {TYPE_NAME_BYTES_MAX} lower-case letters, digits and underscores, starting with a letter");
        reading.complain(name.place, format!("aggregate {} is not valid: {rule}", quote(name)));
    }
    if name.starts_with(CATEGORY_PREFIX) {
        let message = format!("aggregate {} is not valid: `{CATEGORY_PREFIX}` is reserved for claims", quote(name));
        reading.complain(name.place, message);
    }
}
