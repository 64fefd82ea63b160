//! Avro binary to JSON.

use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value};
use uuid::Uuid;

use super::error::Malformed;
use super::input::Input;
use super::kind::{Decimal, Kind, Record, UuidForm};
use super::mask::FieldMask;
use super::{AVRO_BYTES_MAX, temporal};

const TIME_RANGE: &str = "a time is outside of what RFC 3339 can say";

/// Reads exactly one record, whole or the fields in the mask.
pub(super) fn decode(record: &Record, avro: &[u8], mask: Option<&FieldMask>) -> Result<Map<String, Value>, Malformed> {
    let mut input = Input::new(avro);
    if avro.len() > AVRO_BYTES_MAX {
        return Err(input.malformed("longer than 10 MiB"));
    }
    let fields = match mask {
        Some(mask) => masked(record, &mut input, mask)?,
        None => whole(record, &mut input)?,
    };
    match input.left() {
        0 => Ok(fields),
        _ => Err(input.malformed("bytes are left behind the record")),
    }
}

fn whole(record: &Record, input: &mut Input<'_>) -> Result<Map<String, Value>, Malformed> {
    let mut fields = Map::new();
    for field in &record.fields {
        let value = value(&field.kind, input).map_err(|error| error.in_field(&field.name))?;
        fields.insert(field.name.clone(), value);
    }
    Ok(fields)
}

fn masked(record: &Record, input: &mut Input<'_>, mask: &FieldMask) -> Result<Map<String, Value>, Malformed> {
    let mut fields = Map::new();
    for (index, field) in record.fields.iter().enumerate() {
        if mask.contains(index) {
            let value = value(&field.kind, input).map_err(|error| error.in_field(&field.name))?;
            fields.insert(field.name.clone(), value);
        } else {
            skip(&field.kind, input).map_err(|error| error.in_field(&field.name))?;
        }
    }
    Ok(fields)
}

/// Reads one value. Its depth is the schema's, which is bounded.
pub(super) fn value(kind: &Kind, input: &mut Input<'_>) -> Result<Value, Malformed> {
    input.count_value()?;
    Ok(match kind {
        Kind::Null => Value::Null,
        Kind::Boolean => boolean(input)?,
        Kind::Int => Value::from(input.int()?),
        Kind::Long => Value::from(input.long()?),
        Kind::Float => finite(f64::from(f32::from_le_bytes(input.array()?)), input)?,
        Kind::Double => finite(f64::from_le_bytes(input.array()?), input)?,
        Kind::String => Value::from(input.text()?),
        Kind::Bytes => Value::from(STANDARD.encode(input.sized()?)),
        Kind::Fixed(size) => Value::from(STANDARD.encode(input.bytes(*size)?)),
        Kind::Enum(symbols) => Value::from(symbols[input.index(symbols.len())?].as_str()),
        Kind::Date => time(temporal::date_text(input.int()?), input)?,
        Kind::TimeOfDay(precision) => time(temporal::time_text(input.long()?, *precision), input)?,
        Kind::Timestamp(precision) => time(temporal::timestamp_text(input.long()?, *precision), input)?,
        Kind::LocalTimestamp(precision) => time(temporal::local_text(input.long()?, *precision), input)?,
        Kind::Decimal(decimal) => decimal_text(decimal, input)?,
        Kind::Uuid(form) => uuid(*form, input)?,
        Kind::Array(items) => array(items, input)?,
        Kind::Map(values) => map(values, input)?,
        Kind::Record(record) => Value::Object(whole(record, input)?),
        Kind::Nullable(nullable) => {
            if input.index(2)? == usize::from(nullable.null_index) {
                Value::Null
            } else {
                value(&nullable.value, input)?
            }
        }
        Kind::Union(branches) => value(&branches[input.index(branches.len())?], input)?,
    })
}

fn boolean(input: &mut Input<'_>) -> Result<Value, Malformed> {
    match input.byte()? {
        0 => Ok(Value::Bool(false)),
        1 => Ok(Value::Bool(true)),
        _ => Err(input.malformed("a boolean is neither 0 nor 1")),
    }
}

fn finite(number: f64, input: &Input<'_>) -> Result<Value, Malformed> {
    let number = Number::from_f64(number).ok_or_else(|| input.malformed("JSON cannot say NaN or infinity"))?;
    Ok(Value::Number(number))
}

fn time(text: Option<String>, input: &Input<'_>) -> Result<Value, Malformed> {
    text.map(Value::String).ok_or_else(|| input.malformed(TIME_RANGE))
}

fn decimal_text(decimal: &Decimal, input: &mut Input<'_>) -> Result<Value, Malformed> {
    let bytes = match decimal.fixed {
        Some(size) => input.bytes(size)?,
        None => input.sized()?,
    };
    let unscaled = decimal.unscaled(bytes).ok_or_else(|| input.malformed("a decimal has too many digits"))?;
    Ok(Value::String(decimal.text(unscaled)))
}

fn uuid(form: UuidForm, input: &mut Input<'_>) -> Result<Value, Malformed> {
    let uuid = match form {
        UuidForm::Text => Uuid::from_str(input.text()?).ok(),
        UuidForm::Fixed => Some(Uuid::from_bytes(input.array()?)),
        UuidForm::Bytes => Uuid::from_slice(input.sized()?).ok(),
    };
    let uuid = uuid.ok_or_else(|| input.malformed("not a UUID"))?;
    Ok(Value::String(uuid.hyphenated().to_string()))
}

fn array(items: &Kind, input: &mut Input<'_>) -> Result<Value, Malformed> {
    let mut values = Vec::new();
    while let Some(block) = input.block()? {
        for _ in 0..block.items {
            values.push(value(items, input)?);
        }
        input.end_block(&block)?;
    }
    Ok(Value::Array(values))
}

fn map(kind: &Kind, input: &mut Input<'_>) -> Result<Value, Malformed> {
    let mut values = Map::new();
    while let Some(block) = input.block()? {
        for _ in 0..block.items {
            let key = input.text()?.to_owned();
            values.insert(key, value(kind, input)?);
        }
        input.end_block(&block)?;
    }
    Ok(Value::Object(values))
}

/// Passes over one value.
fn skip(kind: &Kind, input: &mut Input<'_>) -> Result<(), Malformed> {
    input.count_value()?;
    match kind {
        Kind::Null => {}
        Kind::Boolean => drop(boolean(input)?),
        Kind::Int | Kind::Date => drop(input.int()?),
        Kind::Long | Kind::TimeOfDay(_) | Kind::Timestamp(_) | Kind::LocalTimestamp(_) => drop(input.long()?),
        Kind::Float => drop(input.bytes(4)?),
        Kind::Double => drop(input.bytes(8)?),
        Kind::String | Kind::Bytes | Kind::Uuid(UuidForm::Text | UuidForm::Bytes) => drop(input.sized()?),
        Kind::Fixed(size) => drop(input.bytes(*size)?),
        Kind::Uuid(UuidForm::Fixed) => drop(input.bytes(16)?),
        Kind::Enum(symbols) => drop(input.index(symbols.len())?),
        Kind::Decimal(Decimal { fixed: Some(size), .. }) => drop(input.bytes(*size)?),
        Kind::Decimal(Decimal { fixed: None, .. }) => drop(input.sized()?),
        Kind::Array(items) => skip_blocks(input, |input| skip(items, input))?,
        Kind::Map(values) => skip_blocks(input, |input| {
            input.sized()?;
            skip(values, input)
        })?,
        Kind::Record(record) => {
            for field in &record.fields {
                skip(&field.kind, input)?;
            }
        }
        Kind::Nullable(nullable) => {
            if input.index(2)? != usize::from(nullable.null_index) {
                skip(&nullable.value, input)?;
            }
        }
        Kind::Union(branches) => skip(&branches[input.index(branches.len())?], input)?,
    }
    Ok(())
}

/// Passes over an array or map: whole blocks where they say their bytes, item by item where they do not.
fn skip_blocks<'a>(
    input: &mut Input<'a>,
    mut skip_item: impl FnMut(&mut Input<'a>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    while let Some(block) = input.block()? {
        match block.bytes {
            Some(bytes) => drop(input.bytes(bytes)?),
            None => (0..block.items).try_for_each(|_| skip_item(input))?,
        }
    }
    Ok(())
}
