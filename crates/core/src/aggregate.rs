//! An aggregate as the event-store runs it: whatever decides, its state, commands and events are documents.
//!
//! ```text
//! context.yaml ── rules::decide ──┐
//! impl Decider ── Typed ──────────┼─▶ Aggregate ─▶ decide(state, command), evolve(state, event)
//! nothing ─────── Merged ─────────┘
//! ```

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::decider::{Decider, Rejection};
use crate::{Recorded, State, StreamId};

/// A command on its way to a decision.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The stream that is to decide.
    pub stream: &'a StreamId,
    /// The command's name: `OpenAccount`.
    pub name: &'a str,
    /// Its fields.
    pub data: &'a Map<String, Value>,
}

/// An event that a decision leads to, without a version yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Decided {
    /// Its name without context and aggregate: `AccountOpened`.
    pub event: String,
    /// Its fields.
    pub data: Map<String, Value>,
}

/// A document is not what the aggregate's types say: schema and code, or rule and data, do not fit each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} does not fit the aggregate: {cause}")]
pub struct Unfit {
    /// Which document: a state, a command, an event, a rule.
    pub what: String,
    /// Why.
    pub cause: String,
}

/// Why a command led to no events.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The domain says no.
    #[error("{0}")]
    Rejected(Rejection),
    /// Rules and data do not fit.
    #[error(transparent)]
    Unfit(#[from] Unfit),
}

/// What decides for the streams of one category, and folds them.
pub trait Aggregate: Send + Sync {
    /// The state before the first event.
    fn initial(&self) -> Map<String, Value>;

    /// The events that the command leads to, or why it leads to none.
    fn decide(&self, state: &State, request: Request<'_>) -> Result<Vec<Decided>, Refused>;

    /// The fields after the event.
    fn evolve(&self, fields: Map<String, Value>, event: &Recorded) -> Result<Map<String, Value>, Unfit>;

    /// Changes when the fold does, so that a snapshot taken under another one is not used.
    fn fingerprint(&self) -> String;

    /// The state before the first event, with its version.
    fn begin(&self) -> State {
        State { data: self.initial(), ..State::default() }
    }

    /// The state after the event, with its version.
    fn fold(&self, state: State, event: &Recorded) -> Result<State, Unfit> {
        let data = self.evolve(state.data, event)?;
        Ok(State { version: event.headers.version, time: Some(event.headers.time), data })
    }
}

/// An aggregate without commands: its state is the default fold.
#[derive(Debug, Clone, Copy, Default)]
pub struct Merged;

impl Aggregate for Merged {
    fn initial(&self) -> Map<String, Value> {
        Map::new()
    }

    fn decide(&self, _: &State, request: Request<'_>) -> Result<Vec<Decided>, Refused> {
        Err(unfit("the command", format!("the aggregate does not know `{}`", request.name)).into())
    }

    fn evolve(&self, fields: Map<String, Value>, event: &Recorded) -> Result<Map<String, Value>, Unfit> {
        Ok(State { data: fields, ..State::default() }.evolve(event).data)
    }

    fn fingerprint(&self) -> String {
        String::new()
    }
}

/// A [`Decider`] whose types serde knows, as an aggregate. Commands and events are enums whose variants bear the names of
/// the records; the state is a struct.
#[derive(Debug, Clone)]
pub struct Typed<D>(pub D);

impl<D> Aggregate for Typed<D>
where
    D: Decider<Rejection = Rejection> + Send + Sync,
    D::State: Serialize + DeserializeOwned,
    D::Command: DeserializeOwned,
    D::Event: Serialize + DeserializeOwned,
{
    /// # Panics
    /// If the state is not written as an object.
    fn initial(&self) -> Map<String, Value> {
        document(&self.0.initial()).expect("a decider's state is a struct of named fields")
    }

    fn decide(&self, state: &State, request: Request<'_>) -> Result<Vec<Decided>, Refused> {
        let state = read("the state", Value::Object(state.data.clone()))?;
        let command = variant("the command", request.name, request.data)?;
        let events = self.0.decide(&state, &command).map_err(Refused::Rejected)?;
        events.iter().map(|event| named(event).map_err(Refused::Unfit)).collect()
    }

    fn evolve(&self, fields: Map<String, Value>, event: &Recorded) -> Result<Map<String, Value>, Unfit> {
        let state = read("the state", Value::Object(fields))?;
        let event = variant("the event", event.headers.event_name(), &event.data)?;
        document(&self.0.evolve(state, &event))
    }

    fn fingerprint(&self) -> String {
        format!("{}/{}", std::any::type_name::<D>(), self.0.revision())
    }
}

fn unfit(what: &str, cause: impl ToString) -> Unfit {
    Unfit { what: what.to_owned(), cause: cause.to_string() }
}

fn read<T: DeserializeOwned>(what: &str, value: Value) -> Result<T, Unfit> {
    serde_json::from_value(value).map_err(|error| unfit(what, error))
}

/// The enum's variant of that name. One without fields is written without braces in Rust and as a record in Avro.
fn variant<T: DeserializeOwned>(what: &str, name: &str, data: &Map<String, Value>) -> Result<T, Unfit> {
    let tagged = Map::from_iter([(name.to_owned(), Value::Object(data.clone()))]);
    match serde_json::from_value(Value::Object(tagged)) {
        Ok(found) => Ok(found),
        Err(error) if !data.is_empty() => Err(unfit(&format!("{what} `{name}`"), error)),
        Err(_) => read(&format!("{what} `{name}`"), Value::from(name)),
    }
}

/// An event as its name and its fields.
fn named<T: Serialize>(event: &T) -> Result<Decided, Unfit> {
    match serde_json::to_value(event).map_err(|error| unfit("an event", error))? {
        Value::String(event) => Ok(Decided { event, data: Map::new() }),
        Value::Object(tagged) if tagged.len() == 1 => match tagged.into_iter().next() {
            Some((event, Value::Object(data))) => Ok(Decided { event, data }),
            _ => Err(unfit("an event", "its variant has no named fields")),
        },
        _ => Err(unfit("an event", "events are variants of an enum")),
    }
}

fn document<T: Serialize>(value: &T) -> Result<Map<String, Value>, Unfit> {
    match serde_json::to_value(value).map_err(|error| unfit("the state", error))? {
        Value::Object(fields) => Ok(fields),
        _ => Err(unfit("the state", "it is no struct of named fields")),
    }
}
