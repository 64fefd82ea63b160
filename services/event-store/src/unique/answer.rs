//! What the owner of a partition answers about its streams: how claims stand, and whether a stream holds a value.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use spina_core::{ExpectedVersion, StreamId, Version, unique};
use spina_runtime::{ApiError, ApiResult};
use spina_store::archive::StreamRange;

use super::course::{Claim, Heard, Standing};
use super::term::Fate;
use crate::context::{Context, Owned};
use crate::decide::append::{Append, NewEvent, Outcome, Submission, Trace};
use crate::forward;
use crate::http::error::refusal;
use crate::read::state;
use crate::read::stream;

/// How long an attempt that runs is waited for before the asker is sent away.
const RUNNING_LIMIT: Duration = Duration::from_secs(2);
/// Seconds after which it may ask again.
const RETRY_AFTER_S: u64 = 1;

/// What an owner is asked about one of its streams.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Question {
    /// How a claim stands.
    Look,
    /// To write to a claim at exactly this version.
    Write {
        /// The version.
        at: Version,
        /// Whose it is to be; nobody's if missing.
        claim: Option<Claim>,
    },
    /// Whether the stream holds a value, when the append that claimed it is over.
    Holds {
        /// The claim of the value.
        value: StreamId,
        /// The append that claimed it.
        attempt: String,
    },
}

/// The answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// It has what was to be written.
    Written,
    /// How the claim stands; nothing was written.
    Stands(Standing),
    /// The value is held.
    Holds,
    /// It is not, and will not be by that append.
    Gone,
}

impl From<Answer> for Heard {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Written => Self::Written,
            Answer::Stands(standing) => Self::Stands(standing),
            Answer::Holds => Self::Holds,
            Answer::Gone => Self::Gone,
        }
    }
}

/// Answers about a stream of a partition of this process.
///
/// # Errors
/// When this process does not own the partition, or cannot tell at the moment.
pub async fn answer(context: &Context, stream: &StreamId, question: Question) -> ApiResult<Answer> {
    let partition = context.partition_of(stream);
    let owned = context.owned(partition).ok_or_else(|| forward::not_served(partition))?;
    match question {
        Question::Look => standing(context, stream).await.map(Answer::Stands),
        Question::Write { at, claim } => write(context, &owned, stream, at, claim).await,
        Question::Holds { value, attempt } => {
            let held = holds(context, &owned, stream, &value, &attempt).await?;
            Ok(if held { Answer::Holds } else { Answer::Gone })
        }
    }
}

async fn standing(context: &Context, claim: &StreamId) -> ApiResult<Standing> {
    let range = StreamRange { from: Version(u64::MAX >> 1), backward: true, limit: 1 };
    let part = stream::read(context, claim, range).await?;
    let claimed_type = unique::event_type(unique::VALUE_CLAIMED);
    let claimed = part.events.first().filter(|event| event.headers.event_type == claimed_type);
    let text = |name: &str| claimed?.data.get(name)?.as_str();
    let holder = text("holder").and_then(|holder| holder.parse().ok());
    let claim = holder.zip(text("attempt")).map(|(holder, attempt)| Claim { holder, attempt: attempt.to_owned() });
    Ok(Standing { version: part.last, claim })
}

/// The log decides between those who write at one version.
async fn write(
    context: &Context,
    owned: &Owned,
    stream: &StreamId,
    at: Version,
    claim: Option<Claim>,
) -> ApiResult<Answer> {
    let event = match &claim {
        Some(claim) => context.uniques.claimed(claim),
        None => context.uniques.released(),
    };
    match append(owned, stream, ExpectedVersion::Exact(at), event).await? {
        Outcome::Appended(_) | Outcome::Repeated(_) => Ok(Answer::Written),
        Outcome::Conflict(_) => standing(context, stream).await.map(Answer::Stands),
        outcome @ (Outcome::KeyReused
        | Outcome::Rejected(_)
        | Outcome::ValueTaken(_)
        | Outcome::Nothing(_)
        | Outcome::Unavailable(_)
        | Outcome::Unknown) => Err(refusal(&outcome)),
    }
}

/// Whether the stream's state has the value. A state that has it not yet is only an answer when the append that claimed
/// it is over.
async fn holds(
    context: &Context,
    owned: &Owned,
    holder: &StreamId,
    value: &StreamId,
    attempt: &str,
) -> ApiResult<bool> {
    if has(context, holder, value).await? {
        return Ok(true);
    }
    match owned.term.fate(attempt) {
        Fate::Over => {}
        Fate::Running(mut alive) => {
            let _ended_or_not = tokio::time::timeout(RUNNING_LIMIT, alive.changed()).await;
            if matches!(owned.term.fate(attempt), Fate::Running(_)) {
                let message = format!("`{holder}` is about to take the value, or to give it up");
                return Err(ApiError::unavailable(message, RETRY_AFTER_S));
            }
        }
        Fate::Of(term) => {
            prove(context, owned, context.partition_of(holder), &term).await?;
            owned.term.proved_over(term);
        }
    }
    has(context, holder, value).await
}

async fn has(context: &Context, holder: &StreamId, value: &StreamId) -> ApiResult<bool> {
    let state = state::fold_from(context, holder, None).await?;
    Ok(context.uniques.claims(holder, &state).contains_key(value))
}

/// Proves that a term which had begun before this is asked is earlier than ours: a window that commits now shows that
/// nobody has opened the lanes after us. So the other one did before, is fenced, and what it wrote was read.
async fn prove(context: &Context, owned: &Owned, partition: i32, over: &str) -> ApiResult<()> {
    let stream = (0_u32..).map(|number| format!("{}owner-{number}", unique::CATEGORY_PREFIX).parse());
    let stream = stream.flatten().find(|stream: &StreamId| context.partition_of(stream) == partition);
    let stream = stream.ok_or_else(|| forward::not_served(partition))?;
    match append(owned, &stream, ExpectedVersion::Any, context.uniques.proved(over)).await? {
        Outcome::Appended(_) => Ok(()),
        outcome @ (Outcome::Repeated(_)
        | Outcome::Conflict(_)
        | Outcome::KeyReused
        | Outcome::Rejected(_)
        | Outcome::ValueTaken(_)
        | Outcome::Nothing(_)
        | Outcome::Unavailable(_)
        | Outcome::Unknown) => Err(refusal(&outcome)),
    }
}

/// Appends an event that is not of the domain, as any other: into a window, in a fenced transaction.
async fn append(
    owned: &Owned,
    stream: &StreamId,
    expected: ExpectedVersion,
    event: Option<NewEvent>,
) -> ApiResult<Outcome> {
    let event = event.ok_or_else(|| ApiError::not_found("the context has no unique fields"))?;
    let append = Append::new(stream.clone(), expected, None, vec![event], Trace::default());
    let (submission, outcomes) = Submission::direct(vec![append], false);
    let full = |_| ApiError::rate_limited("the partition's queue is full", RETRY_AFTER_S);
    owned.queue.try_submit(submission).map_err(full)?;
    Ok(outcomes.await.ok().and_then(|outcomes| outcomes.into_iter().next()).unwrap_or(Outcome::Unknown))
}
