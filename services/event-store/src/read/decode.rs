//! Decoding, and asking the registry for schemas that are not known yet.

use serde_json::{Map, Value};
use spina_codec::SchemaCache;
use spina_codec::catalog::ResolveError;
use spina_codec::frame::{self, FrameError};
use spina_codec::recorded::{self, DecodeError};
use spina_codec::shape::Malformed;
use spina_core::Recorded;
use spina_log::Fetched;

/// Why a value could not be decoded.
#[derive(Debug, thiserror::Error)]
pub enum DecodeFailure {
    /// The record is no event.
    #[error(transparent)]
    Record(#[from] DecodeError),
    /// The value is not framed.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The data is not what its schema says.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Its schema is not to be had.
    #[error(transparent)]
    Schema(#[from] ResolveError),
}

/// The fields in a framed value.
pub async fn value(value: &[u8], schemas: &SchemaCache) -> Result<Map<String, Value>, DecodeFailure> {
    let (schema_id, avro) = frame::split(value)?;
    Ok(schemas.resolve(schema_id).await?.decode(avro)?)
}

/// The event in a record.
pub async fn record(record: &Fetched, schemas: &SchemaCache) -> Result<Recorded, DecodeFailure> {
    loop {
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        let decoded =
            recorded::decode(&record.topic, record.partition, record.offset, key, value, &record.headers, schemas);
        match decoded {
            Err(DecodeError::UnknownSchema(id)) => {
                schemas.resolve(id).await?;
            }
            decoded => return Ok(decoded?),
        }
    }
}
