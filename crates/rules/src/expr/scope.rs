//! The variables that an expression sees.

use std::collections::HashMap;

use cel::Context;
use cel::objects::{Key, Map as CelMap, Value as CelValue};
use serde_json::{Map, Value};
use spina_core::Recorded;

use super::Uses;
use crate::source::quote;

/// A field of the variable `event`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventField {
    /// Unique id, text.
    Id,
    /// Name without context and aggregate: `FlightLanded`.
    Name,
    /// `flights.flight.FlightLanded`.
    Type,
    /// The stream's id, text.
    Stream,
    /// The stream's id after its first hyphen, text.
    Key,
    /// The event's place in the stream, an integer.
    Version,
    /// When it happened, RFC 3339 text.
    Time,
    /// The business transaction, text or null.
    CorrelationId,
    /// What led to it, text or null.
    CausationId,
}

const NAMES: [(&str, EventField); 9] = [
    ("id", EventField::Id),
    ("name", EventField::Name),
    ("type", EventField::Type),
    ("stream", EventField::Stream),
    ("key", EventField::Key),
    ("version", EventField::Version),
    ("time", EventField::Time),
    ("correlation_id", EventField::CorrelationId),
    ("causation_id", EventField::CausationId),
];

impl EventField {
    pub(super) fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, field)| *field)
    }

    /// The complaint about a field that there is not.
    pub(super) fn unknown(path: &str) -> String {
        format!("`event` has no field {}, it has {}", quote(path), NAMES.map(|(name, _)| name).join(", "))
    }

    pub(super) fn name(self) -> &'static str {
        NAMES.iter().find(|(_, field)| *field == self).map_or("", |(name, _)| name)
    }

    /// Its value, as JSON has it.
    pub fn of(self, event: &Recorded) -> Value {
        let headers = &event.headers;
        match self {
            Self::Id => Value::from(headers.id.as_str()),
            Self::Name => Value::from(headers.event_name()),
            Self::Type => Value::from(headers.event_type.as_str()),
            Self::Stream => Value::from(headers.stream.as_str()),
            Self::Key => Value::from(headers.stream.key()),
            Self::Version => Value::from(headers.version.0),
            Self::Time => Value::from(headers.time.to_string()),
            Self::CorrelationId => Value::from(headers.correlation_id.clone()),
            Self::CausationId => Value::from(headers.causation_id.clone()),
        }
    }
}

/// Binds what the expression uses, and nothing else.
pub(super) fn bind(context: &mut Context<'_, '_>, uses: &Uses, data: &Map<String, Value>, event: Option<&Recorded>) {
    if uses.whole_data {
        context.add_variable_from_value("data", map(data.iter().map(|(name, value)| (name.as_str(), value))));
    } else if !uses.data.is_empty() {
        let names = uses.data.iter().filter_map(|path| path.first());
        let fields = names.filter_map(|name| data.get_key_value(name.as_str()));
        context.add_variable_from_value("data", map(fields.map(|(name, value)| (name.as_str(), value))));
    }
    if let Some(event) = event.filter(|_| !uses.event.is_empty()) {
        let fields: Vec<_> = uses.event.iter().map(|field| (field.name(), field.of(event))).collect();
        context.add_variable_from_value("event", map(fields.iter().map(|(name, value)| (*name, value))));
    }
}

fn map<'a>(fields: impl Iterator<Item = (&'a str, &'a Value)>) -> CelValue {
    let fields: HashMap<Key, CelValue> = fields.map(|(name, value)| (Key::from(name), cel_value(value))).collect();
    CelValue::Map(CelMap::from(fields))
}

pub(super) fn cel_value(json: &Value) -> CelValue {
    match json {
        Value::Null => CelValue::Null,
        Value::Bool(value) => CelValue::Bool(*value),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(integer), _) => CelValue::Int(integer),
            (None, Some(integer)) => CelValue::UInt(integer),
            (None, None) => CelValue::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => CelValue::from(text.as_str()),
        Value::Array(items) => CelValue::from(items.iter().map(cel_value).collect::<Vec<_>>()),
        Value::Object(fields) => map(fields.iter().map(|(name, value)| (name.as_str(), value))),
    }
}
