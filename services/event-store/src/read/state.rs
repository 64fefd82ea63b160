//! The state of a stream, now, at a version or at a time.

use std::time::Instant;

use spina_core::{State, StreamId, Timestamp, Version};
use spina_store::archive::StreamRange;

use super::snapshots;
use super::stream::{self, ReadError};
use crate::context::Context;

/// Events folded per read.
const PAGE: u32 = 1_000;

/// Until where a state is folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// The last event.
    Now,
    /// This version, if the stream has it; else its last.
    Version(Version),
    /// The last event before the first one that happened after this instant.
    Time(Timestamp),
}

impl Until {
    fn includes(self, version: Version, time: Timestamp) -> bool {
        match self {
            Self::Now => true,
            Self::Version(last) => version <= last,
            Self::Time(at) => time <= at,
        }
    }
}

/// Folds the stream's events, from its snapshot where that helps. A state of version 0 means: no such stream, or no
/// event until then.
pub async fn fold(context: &Context, stream: &StreamId, until: Until) -> Result<State, ReadError> {
    let begun = Instant::now();
    let state = fold_events(context, stream, until).await?;
    if until == Until::Now {
        snapshots::note_folded(context, stream, begun.elapsed());
    }
    Ok(state)
}

/// The same, without thinking of the next time.
pub(super) async fn fold_events(context: &Context, stream: &StreamId, until: Until) -> Result<State, ReadError> {
    let state = snapshots::usable(context, stream, until).await;
    further(context, stream, state, until).await
}

/// Folds the stream's events to the last, from what is known of it already.
pub async fn fold_from(context: &Context, stream: &StreamId, known: Option<State>) -> Result<State, ReadError> {
    let state = match known {
        Some(state) => Some(state),
        None => snapshots::usable(context, stream, Until::Now).await,
    };
    further(context, stream, state, Until::Now).await
}

async fn further(context: &Context, stream: &StreamId, begin: Option<State>, until: Until) -> Result<State, ReadError> {
    let aggregate = context.deciders.of(stream.category());
    let mut state = begin.unwrap_or_else(|| aggregate.begin());
    let mut begin = 0;
    loop {
        let range = StreamRange { from: state.version.plus(1), backward: false, limit: PAGE };
        let part = stream::read_on(context, stream, range, begin).await?;
        let whole_page = part.events.len() == PAGE as usize;
        for event in &part.events {
            if !until.includes(event.headers.version, event.headers.time) {
                return Ok(state);
            }
            let version = event.headers.version;
            begin = event.position.offset + 1;
            state = aggregate.fold(state, event).map_err(|cause| ReadError::Fold { version, cause })?;
        }
        if !whole_page {
            return Ok(state);
        }
    }
}
