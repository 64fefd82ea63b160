//! Unique values: `unique: [email]` of an aggregate, exact across partitions and processes.
//!
//! A value is claimed in a stream of its own before the events that bring it are appended; the log decides who is first
//! there. A claim says whom to ask: whether the value is held, the holder's own state tells. All of it happens before an
//! append is queued; windows know nothing of it, and contexts without unique fields do not come by.
//!
//! ```text
//! HTTP, import ───┐             claims (partitions of their own) ─ Look, Write ─┐
//!                 ├─▶ attempt ─▶ course ─ Holds? ─▶ owner of the holder          ├─▶ append ─▶ release
//! commands topic ─┘   one a stream └────────────────────────────────────────────┘
//! ```
//!
//! Why it is exact: an attempt appends only with its claims in the log. A claim that is there is replaced only when its
//! attempt can append nothing any more ([`Term`]) and the holder's state, read after that, does not have the value; and only
//! at exactly the version at which it was found. So while a state has a value, the claim is its stream's.

mod answer;
mod ask;
mod attempt;
mod course;
mod draft;
mod rules;
mod term;

#[cfg(test)]
mod simulation;

use std::sync::Arc;
use std::time::Duration;

use spina_runtime::ApiError;
use tokio::sync::oneshot;

pub use answer::{Answer, Question, answer};
use attempt::{Attempt, outcome_of};
use course::End;
use draft::Undrafted;
pub use draft::Work;
pub use rules::Uniques;
pub use term::Term;

use crate::clock;
use crate::context::{Context, Owned};
use crate::decide::append::{Outcome, Refusal, Submission, ValueTaken};
use crate::decide::queue::Refused;
use crate::forward;

/// Pause before a command of the commands topic is tried again: it cannot be sent away.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// Seconds after which a client may try again.
const RETRY_AFTER_S: u64 = 1;

/// Appends to a stream of an aggregate with unique fields. It goes on when nobody waits for it any more: what was claimed
/// must come to an end.
pub async fn append(context: &Arc<Context>, work: Work, priority: bool) -> Result<Outcome, ApiError> {
    let partition = context.partition_of(work.stream());
    let owned = context.owned(partition).ok_or_else(|| forward::not_served(partition))?;
    let room = Arc::clone(&owned.term.room).try_acquire_owned();
    let room = room.map_err(|_| ApiError::rate_limited("too many appends wait for their claims", RETRY_AFTER_S))?;
    let (tell, told) = oneshot::channel();
    let mine = Arc::clone(context);
    context.shared.tasks.spawn("append of unique values", async move {
        let outcome = run(&mine, &owned, work, priority).await;
        drop(room);
        let _gone = tell.send(outcome);
        Ok(())
    });
    let outcome = tokio::time::timeout(context.shared.limits.append_timeout, told).await;
    Ok(outcome.ok().and_then(Result::ok).unwrap_or(Outcome::Unknown))
}

async fn run(context: &Arc<Context>, owned: &Owned, work: Work, priority: bool) -> Outcome {
    let mut attempt = match Attempt::begin(context, owned, work).await {
        Ok(attempt) => attempt,
        Err(Undrafted::Rejected(rejection)) => return Outcome::Rejected(rejection),
        Err(Undrafted::NotNow(why)) => return Outcome::Unavailable(why),
    };
    if let Some(end) = attempt.claim().await {
        attempt.give_up();
        return outcome_of(end);
    }
    let (submission, outcome) = attempt.submission();
    match owned.queue.try_submit(Submission { priority, ..submission }) {
        Ok(()) => attempt.finish(outcome).await,
        Err(Refused::Full) => attempt.settle(Outcome::Unavailable("the partition's queue is full")).await,
        Err(Refused::Closed) => attempt.settle(Outcome::Unavailable("the partition moved to another owner")).await,
    }
}

/// Whether it appends to a stream of an aggregate with unique fields.
pub fn concerns(context: &Context, submission: &Submission) -> bool {
    let stream = submission.appends.first().map(|append| &append.stream);
    let stream = stream.or_else(|| submission.intent.as_ref().map(|intent| &intent.stream));
    stream.is_some_and(|stream| context.uniques.concern(stream.category()))
}

fn work(submission: &Submission) -> Option<Work> {
    let append = submission.appends.first().map(|append| Work::Append(Box::new(append.clone())));
    append.or_else(|| submission.intent.clone().map(Work::Command))
}

/// Puts a record of the commands topic in line once its claims are in. Later records of the partition wait, direct appends
/// go on: that they do is why two owners that wait for each other's claims cannot stand still.
pub async fn publish(context: &Arc<Context>, owned: &Owned, mut published: Submission) {
    let Some(asked) = work(&published) else { return };
    let refusal = loop {
        let mut attempt = match Attempt::begin(context, owned, asked.clone()).await {
            Ok(attempt) => attempt,
            Err(Undrafted::Rejected(rejection)) => {
                break Refusal { error_code: rejection.code, message: rejection.message };
            }
            Err(Undrafted::NotNow(_)) => {
                clock::pause(RETRY_PAUSE).await;
                continue;
            }
        };
        match attempt.claim().await {
            None => return send_off(owned, published, attempt).await,
            Some(End::Taken { field, holder }) => {
                attempt.give_up();
                let message = ValueTaken { field, holder }.to_string();
                break Refusal { error_code: ValueTaken::ERROR_CODE.to_owned(), message };
            }
            Some(End::In | End::NotIn | End::Hindered | End::Unknown) => attempt.give_up(),
        }
        clock::pause(RETRY_PAUSE).await;
    };
    if let Some(command) = &mut published.command {
        command.refusal = Some(refusal);
    }
    (published.appends, published.intent) = (Vec::new(), None);
    let _taken_or_gone = owned.queue.submit(published).await;
}

/// Submits it, and leaves the rest to a task: what follows on the topic need not wait for its window.
async fn send_off(owned: &Owned, published: Submission, mut attempt: Attempt) {
    let (submission, outcome) = attempt.submission();
    // An owner that went away has lost the partition: the command comes again to the next one.
    let _taken_or_gone = owned.queue.submit(Submission { command: published.command, ..submission }).await;
    let tasks = attempt.tasks();
    tasks.spawn("command of unique values", async move {
        attempt.finish(outcome).await;
        Ok(())
    });
}
