//! Defaults of fields: written in the schema in Avro's own JSON form, kept as Avro binary and in our JSON form.
//!
//! Avro's form differs from ours where a type is more than JSON: bytes are text with one character for each byte,
//! instants and days are numbers.

use serde_json::{Map, Value};

use super::decode;
use super::encode::write_long;
use super::input::Input;
use super::kind::{FieldDefault, Kind, Record, UuidForm};

/// Longest default in bytes of Avro.
const DEFAULT_BYTES_MAX: usize = 64 * 1024;

/// Compiles a default; the error says what does not fit.
pub(super) fn compile(kind: &Kind, default: &Value) -> Result<FieldDefault, String> {
    let mut avro = Vec::new();
    write(kind, default, &mut avro)?;
    let mut input = Input::new(&avro);
    let json = decode::value(kind, &mut input).map_err(|error| error.to_string())?;
    let values = input.values();
    Ok(FieldDefault { avro, json, values })
}

fn write(kind: &Kind, default: &Value, out: &mut Vec<u8>) -> Result<(), String> {
    let misfit = || format!("{default} is not a default of that type");
    let long = || default.as_i64().ok_or_else(misfit);
    match kind {
        Kind::Null => default.as_null().ok_or_else(misfit)?,
        Kind::Boolean => out.push(u8::from(default.as_bool().ok_or_else(misfit)?)),
        Kind::Int | Kind::Date => write_long(out, i64::from(i32::try_from(long()?).map_err(|_| misfit())?)),
        Kind::Long | Kind::TimeOfDay(_) | Kind::Timestamp(_) | Kind::LocalTimestamp(_) => write_long(out, long()?),
        Kind::Float => out.extend_from_slice(&(default.as_f64().ok_or_else(misfit)? as f32).to_le_bytes()),
        Kind::Double => out.extend_from_slice(&default.as_f64().ok_or_else(misfit)?.to_le_bytes()),
        Kind::String | Kind::Uuid(UuidForm::Text) => sized(default.as_str().ok_or_else(misfit)?.as_bytes(), out),
        Kind::Bytes | Kind::Uuid(UuidForm::Bytes) => sized(&latin1(default).ok_or_else(misfit)?, out),
        Kind::Fixed(size) => fixed(*size, default, out).ok_or_else(misfit)?,
        Kind::Uuid(UuidForm::Fixed) => fixed(16, default, out).ok_or_else(misfit)?,
        Kind::Decimal(decimal) => match decimal.fixed {
            Some(size) => fixed(size, default, out).ok_or_else(misfit)?,
            None => sized(&latin1(default).ok_or_else(misfit)?, out),
        },
        Kind::Enum(symbols) => {
            let symbol = default.as_str().ok_or_else(misfit)?;
            count(symbols.iter().position(|known| known == symbol).ok_or_else(misfit)?, out);
        }
        Kind::Array(items) => {
            let values = default.as_array().ok_or_else(misfit)?;
            blocks(values.iter(), out, |value, out| write(items, value, out))?;
        }
        Kind::Map(kind) => {
            let values = default.as_object().ok_or_else(misfit)?;
            blocks(values.iter(), out, |(key, value), out| {
                sized(key.as_bytes(), out);
                write(kind, value, out)
            })?;
        }
        Kind::Record(record) => fields(record, default.as_object().ok_or_else(misfit)?, out)?,
        Kind::Nullable(nullable) if default.is_null() => count(usize::from(nullable.null_index), out),
        Kind::Nullable(nullable) => {
            count(usize::from(1 - nullable.null_index), out);
            write(&nullable.value, default, out)?;
        }
        Kind::Union(branches) => first_fit(branches, default, out).ok_or_else(misfit)?,
    }
    if out.len() > DEFAULT_BYTES_MAX { Err(format!("longer than {DEFAULT_BYTES_MAX} bytes")) } else { Ok(()) }
}

fn fields(record: &Record, default: &Map<String, Value>, out: &mut Vec<u8>) -> Result<(), String> {
    for field in &record.fields {
        match (default.get(&field.name), &field.default) {
            (Some(value), _) => write(&field.kind, value, out)?,
            (None, Some(own)) => out.extend_from_slice(&own.avro),
            (None, None) => return Err(format!("field `{}` is missing", field.name)),
        }
    }
    Ok(())
}

fn first_fit(branches: &[Kind], default: &Value, out: &mut Vec<u8>) -> Option<()> {
    let before = out.len();
    branches.iter().enumerate().find_map(|(index, branch)| {
        out.truncate(before);
        count(index, out);
        write(branch, default, out).ok()
    })
}

fn blocks<T>(
    values: impl ExactSizeIterator<Item = T>,
    out: &mut Vec<u8>,
    mut item: impl FnMut(T, &mut Vec<u8>) -> Result<(), String>,
) -> Result<(), String> {
    if values.len() > 0 {
        count(values.len(), out);
    }
    for value in values {
        item(value, out)?;
    }
    count(0, out);
    Ok(())
}

fn fixed(size: usize, default: &Value, out: &mut Vec<u8>) -> Option<()> {
    let bytes = latin1(default).filter(|bytes| bytes.len() == size)?;
    out.extend_from_slice(&bytes);
    Some(())
}

fn sized(bytes: &[u8], out: &mut Vec<u8>) {
    count(bytes.len(), out);
    out.extend_from_slice(bytes);
}

fn count(count: usize, out: &mut Vec<u8>) {
    write_long(out, i64::try_from(count).expect("lengths fit 63 bits"));
}

/// Bytes as Avro's JSON form has them: the characters U+0000 to U+00FF.
fn latin1(default: &Value) -> Option<Vec<u8>> {
    default.as_str()?.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}
