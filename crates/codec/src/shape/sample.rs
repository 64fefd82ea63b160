//! One record of a shape, always the same: what is frozen when a schema is released.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::Shape;
use super::kind::{Kind, Precision, Record};

/// An instant with as many decimals as the precision has.
const INSTANT: &str = "2013-01-01T10:15:00";

impl Shape {
    /// A record with a value in every field, nulls only where nothing else can be.
    pub fn sample(&self) -> Map<String, Value> {
        record(&self.record)
    }
}

fn record(of: &Record) -> Map<String, Value> {
    of.fields.iter().map(|field| (field.name.clone(), value(&field.kind, &field.name))).collect()
}

fn value(kind: &Kind, name: &str) -> Value {
    match kind {
        Kind::Null => Value::Null,
        Kind::Boolean => json!(true),
        Kind::Int => json!(1_234),
        Kind::Long => json!(123_456_789_012_i64),
        Kind::Float | Kind::Double => json!(1.5),
        Kind::String => json!(format!("a {name}")),
        Kind::Bytes => json!(STANDARD.encode(name)),
        Kind::Fixed(size) => json!(STANDARD.encode(vec![7; *size])),
        Kind::Enum(symbols) => json!(symbols.last()),
        Kind::Date => json!("2013-01-01"),
        Kind::TimeOfDay(precision) => json!(format!("10:15:00{}", decimals(*precision))),
        Kind::Timestamp(precision) => json!(format!("{INSTANT}{}Z", decimals(*precision))),
        Kind::LocalTimestamp(precision) => json!(format!("{INSTANT}{}", decimals(*precision))),
        // One unit of the last place has one digit, whatever the precision.
        Kind::Decimal(decimal) => json!(decimal.text(1)),
        Kind::Uuid(_) => json!("0190a1b2-c3d4-7e5f-8a6b-0123456789ab"),
        Kind::Array(items) => json!([value(items, name)]),
        Kind::Map(values) => json!({ name: value(values, name) }),
        Kind::Record(of) => Value::Object(record(of)),
        Kind::Nullable(nullable) => value(&nullable.value, name),
        Kind::Union(branches) => {
            branches.iter().find(|branch| **branch != Kind::Null).map_or(Value::Null, |branch| value(branch, name))
        }
    }
}

fn decimals(precision: Precision) -> &'static str {
    match precision {
        Precision::Millis => ".123",
        Precision::Micros => ".123456",
        Precision::Nanos => ".123456789",
    }
}
