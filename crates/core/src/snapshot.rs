//! Snapshots: when one is due, and how a damaged one is known.

use std::collections::BTreeSet;

use serde_json::Value;
use xxhash_rust::xxh3::Xxh3Default;

use crate::{State, Version};

/// When a snapshot of an aggregate's streams is taken. Several reasons may be given; any of them is enough.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SnapshotPolicy {
    /// Each time a stream has grown by this many events.
    pub every: Option<u32>,
    /// When folding a stream took longer than this.
    pub fold_time_ms: Option<u32>,
    /// After an event of one of these names.
    pub on: BTreeSet<String>,
}

impl SnapshotPolicy {
    /// Whether one is due now that the stream has this event as its `version`.
    pub fn is_due(&self, version: Version, event_name: &str) -> bool {
        let grown = self.every.is_some_and(|every| every > 0 && version.0.is_multiple_of(u64::from(every)));
        grown || self.on.contains(event_name)
    }

    /// Whether one is due because folding the stream took so long.
    pub fn is_due_after(&self, fold_ms: u64) -> bool {
        self.fold_time_ms.is_some_and(|limit| fold_ms > u64::from(limit))
    }
}

/// The hash of a state: 64 bits of XXH3 over its version, time and fields, whatever the order in which the fields stand.
/// A snapshot whose state does not have the hash that was kept beside it is damaged.
pub fn state_hash(state: &State) -> u64 {
    let mut hasher = Xxh3Default::new();
    hasher.update(&state.version.0.to_le_bytes());
    hasher.update(&state.time.map_or(i64::MIN, |time| time.micros()).to_le_bytes());
    hash_fields(&mut hasher, &state.data);
    hasher.digest()
}

fn hash_fields(hasher: &mut Xxh3Default, fields: &serde_json::Map<String, Value>) {
    let mut names: Vec<&String> = fields.keys().collect();
    names.sort();
    hasher.update(&names.len().to_le_bytes());
    for name in names {
        hash_text(hasher, b'k', name);
        hash_value(hasher, &fields[name]);
    }
}

fn hash_value(hasher: &mut Xxh3Default, value: &Value) {
    match value {
        Value::Null => hasher.update(b"n"),
        Value::Bool(true) => hasher.update(b"t"),
        Value::Bool(false) => hasher.update(b"f"),
        // A database may write a number otherwise than we do: 100.0 or 1e2. Its value is what counts.
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(whole), _, _) => hash_text(hasher, b'i', &whole.to_string()),
            (_, Some(whole), _) => hash_text(hasher, b'i', &whole.to_string()),
            (_, _, float) => hash_text(hasher, b'd', &(float.unwrap_or_default() + 0.0).to_string()),
        },
        Value::String(text) => hash_text(hasher, b's', text),
        Value::Array(items) => {
            hasher.update(b"a");
            hasher.update(&items.len().to_le_bytes());
            items.iter().for_each(|item| hash_value(hasher, item));
        }
        Value::Object(fields) => {
            hasher.update(b"o");
            hash_fields(hasher, fields);
        }
    }
}

fn hash_text(hasher: &mut Xxh3Default, kind: u8, text: &str) {
    hasher.update(&[kind]);
    hasher.update(&text.len().to_le_bytes());
    hasher.update(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Timestamp;

    fn state(data: Value) -> State {
        State { version: Version(3), time: Timestamp::from_micros(5), data: data.as_object().unwrap().clone() }
    }

    #[test]
    fn any_reason_is_enough() {
        let policy = SnapshotPolicy { every: Some(100), fold_time_ms: Some(20), on: ["Closed".to_owned()].into() };
        assert!(policy.is_due(Version(200), "Paid") && policy.is_due(Version(7), "Closed"));
        assert!(!policy.is_due(Version(201), "Paid"));
        assert!(policy.is_due_after(21) && !policy.is_due_after(20));
        let never = SnapshotPolicy::default();
        assert!(!never.is_due(Version(100), "Closed") && !never.is_due_after(u64::MAX));
    }

    #[test]
    fn a_hash_tells_states_apart_and_nothing_else() {
        let kept = state(json!({"a": 1, "b": [1.5, null, "x"], "c": {"d": true, "e": -0.0}}));
        let same = state(json!({"c": {"e": 0.0, "d": true}, "b": [1.5, null, "x"], "a": 1}));
        assert_eq!(state_hash(&kept), state_hash(&same));
        let others = [
            state(json!({"a": 2, "b": [1.5, null, "x"], "c": {"d": true, "e": 0.0}})),
            state(json!({"a": 1, "b": [1.5, "x", null], "c": {"d": true, "e": 0.0}})),
            state(json!({"a": 1, "b": [1.5, null, "x"], "c": {"d": true}, "e": 0.0})),
            state(json!({"a": "1", "b": [1.5, null, "x"], "c": {"d": true, "e": 0.0}})),
            State { version: Version(4), ..same.clone() },
            State { time: None, ..same },
        ];
        others.iter().for_each(|other| assert_ne!(state_hash(&kept), state_hash(other), "{other:?}"));
    }

    #[test]
    fn the_hash_of_a_state_never_changes() {
        // Kept in databases: another value would make every snapshot look damaged.
        assert_eq!(state_hash(&State::default()), HASH_OF_NOTHING);
    }

    const HASH_OF_NOTHING: u64 = 13_691_862_843_338_872_987;
}
