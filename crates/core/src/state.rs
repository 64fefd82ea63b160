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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{EventHeaders, Position};

    fn happened(version: u64, event_type: &str, data: Value) -> Recorded {
        let headers = EventHeaders {
            id: format!("e{version}"),
            event_type: event_type.to_owned(),
            stream: "order-1".parse().unwrap(),
            version: Version(version),
            time: Timestamp::from_micros(i64::try_from(version).unwrap()).unwrap(),
            correlation_id: None,
            causation_id: None,
            traceparent: None,
            tracestate: None,
            epoch: 1,
            request_id: None,
        };
        let position = Position { topic: "shop.events.v1".to_owned(), partition: 0, offset: 0 };
        Recorded { headers, position, data: data.as_object().unwrap().clone() }
    }

    #[test]
    fn later_fields_replace_earlier_ones_and_the_rest_stays() {
        let placed = happened(1, "shop.order.Placed", json!({"lines": 2, "note": "x"}));
        let paid = happened(2, "shop.order.Paid", json!({"lines": 3}));
        let state = State::default().evolve(&placed).evolve(&paid);
        assert_eq!(Value::Object(state.data), json!({"lines": 3, "note": "x", "status": "Paid"}));
        assert_eq!((state.version, state.time), (Version(2), Some(paid.headers.time)));
    }

    #[test]
    fn an_event_knows_its_name_and_its_request() {
        let mut placed = happened(1, "shop.order.Placed", json!({}));
        assert_eq!((placed.headers.event_name(), placed.headers.request_key()), ("Placed", "e1"));
        placed.headers.request_id = Some("r1".to_owned());
        assert_eq!(placed.headers.request_key(), "r1");
    }
}
