//! A record of an events topic, read back.
//!
//! Everything is checked: frame, headers, key, that the schema is the one of the event's type, and every byte of the
//! data. A record that fails any of it gives an error that says which. What was written under an older schema is given
//! as it would be recorded today ([`crate::reading`]).

use std::sync::Arc;

use serde_json::{Map, Value};
use spina_core::upcast::UpcastError;
use spina_core::{EventHeaders, Position, Recorded};

use crate::catalog::{Known, SchemaCache};
use crate::frame::{self, FrameError};
use crate::headers::{HeaderError, Headers, read_event_headers};
use crate::reading::Reading;
use crate::shape::{FieldMask, Malformed, Shape};

/// Why a record is not an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The record has no key, so no stream.
    #[error("the record has no key")]
    NoKey,
    /// The record has no value. Events are never deleted, so there are no tombstones.
    #[error("the record has no value")]
    NoValue,
    /// The value is not framed.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// Headers or key are not an event's.
    #[error(transparent)]
    Headers(#[from] HeaderError),
    /// The schema is not known yet: [`SchemaCache::resolve`] it and decode again.
    #[error("schema {0} is not known yet")]
    UnknownSchema(u32),
    /// The value is of another type than the headers say.
    #[error("the headers say `{event_type}`, the value is a `{record}`")]
    WrongSchema {
        /// The type in the headers.
        event_type: String,
        /// Full name of the value's record.
        record: String,
    },
    /// The data is not what its schema says.
    #[error("`{record}`: {source}")]
    Malformed {
        /// Full name of the record.
        record: String,
        /// What is wrong with it.
        source: Malformed,
    },
    /// The event was written under an older schema and cannot be read as it would be recorded today.
    #[error(transparent)]
    Upcast(#[from] UpcastError),
}

/// An event whose headers are read and whose data is not yet: the reader may want no field of it, or few.
#[derive(Debug)]
pub struct Opened<'v> {
    /// What the event says about itself.
    pub headers: EventHeaders,
    /// Where it stands.
    pub position: Position,
    /// Id of the schema it was written with; masks can be kept by it.
    pub schema_id: u32,
    /// That schema.
    pub shape: Arc<Shape>,
    /// How events of that schema are read today, unless just as they are.
    pub reading: Option<Arc<Reading>>,
    /// Its data, in Avro binary.
    pub avro: &'v [u8],
}

/// Opens a record: everything but the data is read and checked.
///
/// # Errors
/// As [`DecodeError`] says; all but `UnknownSchema` are final.
pub fn open<'v>(
    topic: &str,
    partition: i32,
    offset: i64,
    key: Option<&[u8]>,
    value: Option<&'v [u8]>,
    headers: &Headers,
    schemas: &SchemaCache,
) -> Result<Opened<'v>, DecodeError> {
    let key = key.ok_or(DecodeError::NoKey)?;
    let value = value.ok_or(DecodeError::NoValue)?;
    let headers = read_event_headers(headers, key)?;
    let position = Position { topic: topic.to_owned(), partition, offset };
    open_value(headers, position, value, schemas)
}

/// Opens an event whose headers were kept apart, as the archive does.
///
/// # Errors
/// As [`open`].
pub fn open_value<'v>(
    headers: EventHeaders,
    position: Position,
    value: &'v [u8],
    schemas: &SchemaCache,
) -> Result<Opened<'v>, DecodeError> {
    let (schema_id, avro) = frame::split(value)?;
    let known = schemas.known(schema_id).ok_or(DecodeError::UnknownSchema(schema_id))?;
    let Known { shape, reading } = known;
    if headers.event_name() != shape.name() {
        let record = shape.full_name().to_owned();
        return Err(DecodeError::WrongSchema { event_type: headers.event_type, record });
    }
    Ok(Opened { headers, position, schema_id, shape, reading, avro })
}

/// Opens a record and reads all its data.
///
/// # Errors
/// As [`open`], and when the data is malformed.
pub fn decode(
    topic: &str,
    partition: i32,
    offset: i64,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &Headers,
    schemas: &SchemaCache,
) -> Result<Recorded, DecodeError> {
    open(topic, partition, offset, key, value, headers, schemas)?.decode()
}

impl Opened<'_> {
    /// Reads all the data, as it would be recorded today.
    ///
    /// # Errors
    /// When it is malformed or cannot be upcast.
    pub fn decode(self) -> Result<Recorded, DecodeError> {
        let data = self.shape.decode(self.avro);
        self.recorded(data)
    }

    /// Reads all the data as it was written.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn decode_raw(mut self) -> Result<Recorded, DecodeError> {
        self.reading = None;
        self.decode()
    }

    /// Reads the fields in the mask, which must be of this schema and include what the reading needs.
    ///
    /// # Errors
    /// When the data is malformed or cannot be upcast.
    pub fn decode_fields(self, mask: &FieldMask) -> Result<Recorded, DecodeError> {
        let data = self.shape.decode_fields(self.avro, mask);
        self.recorded(data)
    }

    fn recorded(self, data: Result<Map<String, Value>, Malformed>) -> Result<Recorded, DecodeError> {
        let Self { mut headers, position, shape, reading, .. } = self;
        let malformed = |source| DecodeError::Malformed { record: shape.full_name().to_owned(), source };
        let mut data = data.map_err(malformed)?;
        if let Some(reading) = reading {
            data = reading.fields(data)?;
            reading.rename(&mut headers);
        }
        Ok(Recorded { headers, position, data })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::headers::write_event_headers;
    use crate::registry::RegistryClient;

    const SCHEMA: &str = r#"{"type": "record", "name": "FlightLanded", "namespace": "flights", "fields": [
        {"name": "origin", "type": "string"}, {"name": "miles", "type": "int"}]}"#;

    fn schemas() -> SchemaCache {
        let cache = SchemaCache::new(RegistryClient::new("http://127.0.0.1:1").unwrap());
        cache.insert(7, Arc::new(Shape::compile(SCHEMA).unwrap())).unwrap();
        cache
    }

    fn headers(event_type: &str) -> Headers {
        let event = EventHeaders {
            id: "e-1".to_owned(),
            event_type: event_type.to_owned(),
            stream: "flight-1".parse().unwrap(),
            version: spina_core::Version(1),
            time: "2013-01-01T10:15:00Z".parse().unwrap(),
            correlation_id: None,
            causation_id: None,
            traceparent: None,
            tracestate: None,
            epoch: 1,
            request_id: None,
        };
        write_event_headers(&event, "/spina")
    }

    fn value() -> Vec<u8> {
        let data = json!({"origin": "EWR", "miles": 1400});
        frame::frame(7, &schemas().get(7).unwrap().encode(data.as_object().unwrap()).unwrap())
    }

    fn landed(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Recorded, DecodeError> {
        decode("flights.events.v1", 3, 12, key, value, &headers("flights.flight.FlightLanded"), &schemas())
    }

    #[test]
    fn a_record_is_read_back_whole_or_in_part() {
        let event = landed(Some(b"flight-1"), Some(&value())).unwrap();
        assert_eq!(Value::from(event.data), json!({"origin": "EWR", "miles": 1400}));
        assert_eq!((event.position.partition, event.position.offset, event.headers.version.0), (3, 12, 1));
        let (value, headers, schemas) = (value(), headers("flights.flight.FlightLanded"), schemas());
        let opened = open("flights.events.v1", 3, 12, Some(b"flight-1"), Some(&value), &headers, &schemas).unwrap();
        let mask = opened.shape.mask(["miles"]);
        assert_eq!(Value::from(opened.decode_fields(&mask).unwrap().data), json!({"miles": 1400}));
    }

    #[test]
    fn every_defect_has_its_error() {
        let whole = value();
        assert_eq!(landed(None, Some(&whole)), Err(DecodeError::NoKey));
        assert_eq!(landed(Some(b"flight-1"), None), Err(DecodeError::NoValue));
        assert!(matches!(landed(Some(b"flight-1"), Some(b"")), Err(DecodeError::Frame(_))));
        assert!(matches!(landed(Some(b"flight-2"), Some(&whole)), Err(DecodeError::Headers(_))));
        let unknown = frame::frame(8, b"");
        assert_eq!(landed(Some(b"flight-1"), Some(&unknown)), Err(DecodeError::UnknownSchema(8)));
        let short = &whole[..whole.len() - 1];
        assert!(matches!(landed(Some(b"flight-1"), Some(short)), Err(DecodeError::Malformed { .. })));
        let other = headers("flights.flight.FlightLost");
        let answer = decode("flights.events.v1", 3, 12, Some(b"flight-1"), Some(&whole), &other, &schemas());
        assert!(matches!(answer, Err(DecodeError::WrongSchema { .. })));
    }
}
