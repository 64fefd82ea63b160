//! What is sent: request `n` of an arm is always the same stream and payload, whoever sends it.

use bytes::Bytes;
use serde_json::{Map, Value, json};
use spina_codec::frame::frame;
use spina_codec::headers::{Headers, write_event_headers};
use spina_codec::partitioner::partition_for;
use spina_codec::shape::Shape;
use spina_core::{EventHeaders, StreamId, Timestamp, Version};
use spina_log::NewRecord;
use spina_testkit::history::{self, Payload};
use std::sync::Arc;

use crate::rng::{Rng, Zipf};

/// Streams of an arm.
const STREAMS: usize = 10_000;
/// Exponent of Zipf's law for the choice of streams: that of YCSB.
const SKEW: f64 = 0.99;
/// Different payloads; encoding them is not measured.
const PAYLOADS: usize = 1_000;
/// Full name of the events.
pub const EVENT_TYPE: &str = "bench.account.EntryPosted";
/// Partitions of every topic, as in the topology.
pub const PARTITIONS: i32 = 4;

const ALNUM: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const CURRENCIES: [&str; 3] = ["EUR", "USD", "GBP"];
const WORDS: &[u8] = b"abcdefghijklmnopqrstuvwxyz 0123456789 ";

/// Payloads, encoded once for all arms.
#[derive(Debug)]
pub struct Payloads(Vec<Encoded>);

#[derive(Debug)]
struct Encoded {
    json: String,
    value: Bytes,
    hash: u64,
}

impl Payloads {
    /// Made from the seed, encoded as the registered schema says.
    pub fn new(seed: u64, schema_id: u32, shape: &Shape) -> anyhow::Result<Self> {
        let encoded = |number| {
            let fields = entry(&mut Rng::of(seed, number));
            let value = Bytes::from(frame(schema_id, &shape.encode(&fields)?));
            let hash = history::payload_hash(EVENT_TYPE, &value);
            Ok(Encoded { json: Value::Object(fields).to_string(), value, hash })
        };
        (0..PAYLOADS as u64).map(encoded).collect::<anyhow::Result<Vec<_>>>().map(Self)
    }

    /// Mean size of a framed value, in bytes.
    pub fn bytes_mean(&self) -> usize {
        self.0.iter().map(|payload| payload.value.len()).sum::<usize>() / self.0.len()
    }
}

fn entry(rng: &mut Rng) -> Map<String, Value> {
    let day_ms = rng.below(365) as i64 * 86_400_000;
    let booked_at = Timestamp::from_millis(1_735_689_600_000 + day_ms).expect("a day of 2025");
    let entry = json!({
        "reference": rng.text(24, ALNUM),
        "counterparty": rng.text(22, ALNUM),
        "amount_cents": rng.below(1_000_000) as i64 - 500_000,
        "currency": CURRENCIES[rng.below(CURRENCIES.len())],
        "booked_at": booked_at,
        "balance_cents": rng.below(100_000_000),
        "memo": rng.text(170, WORDS),
    });
    entry.as_object().cloned().expect("it is an object")
}

/// The requests of one arm in one round. Its streams and ids are its own.
#[derive(Debug)]
pub struct Script {
    name: String,
    context: &'static str,
    seed: u64,
    payloads: Arc<Payloads>,
    zipf: Zipf,
    streams: Vec<(StreamId, i32)>,
}

impl Script {
    /// `name` must be that of no other arm, round or run, and may stand in a stream id.
    pub fn new(name: String, seed: u64, payloads: Arc<Payloads>) -> Self {
        let stream = |n| {
            let id: StreamId = format!("account-{name}-{n}").parse().expect("a name that may stand in a stream id");
            let partition = partition_for(id.as_str().as_bytes(), PARTITIONS);
            (id, partition)
        };
        let streams = (0..STREAMS).map(stream).collect();
        Self { name, context: "bench", seed, payloads, zipf: Zipf::new(STREAMS, SKEW), streams }
    }

    /// The same requests to another context than `bench`.
    #[must_use]
    pub fn in_context(self, context: &'static str) -> Self {
        Self { context, ..self }
    }

    fn path(&self, stream: &str) -> String {
        format!("/v1/{}/streams/{stream}/events", self.context)
    }

    fn pick(&self, n: u64) -> (&(StreamId, i32), &Encoded) {
        let mut rng = Rng::of(self.seed, n);
        (&self.streams[self.zipf.pick(&mut rng)], &self.payloads.0[rng.below(PAYLOADS)])
    }

    /// Id of the event of request `n`.
    pub fn id(&self, n: u64) -> String {
        format!("{}-{n:08}", self.name)
    }

    /// Its stream.
    pub fn stream(&self, n: u64) -> &str {
        self.pick(n).0.0.as_str()
    }

    /// What the checker has to know of its event.
    pub fn payload(&self, n: u64) -> Payload {
        Payload { id: self.id(n), hash: self.pick(n).1.hash }
    }

    /// Path and body of its append.
    pub fn append(&self, n: u64) -> (String, Bytes) {
        let ((stream, _), payload) = self.pick(n);
        let path = self.path(stream.as_str());
        let (id, data) = (self.id(n), &payload.json);
        (path, format!(r#"{{"events":[{{"type":"EntryPosted","id":"{id}","data":{data}}}]}}"#).into())
    }

    /// Path and body of its append with priority.
    pub fn priority(&self, n: u64) -> (String, Bytes) {
        let ((stream, _), payload) = self.pick(n);
        let path = self.path(stream.as_str());
        let (id, data) = (self.id(n), &payload.json);
        (path, format!(r#"{{"priority":true,"events":[{{"type":"EntryPosted","id":"{id}","data":{data}}}]}}"#).into())
    }

    /// Path and body of an append of `events` events of the same payload to its stream.
    pub fn batch(&self, n: u64, events: u32) -> (String, Bytes) {
        let ((stream, _), payload) = self.pick(n);
        let path = self.path(stream.as_str());
        let event = format!(r#"{{"type":"EntryPosted","data":{}}}"#, payload.json);
        let events: Vec<&str> = (0..events).map(|_| event.as_str()).collect();
        (path, format!(r#"{{"events":[{}]}}"#, events.join(",")).into())
    }

    /// Path and body of an append of its event alone to another stream.
    pub fn append_to(&self, stream: &str, n: u64) -> (String, Bytes) {
        let body = format!(r#"{{"events":[{{"type":"EntryPosted","data":{}}}]}}"#, self.pick(n).1.json);
        (self.path(stream), body.into())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its line in an import.
    pub fn line(&self, n: u64) -> String {
        self.line_of(self.stream(n), n)
    }

    /// Its line in an import into another stream.
    pub fn line_of(&self, stream: &str, n: u64) -> String {
        let (_, payload) = self.pick(n);
        let (id, data) = (self.id(n), &payload.json);
        format!("{{\"stream\":\"{stream}\",\"type\":\"EntryPosted\",\"id\":\"{id}\",\"data\":{data}}}\n")
    }

    /// Its record as the event-store would write it, for another topic. The version is always 1.
    pub fn record(&self, n: u64, topic: &Arc<str>) -> NewRecord {
        let ((stream, partition), payload) = self.pick(n);
        NewRecord {
            topic: Arc::clone(topic),
            partition: *partition,
            key: Bytes::copy_from_slice(stream.as_str().as_bytes()),
            value: Some(payload.value.clone()),
            headers: self.headers(n, stream),
            timestamp_ms: None,
        }
    }

    fn headers(&self, n: u64, stream: &StreamId) -> Headers {
        let headers = EventHeaders {
            id: self.id(n),
            event_type: EVENT_TYPE.to_owned(),
            stream: stream.clone(),
            version: Version(1),
            time: Timestamp::default(),
            correlation_id: None,
            causation_id: None,
            traceparent: None,
            tracestate: None,
            epoch: 1,
            request_id: None,
        };
        write_event_headers(&headers, "/spina/bench")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = include_str!("../schemas/bench/EntryPosted.avsc");

    fn script(seed: u64) -> Script {
        let payloads = Payloads::new(seed, 1, &Shape::compile(SCHEMA).unwrap()).unwrap();
        assert!((240..=260).contains(&payloads.bytes_mean()), "{} bytes", payloads.bytes_mean());
        Script::new("t".to_owned(), seed, Arc::new(payloads))
    }

    #[test]
    fn the_same_seed_sends_the_same() {
        let (one, same, other) = (script(1), script(1), script(2));
        assert!((0..100).all(|n| one.append(n) == same.append(n) && one.line(n) == same.line(n)));
        assert!((0..100).any(|n| one.append(n) != other.append(n)));
    }

    #[test]
    fn all_forms_of_a_request_say_the_same() {
        let script = script(1);
        let (path, body) = script.append(5);
        let body: Value = serde_json::from_slice(&body).unwrap();
        let line: Value = serde_json::from_str(&script.line(5)).unwrap();
        let record = script.record(5, &"scratch".into());
        assert_eq!(body["events"][0]["data"], line["data"]);
        assert_eq!((&body["events"][0]["id"], line["id"].as_str()), (&line["id"], Some(script.id(5).as_str())));
        assert_eq!(path, format!("/v1/bench/streams/{}/events", script.stream(5)));
        assert_eq!(
            (record.key.as_ref(), line["stream"].as_str()),
            (script.stream(5).as_bytes(), Some(script.stream(5)))
        );
        assert_eq!(history::payload_hash(EVENT_TYPE, &record.value.unwrap()), script.payload(5).hash);
    }
}
