//! Events as they were recorded.

use serde_json::{Map, Value};

use crate::{Position, StreamId, Timestamp, Version};

/// What an event says about itself besides its data. On the wire these are the CloudEvents headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventHeaders {
    /// Unique id of the event (`ce_id`).
    pub id: String,
    /// `<context>.<aggregate>.<Event>` (`ce_type`).
    pub event_type: String,
    /// The stream it belongs to (`ce_subject` and the record key).
    pub stream: StreamId,
    /// Its place in the stream (`ce_sequence`).
    pub version: Version,
    /// When it happened, by the publisher (`ce_time`).
    pub time: Timestamp,
    /// The business transaction it belongs to.
    pub correlation_id: Option<String>,
    /// The event or command that led to it.
    pub causation_id: Option<String>,
    /// W3C trace context of the append.
    pub traceparent: Option<String>,
    /// W3C vendor part of the trace context.
    pub tracestate: Option<String>,
    /// Epoch of the partition's owner when it was written.
    pub epoch: u64,
    /// Idempotency key of the append it came with, if that differs from the event's own id.
    pub request_id: Option<String>,
}

impl EventHeaders {
    /// The event's name without context and aggregate: `FlightLanded`.
    pub fn event_name(&self) -> &str {
        self.event_type.rsplit('.').next().unwrap_or(&self.event_type)
    }

    /// The idempotency key: the request's, or the event's own id.
    pub fn request_key(&self) -> &str {
        self.request_id.as_deref().unwrap_or(&self.id)
    }
}

/// An event read back from the log: headers, place and decoded data.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// What it says about itself.
    pub headers: EventHeaders,
    /// Where it stands in the log.
    pub position: Position,
    /// Its fields.
    pub data: Map<String, Value>,
}
