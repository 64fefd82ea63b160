//! The states of the streams that were decided on lately, within a bound of bytes.
//!
//! Two generations, each within half of the bound: what is used moves to the young one; when that is full, the old one is
//! dropped and the young one becomes old. What is dropped can be folded again at any time.

use std::collections::HashMap;

use spina_core::{State, StreamKey, Version};

use super::command::weight;

/// Bytes counted for a state beside its fields: its struct and its place in the map.
const STATE_BYTES: usize = 2 * (size_of::<State>() + size_of::<StreamKey>());

/// See the [module](self).
#[derive(Debug)]
pub struct States {
    bytes_max: usize,
    young: HashMap<StreamKey, State>,
    young_bytes: usize,
    old: HashMap<StreamKey, State>,
}

impl States {
    /// No states, and room for so many bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, young: HashMap::new(), young_bytes: 0, old: HashMap::new() }
    }

    /// The stream's state, if it is known at exactly this version.
    pub fn at(&mut self, stream: StreamKey, version: Version) -> Option<&State> {
        if let Some(state) = self.old.remove(&stream) {
            self.put(stream, state);
        }
        self.any(stream).filter(|state| state.version == version)
    }

    /// The stream's state at whatever version it is known: a beginning for those who fold further.
    pub fn any(&self, stream: StreamKey) -> Option<&State> {
        self.young.get(&stream).or_else(|| self.old.get(&stream))
    }

    /// Remembers a state in place of the one before.
    pub fn put(&mut self, stream: StreamKey, state: State) {
        self.old.remove(&stream);
        self.young_bytes += STATE_BYTES + weight(&state.data);
        self.young.insert(stream, state);
        if self.young_bytes > self.bytes_max / 2 {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
    }

    /// Forgets everything: what rests on a lost window is not true.
    pub fn clear(&mut self) {
        *self = Self::new(self.bytes_max);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn state(version: u64) -> State {
        let data = json!({ "text": "x".repeat(1_000) }).as_object().unwrap().clone();
        State { version: Version(version), data, ..State::default() }
    }

    #[test]
    fn a_state_is_known_at_its_version_and_no_other() {
        let (mut states, stream) = (States::new(1 << 20), StreamKey::of("a-1"));
        states.put(stream, state(1));
        states.put(stream, state(2));
        assert!(states.at(stream, Version(1)).is_none() && states.at(stream, Version(2)).is_some());
        assert_eq!(states.any(stream).unwrap().version, Version(2));
        states.clear();
        assert!(states.any(stream).is_none());
    }

    #[test]
    fn what_is_not_used_goes_and_what_is_used_stays() {
        let mut states = States::new(8 * weight(&state(1).data));
        let key = |n: usize| StreamKey::of(&format!("a-{n}"));
        for n in 0..100 {
            states.put(key(n), state(1));
            assert!(states.at(key(0), Version(1)).is_some(), "after {n}");
            assert!(states.young.len() + states.old.len() <= 12);
        }
        assert!(states.any(key(1)).is_none() && states.any(key(99)).is_some());
    }

    #[test]
    fn the_bound_holds_for_states_without_fields_and_for_those_that_are_only_looked_at() {
        let most = 20;
        let mut states = States::new(most * STATE_BYTES);
        let key = |n: usize| StreamKey::of(&format!("a-{n}"));
        for n in 0..200 {
            states.put(key(n), State { version: Version(1), ..State::default() });
            let known = (0..=n).filter(|n| states.at(key(*n), Version(1)).is_some()).count();
            let held = states.young.len() + states.old.len();
            assert!(known > 0, "the newest is");
            assert!(held <= most + 2, "{held} after {n}");
        }
    }
}
