//! Whether what a rule gives fits the field that takes it.

use serde_json::Value;
use spina_core::event_shape::{EventField, EventShape, FieldKind};

use crate::expr::Formula;
use crate::source::quote;

/// The complaint about a field that there is not.
pub(super) fn unknown(shape: &EventShape, field: &str) -> String {
    let known: Vec<&str> = shape.fields.iter().map(|field| field.name.as_str()).collect();
    format!("{} has no field {}, it has {}", shape.name, quote(field), known.join(", "))
}

/// Whether an event's field that no formula gives is taken from the command. If the command does not have it either,
/// the schema's default stands in; without one the event could not be written.
pub(super) fn taken(field: &EventField, event: &EventShape, command: &EventShape) -> Result<bool, String> {
    match command.fields.iter().find(|given| given.name == field.name) {
        Some(given) => {
            compatible(given, field).map(|()| true).map_err(|why| format!("{}.{}: {why}", event.name, field.name))
        }
        None if field.has_default => Ok(false),
        None => Err(format!(
            "{} needs `{}`: neither `fields` gives it nor does {} have it",
            event.name, field.name, command.name
        )),
    }
}

/// Whether the formula's value fits the field, as far as that can be told without running it.
pub(super) fn fits(
    formula: &Formula,
    command: &EventShape,
    event: &EventShape,
    field: &EventField,
) -> Result<(), String> {
    let named = |why: String| format!("{}.{}: {why}", event.name, field.name);
    if let Some(literal) = formula.literal() {
        return if literal_fits(literal, field) {
            Ok(())
        } else {
            Err(named(format!("{literal} is not {}", kind_name(field))))
        };
    }
    match formula.path() {
        Some(("command", path)) => match command.field(path) {
            Ok((given, _)) => compatible(given, field).map_err(named),
            Err(_) => Ok(()),
        },
        Some(("stream" | "key", _)) if field.kind != FieldKind::Text => {
            Err(named(format!("a stream's name is text, the field is {}", kind_name(field))))
        }
        Some(_) | None => Ok(()),
    }
}

fn compatible(given: &EventField, field: &EventField) -> Result<(), String> {
    if given.nullable && !field.nullable {
        return Err(format!("`{}` of the command may be null, the field may not", given.name));
    }
    let same = match (&given.kind, &field.kind) {
        (FieldKind::Nested | FieldKind::Record(_), _) | (_, FieldKind::Nested | FieldKind::Record(_)) => true,
        (FieldKind::Integer, FieldKind::Double) => true,
        (given, field) => given == field,
    };
    if same { Ok(()) } else { Err(format!("the command has {}, the field is {}", kind_name(given), kind_name(field))) }
}

fn literal_fits(literal: &Value, field: &EventField) -> bool {
    match (literal, &field.kind) {
        (Value::Null, _) => field.nullable,
        (Value::Bool(_), kind) => *kind == FieldKind::Bool,
        (Value::Number(number), FieldKind::Integer) => number.is_i64() || number.is_u64(),
        (Value::Number(_), kind) => *kind == FieldKind::Double,
        (Value::String(_), kind) => !matches!(kind, FieldKind::Bool | FieldKind::Integer | FieldKind::Double),
        (Value::Array(_) | Value::Object(_), kind) => matches!(kind, FieldKind::Nested | FieldKind::Record(_)),
    }
}

fn kind_name(field: &EventField) -> &'static str {
    match field.kind {
        FieldKind::Bool => "a boolean",
        FieldKind::Integer => "a whole number",
        FieldKind::Double => "a double",
        FieldKind::Text => "text",
        FieldKind::Uuid => "a uuid",
        FieldKind::Decimal => "a decimal",
        FieldKind::Date => "a date",
        FieldKind::Timestamp => "a timestamp",
        FieldKind::Record(_) => "a record",
        FieldKind::Nested => "a list, map or union",
    }
}
