//! From JSON values to cells, checked so that the database cannot refuse them.

use serde_json::Value;
use spina_core::{Cell, CellType, Timestamp};

use crate::event_shape::FieldKind;
use crate::expr::EventField;

/// Longest text of a decimal, in characters.
const DECIMAL_CHARS_MAX: usize = 200;

/// The type of a field's column.
pub(super) fn type_of_field(kind: &FieldKind) -> CellType {
    match kind {
        FieldKind::Bool => CellType::Bool,
        FieldKind::Integer => CellType::Long,
        FieldKind::Double => CellType::Double,
        FieldKind::Text => CellType::Text,
        FieldKind::Uuid => CellType::Uuid,
        FieldKind::Decimal => CellType::Decimal,
        FieldKind::Date => CellType::Date,
        FieldKind::Timestamp => CellType::Timestamp,
        FieldKind::Record(_) | FieldKind::Nested => CellType::Json,
    }
}

/// The type of a column that holds what an event says about itself.
pub(super) fn type_of_event_field(field: EventField) -> CellType {
    match field {
        EventField::Version => CellType::Long,
        EventField::Time => CellType::Timestamp,
        EventField::Id
        | EventField::Name
        | EventField::Type
        | EventField::Stream
        | EventField::Key
        | EventField::CorrelationId
        | EventField::CausationId => CellType::Text,
    }
}

/// The type of a literal's column; null fits any.
pub(super) fn type_of_literal(value: &Value) -> Option<CellType> {
    match value {
        Value::Null => None,
        Value::Bool(_) => Some(CellType::Bool),
        Value::Number(number) if number.is_i64() || number.is_u64() => Some(CellType::Long),
        Value::Number(_) => Some(CellType::Double),
        Value::String(_) => Some(CellType::Text),
        Value::Array(_) | Value::Object(_) => Some(CellType::Json),
    }
}

/// Whether every value of type `from` may stand in a column of type `to`.
pub(super) fn fits(from: CellType, to: CellType) -> bool {
    let carried_as_text = matches!(from, CellType::Uuid | CellType::Decimal | CellType::Date | CellType::Timestamp);
    from == to
        || to == CellType::Json
        || (from == CellType::Long && to == CellType::Double)
        || (carried_as_text && to == CellType::Text)
}

/// The cell of a value, or what is wrong with it.
pub(super) fn cell(value: &Value, wanted: CellType) -> Result<Cell, String> {
    let wrong = || format!("{} is not a {}", shorten(value), wanted.name());
    let cell = match (wanted, value) {
        (_, Value::Null) => Some(Cell::Null),
        (CellType::Bool, Value::Bool(value)) => Some(Cell::Bool(*value)),
        (CellType::Long, Value::Number(number)) => number.as_i64().map(Cell::Long),
        // Adding zero turns -0.0 into 0.0: the two are equal to a comparison, but not the same to a reader.
        (CellType::Double, Value::Number(number)) => number.as_f64().map(|value| Cell::Double(value + 0.0)),
        (CellType::Timestamp, Value::String(text)) => text.parse().ok().filter(has_year).map(Cell::Time),
        (CellType::Text, Value::String(text)) => storable(text)?.then(|| Cell::Text(text.clone())),
        (CellType::Uuid, Value::String(text)) => is_uuid(text).then(|| Cell::Text(text.to_ascii_lowercase())),
        (CellType::Decimal, Value::String(text)) => is_decimal(text).then(|| Cell::Text(text.clone())),
        (CellType::Date, Value::String(text)) => is_date(text).then(|| Cell::Text(text.clone())),
        (CellType::Json, value) => nested_storable(value)?.then(|| Cell::Json(value.to_string())),
        (
            CellType::Bool
            | CellType::Long
            | CellType::Double
            | CellType::Text
            | CellType::Uuid
            | CellType::Decimal
            | CellType::Date
            | CellType::Timestamp,
            _,
        ) => None,
    };
    cell.ok_or_else(wrong)
}

/// PostgreSQL's text cannot hold the character U+0000.
fn storable(text: &str) -> Result<bool, String> {
    if text.contains('\0') { Err("text with a NUL character cannot be stored".to_owned()) } else { Ok(true) }
}

fn nested_storable(value: &Value) -> Result<bool, String> {
    match value {
        Value::String(text) => storable(text),
        Value::Array(items) => items.iter().try_fold(true, |_, item| nested_storable(item)),
        Value::Object(fields) => {
            fields.iter().try_fold(true, |_, (name, value)| storable(name).and_then(|_| nested_storable(value)))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(true),
    }
}

/// PostgreSQL has no year 0.
fn has_year(time: &Timestamp) -> bool {
    /// 0001-01-01T00:00:00Z in microseconds.
    const YEAR_1: i64 = -62_135_596_800_000_000;
    time.micros() >= YEAR_1
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && format!("{text}T00:00:00Z").parse().is_ok_and(|time| has_year(&time))
}

fn is_uuid(text: &str) -> bool {
    let dash = |at| matches!(at, 8 | 13 | 18 | 23);
    text.len() == 36 && text.bytes().enumerate().all(|(at, b)| if dash(at) { b == b'-' } else { b.is_ascii_hexdigit() })
}

fn is_decimal(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    text.len() <= DECIMAL_CHARS_MAX && all_digits(whole) && all_digits(fraction)
}

fn shorten(value: &Value) -> String {
    crate::source::quote(&value.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_become_cells_of_the_columns_type() {
        let time = "2013-01-01T10:15:00Z";
        for (value, wanted, expected) in [
            (json!(7), CellType::Long, Cell::Long(7)),
            (json!(7), CellType::Double, Cell::Double(7.0)),
            (json!(-0.0), CellType::Double, Cell::Double(0.0)),
            (json!("x"), CellType::Text, Cell::Text("x".into())),
            (json!("2013-02-28"), CellType::Date, Cell::Text("2013-02-28".into())),
            (json!(time), CellType::Timestamp, Cell::Time(time.parse().unwrap())),
            (json!(time), CellType::Text, Cell::Text(time.into())),
            (json!({"a": [1]}), CellType::Json, Cell::Json("{\"a\":[1]}".into())),
            (json!("-12.50"), CellType::Decimal, Cell::Text("-12.50".into())),
            (json!(null), CellType::Date, Cell::Null),
        ] {
            assert_eq!(cell(&value, wanted), Ok(expected), "{value}");
        }
    }

    #[test]
    fn what_the_database_would_refuse_is_refused_here() {
        for (value, wanted) in [
            (json!("7"), CellType::Long),
            (json!(7.5), CellType::Long),
            (json!(u64::MAX), CellType::Long),
            (json!("a\0b"), CellType::Text),
            (json!({"a\0": 1}), CellType::Json),
            (json!("2013-02-29"), CellType::Date),
            (json!("0000-01-01"), CellType::Date),
            (json!("0000-01-01T00:00:00Z"), CellType::Timestamp),
            (json!("12."), CellType::Decimal),
            (json!("6ba7b810-9dad-11d1-80b4-00c04fd430c"), CellType::Uuid),
            (json!(true), CellType::Text),
        ] {
            assert!(cell(&value, wanted).is_err(), "{value}");
        }
    }
}
