//! Avro records as JSON, with every guard.
//!
//! A [`Shape`] is an Avro record schema compiled once into a small tree of our own. It writes JSON objects as Avro
//! binary and reads them back. The Avro library parses the schema's text; the bytes are ours to read and write, because
//! the library takes truncated input and trailing bytes for good, and overflows the stack on deep input.
//!
//! | Avro | JSON |
//! |---|---|
//! | int, long | a whole number in range |
//! | float, double | a number; NaN and infinities cannot be said |
//! | bytes, fixed | base64 with padding |
//! | enum | the symbol |
//! | date, time-*, timestamp-*, local-timestamp-* | `2013-01-01`, `10:15:00.5`, `2013-01-01T10:15:00Z`, `2013-01-01T10:15:00` |
//! | decimal | text with all its decimals: `"12.50"` |
//! | uuid | hyphenated text |
//! | union of null and one other | null or the bare value |
//! | other unions | the bare value; the first branch that fits is written |
//!
//! Nothing is converted silently: text for a number, `1.0` for a whole number, microseconds for a field that keeps
//! milliseconds, unknown and missing fields are refused with a code and the path of the offender.
//!
//! What encodes decodes to the same JSON, and the limits of both sides are the same: [`AVRO_BYTES_MAX`],
//! [`VALUES_MAX`], [`DEPTH_MAX`].

mod compile;
mod decimal;
mod decode;
mod default;
mod encode;
mod error;
mod input;
mod kind;
mod mask;
mod outline;
mod sample;
mod sound;
mod temporal;

use std::sync::Arc;

use serde_json::{Map, Value};

pub use error::{Invalid, Malformed, ShapeError};
pub use kind::{Decimal, Field, Kind, Nullable, Precision, Record, UuidForm};
pub use mask::FieldMask;

/// Longest Avro binary of one record, in bytes.
pub const AVRO_BYTES_MAX: usize = 10 * 1024 * 1024;
/// Most values in one record, nested ones counted: what a hostile value of few bytes could blow up to.
pub const VALUES_MAX: usize = 1_000_000;
/// Deepest nesting of a schema. Shapes are not recursive, so no data is deeper than its schema.
pub const DEPTH_MAX: usize = 32;
/// Longest schema text, in bytes.
pub const SCHEMA_BYTES_MAX: usize = 256 * 1024;
/// Most fields in a schema, over all its records.
pub const FIELDS_MAX: usize = 2_000;

/// An Avro record schema, compiled. Cheap to clone.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    record: Arc<Record>,
}

impl Shape {
    /// Compiles the text of an Avro schema (an `.avsc` file).
    ///
    /// # Errors
    /// When the text is not a schema, is not a record at the top, is recursive, is beyond a limit, or has a type that
    /// has no JSON form here (`duration`, `big-decimal`, decimals of more than 38 digits).
    pub fn compile(schema_json: &str) -> Result<Self, ShapeError> {
        compile::compile(schema_json).map(|record| Self { record })
    }

    /// Name with namespace: `flights.FlightLanded`.
    pub fn full_name(&self) -> &str {
        self.record.full_name()
    }

    /// Name without namespace: `FlightLanded`.
    pub fn name(&self) -> &str {
        self.record.name()
    }

    /// The fields in the schema's order.
    pub fn fields(&self) -> &[Field] {
        self.record.fields()
    }

    /// The field of that name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields().iter().find(|field| field.name == name)
    }

    /// A mask of the named top-level fields, for [`Shape::decode_fields`]. Names that this shape does not have are
    /// passed over: another version of the schema may have them.
    pub fn mask<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> FieldMask {
        let mut mask = FieldMask::default();
        for name in names {
            if let Some(index) = self.fields().iter().position(|field| field.name == name) {
                mask.insert(index);
            }
        }
        mask
    }

    /// Writes a JSON object as Avro binary. A missing field takes the schema's default.
    ///
    /// # Errors
    /// When the object does not fit; the error names the first offender.
    pub fn encode(&self, data: &Map<String, Value>) -> Result<Vec<u8>, Invalid> {
        let mut out = Vec::with_capacity(128);
        self.encode_into(data, &mut out)?;
        Ok(out)
    }

    /// Like [`Shape::encode`], behind what is in `out` already (the frame). After an error `out` is as it was.
    ///
    /// # Errors
    /// As [`Shape::encode`].
    pub fn encode_into(&self, data: &Map<String, Value>, out: &mut Vec<u8>) -> Result<(), Invalid> {
        encode::encode(&self.record, data, out)
    }

    /// Reads a whole record.
    ///
    /// # Errors
    /// When the bytes are not exactly one record of this shape within the limits. Takes any bytes without panic, and
    /// no more memory than about 100 bytes for each value read and the text itself.
    pub fn decode(&self, avro: &[u8]) -> Result<Map<String, Value>, Malformed> {
        decode::decode(&self.record, avro, None)
    }

    /// Whether the bytes can be kept as they are: exactly one record, every value of which [`Shape::decode`] would read.
    /// Allocates nothing. False is no verdict: `decode` tells what is wrong, if anything is.
    pub fn is_sound(&self, avro: &[u8]) -> bool {
        sound::is_sound(&self.record, avro)
    }

    /// Reads the top-level fields in the mask and passes over the others, of which only the lengths are looked at.
    ///
    /// # Errors
    /// As [`Shape::decode`], save that passed-over text may be anything.
    pub fn decode_fields(&self, avro: &[u8], mask: &FieldMask) -> Result<Map<String, Value>, Malformed> {
        decode::decode(&self.record, avro, Some(mask))
    }
}

#[cfg(test)]
mod tests;
