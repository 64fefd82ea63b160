//! Handing appends to the owner of their partition and waiting for what becomes of them.

use spina_runtime::ApiError;
use tokio::sync::mpsc::error::TrySendError;

use crate::context::Context;
use crate::decide::append::{Append, Outcome, Submission};

const RETRY_AFTER_S: u64 = 1;

/// Submits one append. A full queue is refused at once: waiting would only make the queue longer.
pub async fn one(context: &Context, append: Append, priority: bool) -> Result<Outcome, ApiError> {
    let partition = context.partition_of(&append.stream);
    let owned = context.owned(partition).ok_or_else(|| not_owned(partition))?;
    let (submission, outcomes) = Submission::direct(vec![append], priority);
    owned.queue.try_send(submission).map_err(|error| match error {
        TrySendError::Full(_) => ApiError::rate_limited("the partition's queue is full", RETRY_AFTER_S),
        TrySendError::Closed(_) => not_owned(partition),
    })?;
    let outcome = tokio::time::timeout(context.shared.limits.append_timeout, outcomes).await;
    // No answer in time, or an owner that went away without one: only the log knows.
    let outcomes = outcome.ok().and_then(Result::ok).unwrap_or_default();
    Ok(outcomes.into_iter().next().unwrap_or(Outcome::Unknown))
}

fn not_owned(partition: i32) -> ApiError {
    ApiError::unavailable(format!("partition {partition} is not served by this process at the moment"), RETRY_AFTER_S)
}
