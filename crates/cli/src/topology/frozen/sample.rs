//! The sample of one released schema.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use spina_codec::shape::Shape;

/// The fields of a record.
pub type Fields = Map<String, Value>;

/// Longest sample file, in bytes.
const SAMPLE_BYTES_MAX: u64 = 1024 * 1024;

/// What was written with a schema, and how it is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Avro binary, without frame, in hexadecimal digits.
    avro: String,
    /// Its fields as written.
    pub written: Fields,
    /// What it is read as today.
    pub read: Read,
}

/// An event as it is read today.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// Its name.
    #[serde(rename = "type")]
    pub event: String,
    /// Its fields.
    pub data: Fields,
}

impl Read {
    /// As it stands in the file, on one line.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Sample {
    /// A new one of a schema, read as it was written.
    pub fn of(shape: &Shape) -> Result<Self, String> {
        let written = shape.sample();
        let avro = shape.encode(&written).map_err(|invalid| format!("cannot make a sample: {invalid}"))?;
        let read = Read { event: shape.name().to_owned(), data: written.clone() };
        Ok(Self { avro: avro.iter().map(|byte| format!("{byte:02x}")).collect(), written, read })
    }

    /// Reads one; tells why it cannot.
    pub fn read(path: &Path) -> Result<Self, String> {
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.len() > SAMPLE_BYTES_MAX => {
                return Err(format!("is larger than {SAMPLE_BYTES_MAX} bytes"));
            }
            Ok(_) => {}
            Err(_) => {
                return Err(
                    "is missing: every released schema has a sample, `spina topology freeze` makes it".to_owned()
                );
            }
        }
        let text = std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))?;
        serde_json::from_str(&text).map_err(|error| format!("is no sample: {error}"))
    }

    /// The text of its file.
    pub fn to_text(&self) -> String {
        format!("{}\n", serde_json::to_string_pretty(self).unwrap_or_default())
    }

    /// The fields behind the bytes.
    pub fn decode(&self, shape: &Shape) -> Result<Fields, String> {
        let digits = |at: usize| self.avro.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        let bytes: Option<Vec<u8>> = (0..self.avro.len()).step_by(2).map(digits).collect();
        let bytes = bytes.ok_or("`avro` is not pairs of hexadecimal digits")?;
        shape.decode(&bytes).map_err(|error| format!("`avro` cannot be decoded: {error}"))
    }
}
