//! JSON to Avro binary.

use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value};
use uuid::Uuid;

use super::error::{Invalid, shortened};
use super::kind::{Decimal, Kind, Record, UuidForm};
use super::{AVRO_BYTES_MAX, VALUES_MAX, temporal};

/// Writes a record behind what is in `out`; after an error `out` is as it was.
pub(super) fn encode(record: &Record, data: &Map<String, Value>, out: &mut Vec<u8>) -> Result<(), Invalid> {
    let start = out.len();
    let mut output = Output { out, start, values_left: VALUES_MAX };
    let written = output.fields(record, data).and_then(|()| output.check_length());
    if written.is_err() {
        out.truncate(start);
    }
    written.map_err(|invalid| invalid.in_field("data"))
}

/// Avro binary as it is written.
struct Output<'o> {
    out: &'o mut Vec<u8>,
    start: usize,
    values_left: usize,
}

impl Output<'_> {
    fn fields(&mut self, record: &Record, data: &Map<String, Value>) -> Result<(), Invalid> {
        let mut found = 0;
        for field in &record.fields {
            match (data.get(&field.name), &field.default) {
                (Some(value), _) => {
                    found += 1;
                    self.value(&field.kind, value).map_err(|invalid| invalid.in_field(&field.name))?;
                }
                (None, Some(default)) => {
                    self.count_values(default.values)?;
                    self.out.extend_from_slice(&default.avro);
                }
                (None, None) => {
                    let message = format!("the field is missing and `{}` has no default for it", record.full_name);
                    return Err(Invalid::new(Invalid::MISSING_FIELD, message).in_field(&field.name));
                }
            }
        }
        if found == data.len() { Ok(()) } else { Err(unknown_field(record, data)) }
    }

    fn value(&mut self, kind: &Kind, value: &Value) -> Result<(), Invalid> {
        self.count_values(1)?;
        match (kind, value) {
            (Kind::Null, Value::Null) => {}
            (Kind::Boolean, Value::Bool(flag)) => self.out.push(u8::from(*flag)),
            (Kind::Int, Value::Number(number)) => {
                let long = whole(number)?;
                let int = i32::try_from(long).map_err(|_| range(number, "a 32-bit integer"))?;
                self.long(i64::from(int));
            }
            (Kind::Long, Value::Number(number)) => self.long(whole(number)?),
            (Kind::Float, Value::Number(number)) => self.out.extend_from_slice(&float(number)?.to_le_bytes()),
            (Kind::Double, Value::Number(number)) => self.out.extend_from_slice(&double(number)?.to_le_bytes()),
            (Kind::String, Value::String(text)) => self.sized(text.as_bytes()),
            (Kind::Bytes, Value::String(text)) => self.sized(&base64(text)?),
            (Kind::Fixed(size), Value::String(text)) => self.fixed(&base64(text)?, *size)?,
            (Kind::Enum(symbols), Value::String(text)) => self.index(symbol(symbols, text)?),
            (Kind::Date, Value::String(text)) => self.long(i64::from(temporal::parse_date(text)?)),
            (Kind::TimeOfDay(precision), Value::String(text)) => self.long(temporal::parse_time(text, *precision)?),
            (Kind::Timestamp(precision), Value::String(text)) => {
                self.long(temporal::parse_timestamp(text, *precision)?);
            }
            (Kind::LocalTimestamp(precision), Value::String(text)) => {
                self.long(temporal::parse_local(text, *precision)?);
            }
            (Kind::Decimal(decimal), Value::String(text)) => self.decimal(decimal, decimal.parse(text)?)?,
            (Kind::Uuid(form), Value::String(text)) => self.uuid(*form, text)?,
            (Kind::Array(items), Value::Array(values)) => self.array(items, values)?,
            (Kind::Map(kind), Value::Object(values)) => self.map(kind, values)?,
            (Kind::Record(record), Value::Object(data)) => self.fields(record, data)?,
            (Kind::Nullable(nullable), Value::Null) => self.index(usize::from(nullable.null_index)),
            (Kind::Nullable(nullable), value) => {
                self.index(usize::from(1 - nullable.null_index));
                self.value(&nullable.value, value)?;
            }
            (Kind::Union(branches), value) => self.union(branches, value)?,
            (kind, value) => return Err(mismatch(kind, value)),
        }
        Ok(())
    }

    fn decimal(&mut self, decimal: &Decimal, unscaled: i128) -> Result<(), Invalid> {
        match decimal.fixed {
            None => self.sized(Decimal::shortest(&unscaled.to_be_bytes())),
            Some(size) => {
                let bytes = Decimal::to_fixed(unscaled, size);
                let bytes = bytes.ok_or_else(|| Invalid::new(Invalid::RANGE, format!("longer than {size} bytes")))?;
                self.out.extend_from_slice(&bytes);
            }
        }
        Ok(())
    }

    fn uuid(&mut self, form: UuidForm, text: &str) -> Result<(), Invalid> {
        const HYPHENATED_BYTES: usize = 36;
        let uuid = Uuid::from_str(text).ok().filter(|_| text.len() == HYPHENATED_BYTES);
        let uuid = uuid.ok_or_else(|| Invalid::new(Invalid::FORMAT, format!("`{}` is not a UUID", shortened(text))))?;
        match form {
            UuidForm::Text => self.sized(uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes()),
            UuidForm::Fixed => self.out.extend_from_slice(uuid.as_bytes()),
            UuidForm::Bytes => self.sized(uuid.as_bytes()),
        }
        Ok(())
    }

    fn array(&mut self, items: &Kind, values: &[Value]) -> Result<(), Invalid> {
        if !values.is_empty() {
            self.index(values.len());
        }
        for (index, value) in values.iter().enumerate() {
            self.value(items, value).map_err(|invalid| invalid.at_index(index))?;
        }
        self.index(0);
        Ok(())
    }

    fn map(&mut self, kind: &Kind, values: &Map<String, Value>) -> Result<(), Invalid> {
        if !values.is_empty() {
            self.index(values.len());
        }
        for (key, value) in values {
            self.sized(key.as_bytes());
            self.value(kind, value).map_err(|invalid| invalid.in_field(key))?;
        }
        self.index(0);
        Ok(())
    }

    fn union(&mut self, branches: &[Kind], value: &Value) -> Result<(), Invalid> {
        let before = self.out.len();
        for (index, branch) in branches.iter().enumerate() {
            self.index(index);
            match self.value(branch, value) {
                Ok(()) => return Ok(()),
                Err(invalid) if invalid.code == Invalid::TOO_LARGE => return Err(invalid),
                Err(_) => self.out.truncate(before),
            }
        }
        let names: Vec<&str> = branches.iter().map(name).collect();
        let message = format!("{} fits none of: {}", shown(value), names.join(", "));
        Err(Invalid::new(Invalid::TYPE, message))
    }

    fn fixed(&mut self, bytes: &[u8], size: usize) -> Result<(), Invalid> {
        if bytes.len() != size {
            return Err(Invalid::new(Invalid::RANGE, format!("{} bytes, the field has exactly {size}", bytes.len())));
        }
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    /// Counts values, failed attempts at union branches too, and looks at the length so far. Nothing that is written
    /// between two counts is longer than its own JSON or a default.
    #[inline]
    fn count_values(&mut self, count: usize) -> Result<(), Invalid> {
        let left = self.values_left.checked_sub(count);
        self.values_left = left.ok_or_else(|| too_large(format!("more than {VALUES_MAX} values")))?;
        self.check_length()
    }

    fn check_length(&self) -> Result<(), Invalid> {
        if self.out.len() - self.start > AVRO_BYTES_MAX {
            return Err(too_large(format!("more than {AVRO_BYTES_MAX} bytes of Avro")));
        }
        Ok(())
    }

    fn long(&mut self, value: i64) {
        write_long(self.out, value);
    }

    fn index(&mut self, index: usize) {
        self.long(i64::try_from(index).expect("lengths fit 63 bits"));
    }

    fn sized(&mut self, bytes: &[u8]) {
        self.index(bytes.len());
        self.out.extend_from_slice(bytes);
    }
}

/// A zigzag varint.
#[inline]
pub(super) fn write_long(out: &mut Vec<u8>, value: i64) {
    let mut zigzag = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while zigzag >= 0x80 {
        out.push(zigzag.to_le_bytes()[0] | 0x80);
        zigzag >>= 7;
    }
    out.push(zigzag.to_le_bytes()[0]);
}

fn whole(number: &Number) -> Result<i64, Invalid> {
    match number.as_i64() {
        Some(long) => Ok(long),
        None if number.is_u64() => Err(range(number, "a 64-bit integer")),
        None => Err(Invalid::new(Invalid::TYPE, format!("{number} is not a whole number"))),
    }
}

fn float(number: &Number) -> Result<f32, Invalid> {
    // Out-of-range doubles become infinite.
    let float = double(number)? as f32;
    if float.is_finite() { Ok(float) } else { Err(range(number, "a 32-bit float")) }
}

/// Whole numbers are taken where a double keeps them exactly.
fn double(number: &Number) -> Result<f64, Invalid> {
    let double = number.as_f64().ok_or_else(|| range(number, "a double"))?;
    let exact = match (number.as_i64(), number.as_u64()) {
        (Some(long), _) => double as i128 == i128::from(long),
        (None, Some(long)) => double as i128 == i128::from(long),
        (None, None) => true,
    };
    if exact { Ok(double) } else { Err(range(number, "what a double keeps exactly")) }
}

fn base64(text: &str) -> Result<Vec<u8>, Invalid> {
    let bytes = STANDARD.decode(text);
    bytes.map_err(|error| Invalid::new(Invalid::FORMAT, format!("not base64: {}", error.to_string().to_lowercase())))
}

fn symbol(symbols: &[String], text: &str) -> Result<usize, Invalid> {
    let index = symbols.iter().position(|symbol| symbol == text);
    index.ok_or_else(|| {
        let known = shortened(&symbols.join(", "));
        Invalid::new(Invalid::FORMAT, format!("`{}` is none of: {known}", shortened(text)))
    })
}

fn unknown_field(record: &Record, data: &Map<String, Value>) -> Invalid {
    let unknown = data.keys().find(|name| !record.fields.iter().any(|field| field.name == **name));
    let message = format!("`{}` has no such field", record.full_name);
    Invalid::new(Invalid::UNKNOWN_FIELD, message).in_field(unknown.map_or("", String::as_str))
}

fn too_large(message: String) -> Invalid {
    Invalid::new(Invalid::TOO_LARGE, message)
}

fn range(number: &Number, what: &str) -> Invalid {
    Invalid::new(Invalid::RANGE, format!("{number} is beyond {what}"))
}

fn mismatch(kind: &Kind, value: &Value) -> Invalid {
    Invalid::new(Invalid::TYPE, format!("{} is not {}", shown(value), name(kind)))
}

/// What a JSON value is, for messages.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => format!("the text \"{}\"", shortened(text)),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

/// What a kind asks for, for messages.
fn name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Null => "null",
        Kind::Boolean => "a boolean",
        Kind::Int | Kind::Long => "a whole number",
        Kind::Float | Kind::Double => "a number",
        Kind::String => "text",
        Kind::Bytes | Kind::Fixed(_) => "base64 text",
        Kind::Enum(_) => "the text of a symbol",
        Kind::Date => "the text of a day",
        Kind::TimeOfDay(_) => "the text of a time of day",
        Kind::Timestamp(_) | Kind::LocalTimestamp(_) => "the text of an instant",
        Kind::Decimal(_) => "the text of a decimal",
        Kind::Uuid(_) => "the text of a UUID",
        Kind::Array(_) => "an array",
        Kind::Map(_) | Kind::Record(_) => "an object",
        Kind::Nullable(nullable) => name(&nullable.value),
        Kind::Union(_) => "any of a union",
    }
}
