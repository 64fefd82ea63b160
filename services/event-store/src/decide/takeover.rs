//! Taking a partition over. Fence before read is the whole proof:
//!
//! (a) initialise every transactional id: the predecessor is fenced, what it left open is settled;
//! (b) read from the archive how far it goes;
//! (c) read the log from there to its stable end, which must be its end;
//! (d) install versions, request ids and tail;
//! (e) announce the owner; (f) serve.
//!
//! After (a) no old write can become visible, so what (c) reads is complete.

use std::sync::Arc;
use std::time::Duration;

use spina_codec::headers::read_event_headers;
use spina_core::ledger::{self, Ledger, Remembered};
use spina_core::{StreamKey, Timestamp};
use spina_log::{Fetched, LogError, LogReader, ReaderOptions, Start, settled};
use spina_store::StoreError;
use spina_store::archive::{Owner, Stored};
use tracing::{error, info, warn};

use super::lanes::Lanes;
use super::tail::Tail;
use super::window::Imprint;
use crate::clock;
use crate::context::Context;

/// How long a hanging transaction may keep the stable end behind before the take-over is tried anew. The coordinator
/// ends an abandoned transaction after its time-out, 10 s.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(15);

/// Why a partition could not be taken over.
#[derive(Debug, thiserror::Error)]
pub enum TakeOverError {
    /// The lanes could not be initialised, or the log could not be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The archive could not be read.
    #[error("cannot read the archive: {0}")]
    Archive(#[from] StoreError),
    /// The archive knows events that the log does not have: the log was lost or replaced.
    #[error(
        "the archive of {context} partition {partition} ends at offset {archived}, the log at {log}: the log was lost \
         or replaced. Versions would be given twice, so the partition is not served. Restore the log, or delete the \
         archive of this context if the loss is accepted"
    )]
    LogLost {
        /// The context.
        context: String,
        /// The partition.
        partition: i32,
        /// Where the archive ends.
        archived: i64,
        /// Where the log ends.
        log: i64,
    },
}

/// A partition, ready to be served.
pub struct Taken {
    pub(super) imprint: Imprint,
    pub(super) ledger: Ledger,
    pub(super) lanes: Lanes,
    /// Events after the watermark.
    pub tail: Arc<Tail>,
}

impl Taken {
    /// The owner's epoch.
    pub fn epoch(&self) -> u64 {
        self.imprint.epoch
    }
}

/// Takes the partition over. Steps (a) to (e); the caller serves.
pub async fn take_over(context: &Context, partition: i32) -> Result<Taken, TakeOverError> {
    let lanes =
        Lanes::open(&*context.shared.lane_factory, context.name(), partition, context.shared.limits.lanes).await?;
    let watermark = context.shared.store.watermark(context.name(), partition).await?;
    let events = read_settled(context, partition, watermark.next_offset).await?;
    let epoch = events.iter().map(|event| event.headers.epoch).max().unwrap_or(0).max(watermark.epoch) + 1;
    let mut ledger = Ledger::new(context.shared.limits.requests);
    recall(context, partition, &mut ledger).await?;
    let tail = Arc::new(Tail::new(watermark.next_offset, context.shared.limits.tail_bytes_max));
    let events_in_tail = events.len();
    install(&mut ledger, &tail, events);
    announce(context, partition, epoch).await;
    info!(
        context = %context.name(), partition, epoch, streams = ledger.streams(), requests = ledger.requests(),
        events_in_tail, "partition taken over"
    );
    Ok(Taken { imprint: context.imprint(partition, epoch), ledger, lanes, tail })
}

/// All committed events of the partition from an offset on, once nothing is open behind them.
pub async fn read_settled(context: &Context, partition: i32, from: i64) -> Result<Vec<Stored>, TakeOverError> {
    let topic = &context.events_topic;
    let end = settled::wait(&context.shared.admin, topic, partition, SETTLE_TIMEOUT).await?.stable;
    if from > end {
        let context = context.name().to_string();
        return Err(TakeOverError::LogLost { context, partition, archived: from, log: end });
    }
    let options = ReaderOptions { stop_at_end: true, ..ReaderOptions::default() };
    let mut reader = LogReader::open(&context.shared.log, topic, vec![(partition, Start::At(from))], options)?;
    let mut events = Vec::new();
    while let Some(batch) = reader.next().await {
        events.extend(batch?.records.into_iter().filter_map(stored));
    }
    Ok(events)
}

/// A record of the events topic as an event. Records that are none are reported and passed over: only the owner may
/// write there, and it writes nothing else.
fn stored(record: Fetched) -> Option<Stored> {
    let place = (record.partition, record.offset);
    let headers = match read_event_headers(&record.headers, record.key.as_deref().unwrap_or_default()) {
        Ok(headers) => headers,
        Err(error) => {
            error!(partition = place.0, offset = place.1, %error, "a record of the events topic is not an event");
            return None;
        }
    };
    let recorded_at = Timestamp::from_millis(record.timestamp_ms).unwrap_or_default();
    let value = record.value.unwrap_or_default();
    Some(Stored { headers, partition: place.0, offset: place.1, recorded_at, value })
}

/// Versions and requests that the archive knows.
async fn recall(context: &Context, partition: i32, ledger: &mut Ledger) -> Result<(), TakeOverError> {
    let (name, limits) = (context.name(), context.shared.limits.requests);
    context
        .shared
        .store
        .each_stream_version(name, partition, |stream, version| ledger.learn_version(stream, version))
        .await?;
    let oldest = clock::now().micros() - limits.age_max_us;
    let since = Timestamp::from_micros(oldest).unwrap_or_default();
    for known in context.shared.store.requests_since(name, partition, since, limits.keys_max).await? {
        let event = Remembered {
            stream: known.stream,
            first: known.version,
            events: 1,
            fingerprint: known.fingerprint,
            last_offset: known.offset,
        };
        ledger.learn_request(known.request, event, known.recorded_at);
    }
    Ok(())
}

/// Installs committed events that follow what ledger and tail know.
pub fn install(ledger: &mut Ledger, tail: &Tail, events: Vec<Stored>) {
    for event in &events {
        let stream = StreamKey::of(event.headers.stream.as_str());
        ledger.learn_version(stream, event.headers.version);
        let remembered = Remembered {
            stream,
            first: event.headers.version,
            events: 1,
            fingerprint: ledger::event_fingerprint(&event.headers.event_type, &event.value),
            last_offset: event.offset,
        };
        ledger.learn_request(StreamKey::of(event.headers.request_key()), remembered, event.recorded_at);
    }
    tail.push(events);
}

/// Best effort: nothing rests on it.
async fn announce(context: &Context, partition: i32, epoch: u64) {
    let owner = Owner { partition, epoch, endpoint: context.shared.endpoint.clone() };
    if let Err(error) = context.shared.store.announce_owner(context.name(), &owner).await {
        warn!(partition, %error, "cannot announce the owner");
    }
}
