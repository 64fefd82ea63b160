//! Reading a stream: the archive plus the owner's tail, so that everything acknowledged is in it.

use spina_core::{Position, Recorded, StreamId, Version};
use spina_store::StoreError;
use spina_store::archive::{Stored, StreamRange};

use crate::context::Context;
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
    let (stored, last) = read_stored(context, stream, range).await?;
    let mut events = Vec::with_capacity(stored.len());
    for event in stored {
        events.push(recorded(context, event).await?);
    }
    Ok(StreamPart { events, last })
}

/// The tail first, then the archive: what leaves the tail in between is in the archive by then.
async fn read_stored(
    context: &Context,
    stream: &StreamId,
    range: StreamRange,
) -> Result<(Vec<Stored>, Version), ReadError> {
    let partition = context.partition_of(stream);
    let owned = context.owned(partition).ok_or(ReadError::NotOwner(partition))?;
    let tail = owned.tail.of_stream(stream);
    let first_in_tail = tail.first().map(|event| event.headers.version);
    let limit = range.limit as usize;
    let whole_in_tail =
        first_in_tail.is_some_and(|first| first <= Version(1) || (!range.backward && first <= range.from));
    let archived = if whole_in_tail {
        Vec::new()
    } else {
        context.shared.store.read_stream(context.name(), stream, range).await?
    };
    let last = match tail.last() {
        Some(event) => event.headers.version,
        None => last_archived(context, stream, range, &archived).await?,
    };
    let mut events: Vec<Stored> =
        archived.into_iter().filter(|event| first_in_tail.is_none_or(|first| event.headers.version < first)).collect();
    if range.backward {
        let newest = tail.into_iter().rev().filter(|event| event.headers.version <= range.from);
        events = newest.chain(events).collect();
    } else {
        events.extend(tail.into_iter().filter(|event| event.headers.version >= range.from));
    }
    events.truncate(limit);
    Ok((events, last))
}

async fn last_archived(
    context: &Context,
    stream: &StreamId,
    range: StreamRange,
    archived: &[Stored],
) -> Result<Version, StoreError> {
    let newest = archived.iter().map(|event| event.headers.version).max();
    if let Some(version) = newest
        && !range.backward
        && archived.len() < range.limit as usize
    {
        return Ok(version);
    }
    let last = StreamRange { from: Version(i64::MAX.unsigned_abs()), backward: true, limit: 1 };
    let events = context.shared.store.read_stream(context.name(), stream, last).await?;
    Ok(events.first().map_or(Version::NONE, |event| event.headers.version))
}

async fn recorded(context: &Context, stored: Stored) -> Result<Recorded, ReadError> {
    let version = stored.headers.version;
    let data = decode::value(&stored.value, &context.shared.schemas).await;
    let data = data.map_err(|cause| ReadError::Decode { version, cause })?;
    let topic = context.events_topic.to_string();
    let position = Position { topic, partition: stored.partition, offset: stored.offset };
    Ok(Recorded { headers: stored.headers, position, data })
}
