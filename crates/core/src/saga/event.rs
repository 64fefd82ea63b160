//! What happens to a saga, as it is written to the log.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::plan::Fields;
use crate::Timestamp;

/// How something failed, which decides what is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The answer was no. Nothing has happened.
    Rejected,
    /// It could not be asked, or be judged, for now.
    Unavailable,
    /// There was no answer. It may have happened.
    TimedOut,
    /// The definition could not compute a value.
    Definition,
}

/// What was asked, whole: the log tells without the definition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Request {
    /// A command.
    Command {
        /// The context.
        context: String,
        /// The command's name.
        command: String,
        /// The stream.
        stream: String,
        /// Its fields.
        fields: Fields,
    },
    /// A call.
    Http {
        /// The address.
        url: String,
        /// The body.
        body: Fields,
    },
    /// Time passes.
    Wait,
    /// An event is awaited.
    Await {
        /// Its type.
        event: String,
    },
}

/// Something that happened to a saga.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum SagaEvent {
    /// It began.
    Started {
        /// Name of its definition.
        definition: String,
        /// Version of its definition.
        version: u32,
        /// What it is about, unique among the sagas of its definition.
        key: String,
        /// What it began with.
        input: Fields,
    },
    /// A step, or its undoing, was begun or tried again.
    StepBegun {
        /// The step.
        step: String,
        /// Whether it is undone.
        undo: bool,
        /// Counts the answers that were no, from 1: part of the ask's id.
        round: u32,
        /// What is asked.
        request: Request,
        /// When it is given up; the end of a wait.
        due: Timestamp,
    },
    /// Who was asked is at it.
    StepBeat {
        /// The step.
        step: String,
        /// Whether its undoing is.
        undo: bool,
        /// When it is given up unless something is heard of it.
        due: Timestamp,
    },
    /// It failed.
    StepFailed {
        /// The step.
        step: String,
        /// Whether its undoing failed.
        undo: bool,
        /// How.
        class: Class,
        /// Why, for programs.
        code: String,
        /// Why, for people.
        message: String,
        /// Whether it may have taken effect.
        doubtful: bool,
        /// When it is tried again; not at all if absent.
        retry_at: Option<Timestamp>,
    },
    /// It is done, or undone.
    StepDone {
        /// The step.
        step: String,
        /// Whether it was undone.
        undo: bool,
        /// What later steps see.
        outputs: Fields,
    },
    /// It is passed over.
    StepSkipped {
        /// The step.
        step: String,
        /// Whether its undoing is.
        undo: bool,
        /// Why.
        reason: String,
        /// Who said so; the definition if absent.
        by: Option<String>,
    },
    /// A branch was taken; none of them if absent.
    Chosen {
        /// The choice.
        step: String,
        /// The branch, from 0.
        branch: Option<usize>,
    },
    /// An event came before the step that awaits it.
    EventKept {
        /// Its type.
        event: String,
        /// Its fields.
        fields: Fields,
    },
    /// What was done is taken back from here on.
    UndoBegun {
        /// Why.
        cause: String,
        /// Who said so; a failed step if absent.
        by: Option<String>,
    },
    /// Every step is done. The end.
    Completed,
    /// Everything done was taken back. The end.
    Compensated,
    /// It cannot go on without a person.
    Stuck {
        /// The step that could not be undone.
        step: String,
        /// Why.
        cause: String,
    },
    /// A person had it tried again.
    Retried {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// A person took it out of Spina's hands. The end.
    Resolved {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
}

/// A record of the log: the key of its topic, and what it says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Happened {
    /// To which saga.
    pub saga: String,
    /// As its how manieth event, from 1.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub event: SagaEvent,
}

/// The id of an ask: `saga-rebook-17/hold/do/1`. The same ask always has the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AskId {
    /// The saga.
    pub saga: String,
    /// The step.
    pub step: String,
    /// Whether it is undone.
    pub undo: bool,
    /// The round.
    pub round: u32,
}

impl fmt::Display for AskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.saga, self.step, if self.undo { "undo" } else { "do" }, self.round)
    }
}

impl From<AskId> for String {
    fn from(id: AskId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for AskId {
    type Error = NoAskId;

    fn try_from(text: String) -> Result<Self, NoAskId> {
        text.parse()
    }
}

/// The text is not the id of an ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a saga's step, such as saga-rebook-17/hold/do/1")]
pub struct NoAskId;

impl FromStr for AskId {
    type Err = NoAskId;

    fn from_str(text: &str) -> Result<Self, NoAskId> {
        let mut parts = text.rsplitn(4, '/');
        let mut next = || parts.next().ok_or(NoAskId);
        let (round, direction, step, saga) = (next()?, next()?, next()?, next()?);
        let undo = match direction {
            "do" => false,
            "undo" => true,
            _ => return Err(NoAskId),
        };
        let round = round.parse().map_err(|_| NoAskId)?;
        Ok(Self { saga: saga.to_owned(), step: step.to_owned(), undo, round })
    }
}
