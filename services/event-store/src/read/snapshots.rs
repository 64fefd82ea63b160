//! Snapshots: taken when the aggregate's policy says so, used when a state is folded.
//!
//! ```text
//! archived events, slow folds ─▶ DueSnapshots (each stream once, bounded) ─▶ one at a time, at a bounded rate
//! ```
//!
//! Nothing rests on them: one that is stale, damaged or missing costs time and nothing else.

use std::collections::{HashSet, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use spina_codec::catalog::TypeKind;
use spina_core::{State, StreamId};
use spina_store::archive::{Kept, Snapshot, Stored};
use tokio::sync::Notify;
use tracing::warn;

use super::state::{self, Until};
use super::stream::ReadError;
use crate::clock;
use crate::context::{Context, Owned};

/// Streams that may wait for their snapshot, per partition. What is beyond waits for the policy's next occasion.
const DUE_MAX: usize = 10_000;
/// Pause between two snapshots of a partition: at most 200 a second.
const PAUSE: Duration = Duration::from_millis(5);
/// Pause after one could not be taken.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Streams whose snapshot is due. A stream waits once, however often it comes due meanwhile.
#[derive(Debug, Default)]
pub struct DueSnapshots {
    waiting: Mutex<Waiting>,
    grew: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    order: VecDeque<StreamId>,
    streams: HashSet<StreamId>,
}

impl DueSnapshots {
    /// A snapshot of the stream is due.
    pub fn add(&self, stream: &StreamId) {
        let mut waiting = self.lock();
        if waiting.order.len() >= DUE_MAX || waiting.streams.contains(stream) {
            return;
        }
        waiting.streams.insert(stream.clone());
        waiting.order.push_back(stream.clone());
        drop(waiting);
        self.grew.notify_one();
    }

    /// Waits for the next one.
    async fn next(&self) -> StreamId {
        loop {
            if let Some(stream) = self.pop() {
                return stream;
            }
            self.grew.notified().await;
        }
    }

    fn pop(&self) -> Option<StreamId> {
        let mut waiting = self.lock();
        let stream = waiting.order.pop_front()?;
        waiting.streams.remove(&stream);
        Some(stream)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("no holder of this lock panics")
    }
}

/// The stream's snapshot, if it was taken under today's schemas and is not too new. Trouble with it is no error: the
/// log has everything.
pub async fn usable(context: &Context, stream: &StreamId, until: Until) -> Option<State> {
    let snapshot = match context.shared.store.snapshot(context.name(), stream).await {
        Ok(Kept::Nothing) => return None,
        Ok(Kept::Whole(snapshot)) => snapshot,
        Ok(Kept::Damaged) => {
            warn!(%stream, "the snapshot is damaged, folding from the first event");
            if let Err(error) = context.shared.store.forget_snapshot(context.name(), stream).await {
                warn!(%stream, %error, "cannot delete a damaged snapshot");
            }
            return None;
        }
        Err(error) => {
            warn!(%error, "cannot read a snapshot, folding from the first event");
            return None;
        }
    };
    let not_too_new = match until {
        Until::Now => true,
        Until::Version(last) => snapshot.state.version <= last,
        // Whether an earlier event happened later than this cannot be seen from the snapshot.
        Until::Time(_) => false,
    };
    (not_too_new && snapshot.fingerprint == fingerprint(context, stream)).then_some(snapshot.state)
}

/// Takes a snapshot of the stream now.
pub async fn take(context: &Context, stream: &StreamId, owned: &Owned) -> Result<State, ReadError> {
    let state = state::fold_events(context, stream, Until::Now).await?;
    if state.version.0 > 0 {
        let snapshot = Snapshot {
            state: state.clone(),
            fingerprint: fingerprint(context, stream),
            epoch: owned.epoch,
            partition: context.partition_of(stream),
            // Everything folded was committed, so the log went at least this far.
            log_next_offset: owned.tail.next_offset(),
        };
        context.shared.store.keep_snapshot(context.name(), stream, &snapshot).await?;
    }
    Ok(state)
}

/// Notes the snapshots that came due with the events just archived.
pub fn note_archived(context: &Context, events: &[Stored], due: &DueSnapshots) {
    for Stored { headers, .. } in events {
        let policy = context.snapshots.get(headers.stream.category());
        if policy.is_some_and(|policy| policy.is_due(headers.version, headers.event_name())) {
            due.add(&headers.stream);
        }
    }
}

/// Notes the snapshot that came due because folding the stream took so long.
pub fn note_folded(context: &Context, stream: &StreamId, took: Duration) {
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let policy = context.snapshots.get(stream.category());
    if policy.is_some_and(|policy| policy.is_due_after(took_ms))
        && let Some(owned) = context.owned(context.partition_of(stream))
    {
        owned.due_snapshots.add(stream);
    }
}

/// Takes snapshots as they come due, one after the other, for ever.
pub async fn take_due(context: &Context, owned: &Owned) {
    loop {
        let stream = owned.due_snapshots.next().await;
        match take(context, &stream, owned).await {
            Ok(_) => clock::pause(PAUSE).await,
            Err(error) => {
                warn!(%stream, %error, "cannot take a snapshot; the policy's next occasion tries again");
                clock::pause(RETRY_PAUSE).await;
            }
        }
    }
}

/// Names the schemas that the aggregate's events have now, the upcasters and the fold: under others it may differ.
fn fingerprint(context: &Context, stream: &StreamId) -> String {
    let types = context.catalog.types().iter();
    let types = types.filter(|known| known.kind == TypeKind::Event && known.aggregate == stream.category());
    let events: Vec<&str> = types.map(|event_type| event_type.name.as_str()).collect();
    let upcasters = context.shared.schemas.readings().fingerprint(context.name(), &events);
    let fold = context.deciders.of(stream.category()).fingerprint();
    context.catalog.fingerprint(stream.category(), &upcasters, &fold)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_waits_once_and_in_turn() {
        let due = DueSnapshots::default();
        for stream in ["a-1", "a-2", "a-1"] {
            due.add(&stream.parse().unwrap());
        }
        assert_eq!(due.pop(), "a-1".parse().ok());
        due.add(&"a-1".parse().unwrap());
        assert_eq!((due.pop(), due.pop(), due.pop()), ("a-2".parse().ok(), "a-1".parse().ok(), None));
    }

    #[test]
    fn what_waits_is_bounded() {
        let due = DueSnapshots::default();
        (0..=DUE_MAX).for_each(|stream| due.add(&format!("a-{stream}").parse().unwrap()));
        assert_eq!(due.lock().order.len(), DUE_MAX);
    }
}
