//! Snapshots: taken when a stream has grown by the aggregate's period, used when a state is folded.

use std::collections::HashSet;

use spina_core::{State, StreamId};
use spina_store::archive::{Snapshot, Stored};
use tracing::warn;

use super::state::{self, Until};
use super::stream::ReadError;
use crate::context::Context;

/// The stream's snapshot, if it was taken under today's schemas and is not too new. Trouble with it is no error: the
/// log has everything.
pub async fn usable(context: &Context, stream: &StreamId, until: Until) -> Option<State> {
    let snapshot = match context.shared.store.snapshot(context.name(), stream).await {
        Ok(snapshot) => snapshot?,
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
pub async fn take(context: &Context, stream: &StreamId, epoch: u64) -> Result<State, ReadError> {
    let state = state::fold(context, stream, Until::Now).await?;
    if state.version.0 > 0 {
        let snapshot = Snapshot { state: state.clone(), fingerprint: fingerprint(context, stream), epoch };
        context.shared.store.keep_snapshot(context.name(), stream, &snapshot).await?;
    }
    Ok(state)
}

/// Takes the snapshots that have come due with the events just archived.
pub async fn take_due(context: &Context, events: &[Stored], epoch: u64) {
    let due: HashSet<&StreamId> = events
        .iter()
        .filter(|event| {
            let every = context.snapshot_every.get(event.headers.stream.category()).copied().unwrap_or(0);
            every > 0 && event.headers.version.0.is_multiple_of(u64::from(every))
        })
        .map(|event| &event.headers.stream)
        .collect();
    for stream in due {
        if let Err(error) = take(context, stream, epoch).await {
            warn!(%stream, %error, "cannot take a snapshot; the next period tries again");
        }
    }
}

/// Names the schemas that the aggregate's events have now: a fold under others may differ.
fn fingerprint(context: &Context, stream: &StreamId) -> String {
    let mut schemas: Vec<String> = context
        .catalog
        .types()
        .iter()
        .filter(|event_type| event_type.aggregate == stream.category())
        .map(|event_type| format!("{}={}", event_type.name, event_type.schema_id))
        .collect();
    schemas.sort();
    schemas.join(",")
}
