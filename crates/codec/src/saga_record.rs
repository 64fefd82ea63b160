//! Records of the log of sagas, `spina.SagaRecord`: what happened to which saga.

use serde_json::{Map, Value};
use spina_core::Timestamp;
use spina_core::saga::{Happened, SagaEvent};

use crate::frame::{self, FrameError};
use crate::shape::{Malformed, Shape};

/// Full name of the record.
pub const RECORD: &str = "spina.SagaRecord";

/// Why a record is none of the log of sagas.
#[derive(Debug, thiserror::Error)]
pub enum BadSagaRecord {
    /// The frame is none.
    #[error("the value has no schema id")]
    Frame(#[from] FrameError),
    /// The value does not fit the schema.
    #[error("the value does not fit its schema")]
    Value(#[from] Malformed),
    /// A field is missing or of another kind.
    #[error("`{0}` is missing, or not what it must be")]
    Field(&'static str),
    /// It is not known what happened.
    #[error("`data` does not fit `type`")]
    Data(#[from] serde_json::Error),
}

/// What happened, out of a record's value.
///
/// # Errors
/// [`BadSagaRecord`].
pub fn read(value: &[u8], shape: &Shape) -> Result<Happened, BadSagaRecord> {
    let (_, avro) = frame::split(value)?;
    let fields = shape.decode(avro)?;
    let mut data: Map<String, Value> = serde_json::from_str(text(&fields, "data")?)?;
    data.insert("type".to_owned(), fields.get("type").cloned().ok_or(BadSagaRecord::Field("type"))?);
    let event: SagaEvent = serde_json::from_value(Value::Object(data))?;
    let number = fields.get("number").and_then(Value::as_u64).ok_or(BadSagaRecord::Field("number"))?;
    let at: Timestamp = text(&fields, "at")?.parse().map_err(|_| BadSagaRecord::Field("at"))?;
    Ok(Happened { saga: text(&fields, "saga")?.to_owned(), number, at, event })
}

fn text<'f>(fields: &'f Map<String, Value>, name: &'static str) -> Result<&'f str, BadSagaRecord> {
    fields.get(name).and_then(Value::as_str).ok_or(BadSagaRecord::Field(name))
}
