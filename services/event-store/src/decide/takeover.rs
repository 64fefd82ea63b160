//! Taking a partition over. Fence before read is the whole proof:
//!
//! (a) initialise every transactional id: the predecessor is fenced, what it left open is settled;
//! (b) read from the archive how far it goes;
//! (c) end transactions of ours that hang, see [`heal`](super::heal); read the log from there to its stable end, which must
//!     be its end, and see that it is the archive's log;
//! (d) install versions, request ids and tail, and learn from the group which command is next;
//! (e) announce the owner; (f) serve.
//!
//! After (a) no old write can become visible, so what (c) and (d) read is complete.

use std::sync::{Arc, Mutex, PoisonError};

use spina_codec::headers::read_event_headers;
use spina_core::ledger::{self, Ledger, Remembered};
use spina_core::planted::{self, Bug};
use spina_core::{StreamKey, Timestamp};
use spina_log::{Fetched, LogError};
use spina_runtime::failpoint;
use spina_store::StoreError;
use spina_store::archive::{ArchivedRequest, Owner, Stored, Watermark};
use tracing::{error, info, warn};

use super::command::DECIDED_EVENTS_MAX;
use super::equipment::Equipment;
use super::heal::{Healer, Hidden};
use super::lanes::Lanes;
use super::same_log;
use super::tail::Tail;
use super::window::Imprint;

/// Why a partition could not be taken over.
#[derive(Debug, thiserror::Error)]
pub enum TakeOverError {
    /// The lanes could not be initialised, or the log could not be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The end of the log stays hidden.
    #[error(transparent)]
    Hidden(#[from] Hidden),
    /// The archive could not be read.
    #[error("cannot read the archive: {0}")]
    Archive(#[from] StoreError),
    /// The archive was deleted or restored while it was read.
    #[error("the archive went back while it was read, the take-over begins anew")]
    ArchiveWentBack,
    /// The archive is of another log: the log was lost or replaced.
    #[error(
        "the log of {context} partition {partition} is not the archive's: {evidence}. It was lost or replaced. Versions \
         would be given twice, so the partition is not served. Restore the log, or delete the archive and the snapshots \
         of this context if the loss is accepted"
    )]
    AnotherLog {
        /// The context.
        context: String,
        /// The partition.
        partition: i32,
        /// How that is known, streams included.
        evidence: String,
    },
}

/// A partition, ready to be served.
pub struct Taken {
    pub(super) imprint: Imprint,
    pub(super) ledger: Ledger,
    pub(super) lanes: Lanes,
    /// Events after the watermark.
    pub tail: Arc<Tail>,
    /// The first command that is not answered.
    pub commands_from: i64,
}

impl Taken {
    /// The owner's epoch.
    pub fn epoch(&self) -> u64 {
        self.imprint.epoch
    }
}

/// Takes the partition over. Steps (a) to (e); the caller serves.
pub async fn take_over(equipment: &Equipment) -> Result<Taken, TakeOverError> {
    let (partition, limits) = (equipment.partition(), equipment.limits);
    let (mut read_early, mut commands_early) = (None, None);
    if planted::is(Bug::ReadBeforeFence) {
        let watermark = equipment.archive.watermark(partition).await?;
        read_early = Some(read_settled(equipment, watermark.next_offset).await?);
    }
    if planted::is(Bug::CommandOffsetBeforeFence) {
        commands_early = Some(equipment.group_offset().await?.next);
    }
    let lanes = Lanes::open(&*equipment.lanes, &equipment.context, partition, limits.lanes).await?;
    failpoint::reach("take_over_a_fenced");
    let watermark = equipment.archive.watermark(partition).await?;
    failpoint::reach("take_over_b_watermark");
    let mut ledger = Ledger::new(limits.requests);
    recall(equipment, &mut ledger).await?;
    // What was recalled must reach to where the log was read from.
    if equipment.archive.watermark(partition).await?.next_offset < watermark.next_offset {
        return Err(TakeOverError::ArchiveWentBack);
    }
    let healer = Healer::new(equipment, &lanes);
    healer.events(&ledger, watermark.next_offset).await?;
    let behind = if planted::is(Bug::ReadBehindWatermark) && watermark.next_offset > 0 { 2 } else { 0 };
    let read_from = Watermark { next_offset: watermark.next_offset + behind, ..watermark };
    let tail = Arc::new(equipment.archive.tail(watermark, limits.tail_bytes_max));
    let mut epoch = watermark.epoch;
    // Installed as it is read: after an outage of PostgreSQL it may be more than memory holds.
    let mut learn = |events: Vec<Stored>| {
        epoch = events.iter().map(|event| event.headers.epoch).fold(epoch, u64::max);
        install(&mut ledger, &tail, events);
    };
    match read_early {
        Some(events) => learn(events),
        None => same_log::read_after(equipment, read_from, &mut learn).await?,
    }
    let commands_from = healer.commands(&ledger).await?;
    epoch += 1;
    failpoint::reach("take_over_c_read");
    let events_in_tail = tail.len();
    failpoint::reach("take_over_d_installed");
    announce(equipment, epoch).await;
    failpoint::reach("take_over_e_announced");
    info!(
        context = %equipment.context, partition, epoch, streams = ledger.streams(), requests = ledger.requests(),
        events_in_tail, "partition taken over"
    );
    Ok(Taken {
        imprint: Imprint { epoch, ..equipment.imprint.clone() },
        ledger,
        lanes,
        tail,
        commands_from: commands_early.unwrap_or(commands_from),
    })
}

/// All committed events of the partition from an offset on, once nothing is open behind them.
pub async fn read_settled(equipment: &Equipment, from: i64) -> Result<Vec<Stored>, TakeOverError> {
    let partition = equipment.partition();
    let read = equipment.log.read_settled(&equipment.imprint.events_topic, partition, from).await?;
    if from > read.end {
        return Err(same_log::another(equipment, format!("it ended at offset {from} before, now at {}", read.end)));
    }
    Ok(read.records.into_iter().filter_map(stored).collect())
}

/// A record of the events topic as an event. Records that are none are reported and passed over: only the owner may
/// write there, and it writes nothing else.
pub fn stored(record: Fetched) -> Option<Stored> {
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

/// Versions and requests that the archive knows, read side by side.
async fn recall(equipment: &Equipment, ledger: &mut Ledger) -> Result<(), TakeOverError> {
    let (partition, limits) = (equipment.partition(), equipment.limits);
    let ledger = Mutex::new(ledger);
    let with = |learn: &dyn Fn(&mut Ledger)| learn(&mut ledger.lock().unwrap_or_else(PoisonError::into_inner));
    let versions = async {
        let mut learn = |stream, version| with(&|ledger| ledger.learn_version(stream, version));
        if planted::is(Bug::ArchivedVersionsSkipped) {
            return Ok(());
        }
        equipment.archive.each_stream_version(partition, &mut learn).await
    };
    let requests = async {
        let mut learn = |known: ArchivedRequest| {
            let event = Remembered {
                stream: known.stream,
                first: known.version,
                events: 1,
                fingerprint: known.fingerprint,
                last_offset: known.offset,
            };
            with(&|ledger| ledger.learn_request(known.request, &known.event_id, event, known.recorded_at));
        };
        if planted::is(Bug::ArchivedRequestsSkipped) {
            return Ok(());
        }
        let oldest = equipment.now().micros() - limits.requests.age_max_us;
        let since = Timestamp::from_micros(oldest).unwrap_or_default();
        // A request that is cut off is not told, and may have this many events.
        let events_max = limits.requests.keys_max.saturating_add(limits.append_events_max.max(DECIDED_EVENTS_MAX));
        equipment.archive.each_request_since(partition, since, events_max, &mut learn).await
    };
    tokio::try_join!(versions, requests)?;
    Ok(())
}

/// Installs committed events that follow what ledger and tail know.
pub fn install(ledger: &mut Ledger, tail: &Tail, events: Vec<Stored>) {
    for event in &events {
        ledger.learn_version(StreamKey::of(event.headers.stream.as_str()), event.headers.version);
        if !planted::is(Bug::TailRequestsSkipped) {
            learn_request(ledger, event);
        }
    }
    if !planted::is(Bug::TailNotKept) {
        tail.push(events);
    }
}

/// Learns from an event of which request it is.
pub(super) fn learn_request(ledger: &mut Ledger, event: &Stored) {
    let remembered = Remembered {
        stream: StreamKey::of(event.headers.stream.as_str()),
        first: event.headers.version,
        events: 1,
        fingerprint: ledger::event_fingerprint(&event.headers.event_type, &event.value),
        last_offset: event.offset,
    };
    let request = StreamKey::of(event.headers.request_key());
    ledger.learn_request(request, &event.headers.id, remembered, event.recorded_at);
}

/// Best effort: nothing rests on it.
async fn announce(equipment: &Equipment, epoch: u64) {
    let owner = Owner { partition: equipment.partition(), epoch, endpoint: equipment.endpoint.clone() };
    if let Err(error) = equipment.archive.announce(&owner).await {
        warn!(partition = owner.partition, %error, "cannot announce the owner");
    }
}
