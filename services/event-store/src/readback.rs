//! Answers that wait until a committed reader has seen the events.
//!
//! What was committed is durable, and yet a transaction that hangs before it can hide it from every committed reader for a
//! while. Who asks with `ack=readback` is answered only when the events can be read: by a reader of its own, from the
//! brokers, at the place that the answer tells. That costs a consumer and some milliseconds a request, so it is a choice.

use serde::Deserialize;
use spina_log::{LogError, LogReader, ReaderOptions, Start};
use spina_runtime::{ApiError, ApiResult};
use tokio::sync::Semaphore;
use tracing::{error, warn};
use utoipa::ToSchema;

use crate::context::Context;
use crate::decide::append::{Outcome, Place};
use crate::decide::takeover::stored;

/// Readers at a time, for each context; each is a consumer with a thread. Further requests wait.
const READERS_MAX: usize = 16;
/// The one record that is looked for.
const ONE: ReaderOptions = ReaderOptions { batch_records_max: 1, queue_batches_max: 1, stop_at_end: false };

/// What a writer's answer waits for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Ack {
    /// The commit.
    #[default]
    Commit,
    /// That a committed reader has seen the events.
    Readback,
}

/// `?ack=`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AckQuery {
    /// What the answer waits for.
    #[serde(default)]
    pub ack: Ack,
}

/// As many places as there may be readers.
pub fn places() -> Semaphore {
    Semaphore::new(READERS_MAX)
}

/// Waits for what was asked for.
///
/// # Errors
/// `state.unknown` when nobody can see the events within the time of a request. They are committed; a repeat will tell.
pub async fn acknowledged(context: &Context, ack: Ack, outcome: &Outcome) -> ApiResult<()> {
    let (Ack::Readback, Outcome::Appended(place) | Outcome::Repeated(place)) = (ack, outcome) else { return Ok(()) };
    let seen = tokio::time::timeout(context.shared.limits.append_timeout, seen(context, *place)).await;
    match seen {
        Ok(Ok(true)) => return Ok(()),
        Ok(Ok(false)) => {
            let (partition, offset) = (place.partition, place.offset);
            error!(context = %context.name(), partition, offset, "another event stands where one was acknowledged");
        }
        Ok(Err(error)) => warn!(context = %context.name(), %error, "cannot read back"),
        Err(_) => {}
    }
    Err(ApiError::unknown(
        "the events are committed, and no committed reader has seen them yet; repeat with the same Idempotency-Key, \
         `spina doctor` tells what hides them",
    ))
}

/// Waits for the event at a place; whether it is the one that belongs there. Its transaction is visible as a whole.
async fn seen(context: &Context, place: Place) -> Result<bool, LogError> {
    let _place = context.readbacks.acquire().await;
    let starts = vec![(place.partition, Start::At(place.offset))];
    let mut reader = LogReader::open(&context.shared.log, &context.events_topic, starts, ONE)?;
    loop {
        let batch = reader.next().await.unwrap_or(Err(LogError::Stopped("log reader")))?;
        if let Some(record) = batch.records.into_iter().next() {
            let event = stored(record);
            return Ok(event.is_some_and(|event| event.offset == place.offset && event.headers.version == place.last));
        }
    }
}
