//! Events to publish.

use serde_json::{Value, json};
use uuid::Uuid;

/// A stream that nobody has used.
pub fn new_stream() -> String {
    format!("flight-{}", Uuid::new_v4().simple())
}

pub fn scheduled() -> Value {
    let data = json!({
        "carrier": "UA", "flight": 1545, "origin": "EWR", "dest": "IAH", "day": "2013-01-01", "tail_number": "N14228",
        "distance_miles": 1400, "scheduled_departure": "2013-01-01T10:15:00Z", "scheduled_arrival": "2013-01-01T14:19:00Z",
    });
    json!({ "type": "FlightScheduled", "data": data, "time": "2012-12-31T10:15:00Z" })
}

pub fn departed() -> Value {
    let data = json!({
        "carrier": "UA", "origin": "EWR", "dest": "IAH", "day": "2013-01-01", "tail_number": "N14228",
        "departed_at": "2013-01-01T10:17:00Z", "departure_delay_min": 2,
    });
    json!({ "type": "FlightDeparted", "data": data, "time": "2013-01-01T10:17:00Z" })
}

pub fn cancelled() -> Value {
    json!({ "type": "FlightCancelled", "data": { "carrier": "UA", "origin": "EWR", "dest": "IAH", "day": "2013-01-01" } })
}

/// A `FlightCancelled` in Avro binary, framed, written without any library: strings are length and bytes, a date is a
/// count of days since 1970, and integers are zigzag, the lower seven bits first.
pub fn framed_cancelled(schema_id: u32) -> Vec<u8> {
    let mut value = vec![0];
    value.extend(schema_id.to_be_bytes());
    for text in ["UA", "EWR", "IAH"] {
        value.push(u8::try_from(text.len() * 2).unwrap());
        value.extend(text.as_bytes());
    }
    let mut zigzag = 15_706_u32 * 2; // 2013-01-01
    while zigzag >= 0x80 {
        value.push((zigzag & 0x7f) as u8 | 0x80);
        zigzag >>= 7;
    }
    value.push(zigzag as u8);
    value
}
