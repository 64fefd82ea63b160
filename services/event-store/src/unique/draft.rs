//! What an append or a command would do to its stream's unique values, judged on the state at one version.

use std::collections::BTreeMap;

use serde_json::Map;
use spina_codec::frame;
use spina_core::{ExpectedVersion, Rejection, State, StreamId, Version};

use crate::context::Context;
use crate::decide::append::{Append, NewEvent};
use crate::decide::command::{self, Intent};
use crate::read::state;

/// What is to be done to a stream.
#[derive(Debug, Clone)]
pub enum Work {
    /// Events to append as they are.
    Append(Box<Append>),
    /// A command to decide.
    Command(Box<Intent>),
}

/// See the [module](self).
#[derive(Debug)]
pub struct Draft {
    /// The version that it was judged at.
    pub version: Version,
    /// The claims that the stream holds.
    pub before: BTreeMap<StreamId, String>,
    /// The claims that it would hold.
    pub after: BTreeMap<StreamId, String>,
    /// The events, for exactly that version; `None` if there would be none.
    pub append: Option<Append>,
}

/// Why there is no draft.
#[derive(Debug)]
pub enum Undrafted {
    /// Such events cannot be.
    Rejected(Rejection),
    /// It cannot be told at the moment.
    NotNow(&'static str),
}

impl Work {
    /// The stream.
    pub fn stream(&self) -> &StreamId {
        match self {
            Self::Append(append) => &append.stream,
            Self::Command(intent) => &intent.stream,
        }
    }

    /// What the writer expects of the stream.
    pub fn expected(&self) -> ExpectedVersion {
        match self {
            Self::Append(append) => append.ask().expected,
            Self::Command(intent) => intent.expected,
        }
    }

    /// The same request for a version that the stream is past: it is answered if it was made before, and else refused.
    pub fn recalled(&self, past: Version) -> Append {
        match self {
            Self::Append(append) => Append::clone(append).at(past),
            Self::Command(intent) => Append::recalled(intent).at(past),
        }
    }

    /// The same for exactly that version.
    #[must_use]
    pub fn at(self, version: Version) -> Self {
        match self {
            Self::Append(append) => Self::Append(Box::new(append.at(version))),
            Self::Command(intent) => {
                Self::Command(Box::new(Intent { expected: ExpectedVersion::Exact(version), ..*intent }))
            }
        }
    }

    /// Judges it on the stream as it is now. Nobody else may append to the stream meanwhile.
    pub async fn draft(&self, context: &Context) -> Result<Draft, Undrafted> {
        let state = state::fold_from(context, self.stream(), None).await;
        let state = state.map_err(|_| Undrafted::NotNow("the stream's state cannot be read at the moment"))?;
        let (append, after) = match self {
            Self::Append(append) => (Some(Append::clone(append)), Some(folded(context, append, &state)?)),
            Self::Command(intent) => {
                let decision = context.deciders.decide(intent, &state);
                (decision.state.is_some().then_some(decision.append), decision.state)
            }
        };
        let claims = |state: &State| context.uniques.claims(self.stream(), state);
        Ok(Draft {
            version: state.version,
            before: claims(&state),
            after: claims(after.as_ref().unwrap_or(&state)),
            append: append.map(|append| append.at(state.version)),
        })
    }
}

/// The state after the events of an append.
fn folded(context: &Context, append: &Append, state: &State) -> Result<State, Undrafted> {
    let rejected = |why: String| Undrafted::Rejected(Rejection::new("validation.rule_failed", why));
    let aggregate = context.deciders.of(append.stream.category());
    append.events.iter().try_fold(state.clone(), |state, event| {
        let data = fields(event).map_err(rejected)?;
        let recorded = command::recorded(event, &append.stream, state.version.plus(1), data);
        aggregate.fold(state, &recorded).map_err(|unfit| rejected(unfit.to_string()))
    })
}

fn fields(event: &NewEvent) -> Result<Map<String, serde_json::Value>, String> {
    let (_, avro) = frame::split(&event.value).map_err(|error| error.to_string())?;
    event.event_type.shape.decode(avro).map_err(|error| error.to_string())
}
