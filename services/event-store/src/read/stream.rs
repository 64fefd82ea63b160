//! Reading a stream: the archive plus the owner's tail, so that everything acknowledged is in it.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use spina_core::aggregate::Unfit;
use spina_core::{Position, Recorded, StreamId, Version};
use spina_log::LogError;
use spina_store::StoreError;
use spina_store::archive::{Stored, StreamPart as ArchivedPart, StreamRange, TimeRange};

use super::gapless::is_gapless;
use super::scan::{self, Stretch};
use crate::context::Context;
use crate::decide::recognise::ReadOn;
use crate::decide::tail::TailPart;
use crate::read::decode::{self, DecodeFailure};

/// Why a stream could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Another process owns the stream's partition.
    #[error("this process does not own partition {0} at the moment")]
    NotOwner(i32),
    /// The archive did not answer.
    #[error("the archive does not answer: {0}")]
    Archive(#[from] StoreError),
    /// Neither archive nor tail have all that was acknowledged.
    #[error("the archive of partition {0} is behind and fills from the log; this stream can be read when it is there")]
    Behind(i32),
    /// Something in the log is not settled.
    #[error("an open transaction hides what is committed to partition {0}; `spina doctor` tells which")]
    Hidden(i32),
    /// The log did not answer.
    #[error("the log cannot be read: {0}")]
    Log(#[source] LogError),
    /// The context is not archived, and its log is too long for a stream to be found in it.
    #[error(
        "the context keeps no archive, and reading partition {partition} of its log for the stream takes longer than \
         {limit:?}; `spina replay` reads it in any time, `archive: true` in context.yaml makes streams readable at once"
    )]
    TooFar {
        /// The partition.
        partition: i32,
        /// How long it may take.
        limit: Duration,
    },
    /// An event does not fit the aggregate that folds it.
    #[error("version {version} of the stream cannot be folded: {cause}")]
    Fold {
        /// The event's version.
        version: Version,
        /// What does not fit.
        cause: Unfit,
    },
    /// An event could not be decoded.
    #[error("version {version} of the stream cannot be decoded: {cause}")]
    Decode {
        /// The event's version.
        version: Version,
        /// What is wrong with it.
        cause: DecodeFailure,
    },
}

/// A part of a stream's events and the version that the stream has.
#[derive(Debug)]
pub struct StreamPart {
    /// The events, in the order asked for.
    pub events: Vec<Recorded>,
    /// Last version of the stream; 0 if there is no such stream.
    pub last: Version,
}

/// Reads a part of a stream.
pub async fn read(context: &Context, stream: &StreamId, range: StreamRange) -> Result<StreamPart, ReadError> {
    read_within(context, stream, range, TimeRange::default()).await
}

/// The same; what the range asks for stands in the log at this offset or behind it.
pub async fn read_on(
    context: &Context,
    stream: &StreamId,
    range: StreamRange,
    begin: i64,
) -> Result<StreamPart, ReadError> {
    decoded(context, read_stored(context, stream, range, TimeRange::default(), begin).await?).await
}

/// Reads a part of a stream, without the events that did not happen in time.
pub async fn read_within(
    context: &Context,
    stream: &StreamId,
    range: StreamRange,
    times: TimeRange,
) -> Result<StreamPart, ReadError> {
    decoded(context, read_stored(context, stream, range, times, 0).await?).await
}

async fn decoded(context: &Context, (stored, last): (Vec<Stored>, Version)) -> Result<StreamPart, ReadError> {
    let mut events = Vec::with_capacity(stored.len());
    for event in stored {
        events.push(recorded(context, event).await?);
    }
    Ok(StreamPart { events, last })
}

/// Reads for those who look for the events of a request.
pub fn reader(context: &Arc<Context>) -> ReadOn {
    let context = Arc::clone(context);
    Arc::new(move |stream, from, limit| {
        let context = Arc::clone(&context);
        let range = StreamRange { from, backward: false, limit };
        let read = async move { read_stored(&context, &stream, range, TimeRange::default(), 0).await };
        read.map(|read| read.map(|(events, _)| events).map_err(|error| error.to_string())).boxed()
    })
}

/// The tail first, then the archive: what leaves the tail in between is in the archive by then.
async fn read_stored(
    context: &Context,
    stream: &StreamId,
    range: StreamRange,
    times: TimeRange,
    begin: i64,
) -> Result<(Vec<Stored>, Version), ReadError> {
    let partition = context.partition_of(stream);
    let owned = context.owned(partition).ok_or(ReadError::NotOwner(partition))?;
    let TailPart { events: tail, whole: tail_is_whole, held_from } = owned.tail.of_stream(stream);
    if context.archives && !tail_is_whole && tail.is_empty() {
        return Err(ReadError::Behind(partition));
    }
    let first_in_tail = tail.first().map(|event| event.headers.version);
    let limit = range.limit as usize;
    let whole_in_tail =
        first_in_tail.is_some_and(|first| first <= Version(1) || (!range.backward && first <= range.from));
    let archived = if whole_in_tail {
        ArchivedPart { events: Vec::new(), last: Version::NONE }
    } else if !context.archives {
        let stretch = Stretch { partition, from: begin, until: held_from };
        let (events, last) = scan::scan(context, stream, stretch, range, times).await?;
        ArchivedPart { events, last }
    } else {
        context.shared.store.read_stream(context.name(), stream, range, times).await?
    };
    let last = tail.last().map_or(archived.last, |event| event.headers.version);
    let before_tail = |event: &Stored| first_in_tail.is_none_or(|first| event.headers.version < first);
    let mut events: Vec<Stored> = archived.events.into_iter().filter(before_tail).collect();
    let tail = tail.into_iter().filter(|event| times.contains(event.headers.time));
    if range.backward {
        let newest = tail.rev().filter(|event| event.headers.version <= range.from);
        events = newest.chain(events).collect();
    } else {
        events.extend(tail.filter(|event| event.headers.version >= range.from));
    }
    events.truncate(limit);
    // With nothing in the tail the archive has it all, and may have grown between two looks at it.
    let whole = first_in_tail.is_none_or(|first| {
        if times == TimeRange::default() {
            is_gapless(events.iter().map(|event| event.headers.version), range, last)
        } else {
            // Versions that did not happen in time are missing; what counts is that the archive reaches up to the tail.
            whole_in_tail || archived.last.plus(1) >= first
        }
    });
    if !whole {
        return Err(ReadError::Behind(partition));
    }
    Ok((events, last))
}

async fn recorded(context: &Context, stored: Stored) -> Result<Recorded, ReadError> {
    let version = stored.headers.version;
    let topic = context.events_topic.to_string();
    let position = Position { topic, partition: stored.partition, offset: stored.offset };
    let event = decode::stored(stored.headers, position, &stored.value, &context.shared.schemas).await;
    event.map_err(|cause| ReadError::Decode { version, cause })
}
