//! From a row to the record that Debezium's outbox router makes of it, as docs/connect/connectors.yaml sets that up.

use std::sync::Arc;

use bytes::Bytes;
use spina_codec::Headers;
use spina_codec::headers::{CE_ID, CE_TYPE, TRACEPARENT};
use spina_codec::partitioner::partition_for;
use spina_log::NewRecord;

use crate::failure::{Exit, Failure};

/// Largest payload, in bytes: that of an event.
pub const PAYLOAD_BYTES_MAX: usize = 1024 * 1024;
/// Header that the router always gives.
const ID: &str = "id";

/// A row of the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its place.
    pub position: i64,
    /// Idempotency key.
    pub id: String,
    /// The stream.
    pub stream: String,
    /// Name of the event or command.
    pub r#type: String,
    /// Its fields, in JSON.
    pub payload: String,
    /// W3C trace context.
    pub traceparent: Option<String>,
}

/// The row's record in a topic of so many partitions.
///
/// # Errors
/// When the payload is larger than any record may be.
pub fn of_row(row: &Row, topic: &Arc<str>, partitions: i32) -> Result<NewRecord, Failure> {
    if row.payload.len() > PAYLOAD_BYTES_MAX {
        let (id, bytes) = (&row.id, row.payload.len());
        let message = format!("row {id} has a payload of {bytes} bytes, and {PAYLOAD_BYTES_MAX} are the most");
        let failure = Failure::new(Exit::Refused, "validation.too_large", message);
        return Err(failure.help("delete the row or make it smaller: those behind it wait"));
    }
    let mut headers = Headers::default();
    headers.push(ID, Some(row.id.as_bytes()));
    headers.push(CE_ID, Some(row.id.as_bytes()));
    headers.push(CE_TYPE, Some(row.r#type.as_bytes()));
    headers.push(TRACEPARENT, row.traceparent.as_deref().map(str::as_bytes));
    Ok(NewRecord {
        topic: Arc::clone(topic),
        partition: partition_for(row.stream.as_bytes(), partitions),
        key: Bytes::copy_from_slice(row.stream.as_bytes()),
        value: Some(Bytes::copy_from_slice(row.payload.as_bytes())),
        headers,
        timestamp_ms: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(payload: &str) -> Row {
        Row {
            position: 1,
            id: "7d444840-9dc0-11d1-b245-5ffdce74fad2".to_owned(),
            stream: "foobar".to_owned(),
            r#type: "FlightCancelled".to_owned(),
            payload: payload.to_owned(),
            traceparent: None,
        }
    }

    #[test]
    fn a_row_is_a_record_of_its_stream_under_its_id() {
        let record = of_row(&row("{}"), &"flights.commands.v1".into(), 50).unwrap();
        assert_eq!((record.partition, record.key.as_ref()), (16, b"foobar".as_slice()));
        assert_eq!(record.value.as_deref(), Some(b"{}".as_slice()));
        let names: Vec<&str> = record.headers.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["id", "ce_id", "ce_type", "traceparent"]);
        assert_eq!(record.headers.get_str("ce_id"), Some("7d444840-9dc0-11d1-b245-5ffdce74fad2"));
        assert_eq!(record.headers.get("traceparent"), None);
    }

    #[test]
    fn a_row_that_no_record_can_hold_is_refused_by_its_id() {
        let refused = of_row(&row(&"x".repeat(PAYLOAD_BYTES_MAX + 1)), &"t".into(), 1).unwrap_err();
        assert_eq!(refused.code, "validation.too_large");
        assert!(refused.message.contains("7d444840"), "{refused}");
    }
}
