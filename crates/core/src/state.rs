//! The default fold: a stream's state without a line of code.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Recorded, Timestamp, Version};

/// The state of a stream: the fields of its events merged in order, and `status`, the name of the last event.
///
/// A later event's field replaces an earlier one's of the same name. Fields that an event does not have stay.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct State {
    /// Version of the last event merged; 0 before the first.
    pub version: Version,
    /// Time of the last event merged.
    pub time: Option<Timestamp>,
    /// The merged fields.
    pub data: Map<String, Value>,
}

impl State {
    /// The state after the event.
    #[must_use]
    pub fn evolve(mut self, event: &Recorded) -> Self {
        for (field, value) in &event.data {
            self.data.insert(field.clone(), value.clone());
        }
        self.data.insert("status".to_owned(), Value::from(event.headers.event_name()));
        self.version = event.headers.version;
        self.time = Some(event.headers.time);
        self
    }
}
