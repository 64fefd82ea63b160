//! Decoding, and asking the registry for schemas that are not known yet.

use spina_codec::SchemaCache;
use spina_codec::catalog::ResolveError;
use spina_codec::frame::{self, FrameError};
use spina_codec::recorded::{self, DecodeError};
use spina_core::{EventHeaders, Position, Recorded};
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
    /// Its schema is not to be had.
    #[error(transparent)]
    Schema(#[from] ResolveError),
}

/// The event whose headers and place are known, as it would be recorded today.
pub async fn stored(
    headers: EventHeaders,
    position: Position,
    value: &[u8],
    schemas: &SchemaCache,
) -> Result<Recorded, DecodeFailure> {
    let (schema_id, _) = frame::split(value)?;
    if schemas.get(schema_id).is_none() {
        schemas.resolve(schema_id).await?;
    }
    Ok(recorded::open_value(headers, position, value, schemas)?.decode()?)
}

/// The event in a record, as it would be recorded today.
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
