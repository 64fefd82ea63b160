//! Handing appends to the owner of their partition and waiting for what becomes of them.

use std::sync::Arc;

use spina_runtime::{ApiError, failpoint};
use tokio::sync::oneshot;

use crate::context::Context;
use crate::decide::append::{Append, Outcome, Submission};
use crate::decide::command::Intent;
use crate::decide::queue::Refused;
use crate::decide::recognise::{self, Question};
use crate::read::stream;
use crate::unique::{self, Work};

const RETRY_AFTER_S: u64 = 1;

/// Submits one append. A full queue is refused at once: waiting would only make the queue longer.
pub async fn one(context: &Arc<Context>, append: Append, priority: bool) -> Result<Outcome, ApiError> {
    let question = Question::of_append(&append);
    let outcome = if context.uniques.concern(append.stream.category()) {
        unique::append(context, Work::Append(Box::new(append)), priority).await?
    } else {
        submit(context, context.partition_of(&append.stream), Submission::direct(vec![append], priority)).await?
    };
    Ok(recognise::told(outcome, question, &stream::reader(context)).await)
}

/// Submits one command, to be decided.
pub async fn command(context: &Arc<Context>, intent: Intent) -> Result<Outcome, ApiError> {
    let question = Question::of_intent(&intent);
    let outcome = if context.uniques.concern(intent.stream.category()) {
        unique::append(context, Work::Command(Box::new(intent)), false).await?
    } else {
        submit(context, context.partition_of(&intent.stream), Submission::to_decide(intent)).await?
    };
    Ok(recognise::told(outcome, question, &stream::reader(context)).await)
}

async fn submit(
    context: &Context,
    partition: i32,
    (submission, outcomes): (Submission, oneshot::Receiver<Vec<Outcome>>),
) -> Result<Outcome, ApiError> {
    let owned = context.owned(partition).ok_or_else(|| not_owned(partition))?;
    owned.queue.try_submit(submission).map_err(|refused| match refused {
        Refused::Full => ApiError::rate_limited("the partition's queue is full", RETRY_AFTER_S),
        Refused::Closed => not_owned(partition),
    })?;
    failpoint::reach("queued");
    let outcome = tokio::time::timeout(context.shared.limits.append_timeout, outcomes).await;
    // No answer in time, or an owner that went away without one: only the log knows.
    let outcomes = outcome.ok().and_then(Result::ok).unwrap_or_default();
    Ok(outcomes.into_iter().next().unwrap_or(Outcome::Unknown))
}

fn not_owned(partition: i32) -> ApiError {
    ApiError::unavailable(format!("partition {partition} is not served by this process at the moment"), RETRY_AFTER_S)
}
