//! An archive in memory, which lags, goes away and gets lost; and the log in memory as a new owner reads it.

use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use spina_core::ledger::event_fingerprint;
use spina_core::{StreamKey, Timestamp, Version};
use spina_log::admin::GroupOffset;
use spina_log::{Fetched, LogError};
use spina_store::archive::{ArchivedRequest, Owner, Stored, Watermark};
use spina_store::{Cause, StoreError};
use spina_testkit::MemoryLog;

use crate::decide::recollection::Recollection;
use crate::decide::settled_log::{Hanging, SettledLog};
use crate::decide::tail::TailRun;

/// See the [module](self). Clones share one archive.
#[derive(Clone, Default)]
pub struct MemoryArchive(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    events: Vec<Stored>,
    watermark: Watermark,
    away: bool,
    losses: u32,
}

impl MemoryArchive {
    /// It does not answer, or does again.
    pub fn set_away(&self, away: bool) {
        self.lock().away = away;
    }

    /// Whether it does not answer.
    pub fn is_away(&self) -> bool {
        self.lock().away
    }

    /// Everything in it is gone.
    pub fn lose(&self) {
        let mut inner = self.lock();
        *inner = Inner { losses: inner.losses + 1, away: inner.away, ..Inner::default() };
    }

    /// How often it was lost.
    pub fn losses(&self) -> u32 {
        self.lock().losses
    }

    /// Whether it has an event.
    pub fn has(&self, id: &str) -> bool {
        self.lock().events.iter().any(|event| event.headers.id == id)
    }

    /// Where it stands now, a run stored or not.
    pub fn store(&self, run: &TailRun, epoch: u64) -> Option<i64> {
        let mut inner = self.lock();
        if inner.away {
            return None;
        }
        if inner.watermark.next_offset == run.from_offset && inner.watermark.epoch <= epoch {
            inner.events.extend(run.events.iter().cloned());
            inner.watermark = Watermark { next_offset: run.next_offset, epoch };
        }
        Some(inner.watermark.next_offset)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("no holder of this lock panics")
    }

    fn asked(&self) -> Result<MutexGuard<'_, Inner>, StoreError> {
        let inner = self.lock();
        if inner.away { Err(StoreError::Unavailable(Cause::Other("it is away".to_owned()))) } else { Ok(inner) }
    }
}

#[async_trait]
impl Recollection for MemoryArchive {
    async fn watermark(&self, _partition: i32) -> Result<Watermark, StoreError> {
        Ok(self.asked()?.watermark)
    }

    async fn each_stream_version(
        &self,
        _partition: i32,
        tell: &mut (dyn FnMut(StreamKey, Version) + Send),
    ) -> Result<(), StoreError> {
        let inner = self.asked()?;
        // As in the table of streams: the last version of each.
        for (at, event) in inner.events.iter().enumerate() {
            let stream = &event.headers.stream;
            if inner.events[at + 1..].iter().all(|later| later.headers.stream != *stream) {
                tell(StreamKey::of(stream.as_str()), event.headers.version);
            }
        }
        Ok(())
    }

    async fn each_request_since(
        &self,
        _partition: i32,
        since: Timestamp,
        limit: usize,
        tell: &mut (dyn FnMut(ArchivedRequest) + Send),
    ) -> Result<(), StoreError> {
        let inner = self.asked()?;
        let recent: Vec<&Stored> = inner.events.iter().filter(|event| event.recorded_at >= since).collect();
        let newest = recent.len().saturating_sub(limit);
        let request = |event: &&Stored| ArchivedRequest {
            event_id: event.headers.id.clone(),
            request: StreamKey::of(event.headers.request_key()),
            stream: StreamKey::of(event.headers.stream.as_str()),
            version: event.headers.version,
            offset: event.offset,
            fingerprint: event_fingerprint(&event.headers.event_type, &event.value),
            recorded_at: event.recorded_at,
        };
        recent[newest..].iter().map(request).for_each(tell);
        Ok(())
    }

    async fn announce(&self, _owner: &Owner) -> Result<(), StoreError> {
        self.asked().map(drop)
    }
}

#[async_trait]
impl SettledLog for MemoryLog {
    async fn each_settled(
        &self,
        topic: &Arc<str>,
        partition: i32,
        from: i64,
        tell: &mut (dyn FnMut(Vec<Fetched>) + Send),
    ) -> Result<i64, LogError> {
        let (end, records) = self.settled(topic, partition, from).await?;
        tell(records);
        Ok(end)
    }

    /// What hangs here ends by itself, as on a broker that skips no marker: there is nothing to heal.
    async fn hanging(&self, _: &Arc<str>, _: i32, _: &[String]) -> Result<Option<Hanging>, LogError> {
        Ok(None)
    }

    async fn each_committed(
        &self,
        topic: &Arc<str>,
        partition: i32,
        from: i64,
        tell: &mut (dyn FnMut(Vec<Fetched>) + Send),
    ) -> Result<(), LogError> {
        tell(self.committed(topic, partition).into_iter().filter(|record| record.offset >= from).collect());
        Ok(())
    }

    async fn newest(&self, _: &Arc<str>, _: i32, _: i64) -> Result<Vec<Fetched>, LogError> {
        unreachable!("no group's offset hangs")
    }

    /// Offsets end with the transaction that carries them, whatever becomes of its records.
    async fn group_offset(&self, group: &str, topic: &str, partition: i32) -> Result<GroupOffset, LogError> {
        Ok(GroupOffset { next: self.consumed(group, topic, partition).unwrap_or(0), hangs: false })
    }
}
