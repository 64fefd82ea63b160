//! Topics of plain JSON, as source connectors and webhooks fill them: each record is an event or command of a context.
//!
//! ```yaml
//! intake:
//!   airport.notices:                       # the topic, by its whole name
//!     type: FlightCancelled                # an event or command of the context
//!     stream: "'flight-' + data.flight + '-' + data.day"
//!     id: data.notice                      # optional: idempotency key; else the record's place in the topic
//!     when: data.kind == 'cancelled'       # optional
//!     fields: { dest: data.to }            # what is not named is the record's field of the same name
//! ```
//!
//! Nothing is known of the JSON beforehand: a field that is not there is null, and whether the result fits the schema the
//! event-store says, as for any other client.

use serde_json::{Map, Value};
use spina_core::StreamId;
use spina_core::event_shape::EventShape;

use crate::context::IntakeDef;
use crate::expr::{EvalError, Formula, Variable};
use crate::source::{Located, Problems, Source, quote};

/// The one variable of the expressions.
const DATA: &str = "data";

/// A topic of plain JSON, ready to be read.
#[derive(Debug)]
pub struct Intake {
    /// The topic.
    pub topic: String,
    /// Name of the event or command.
    pub r#type: String,
    stream: Formula,
    id: Option<Formula>,
    when: Option<Formula>,
    named: Vec<(String, Formula)>,
    same: Vec<String>,
}

/// What a record is.
#[derive(Debug, PartialEq, Eq)]
pub struct Taken {
    /// Its stream.
    pub stream: StreamId,
    /// Its idempotency key, if it has one of its own.
    pub id: Option<String>,
    /// The fields of the event or command.
    pub fields: Map<String, Value>,
}

/// A record cannot be taken in.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// An expression fails on it.
    #[error(transparent)]
    Eval(#[from] EvalError),
    /// The stream's id is none.
    #[error("`stream` gave {found}: {reason}")]
    Stream {
        /// What it gave.
        found: String,
        /// Why that is none.
        reason: String,
    },
    /// The idempotency key is none.
    #[error("`id` gave {found}, which is neither text nor a whole number")]
    Id {
        /// What it gave.
        found: String,
    },
}

/// Compiles one declaration against the event or command.
///
/// # Errors
/// Everything that is wrong, in place.
pub fn compile(source: &Source, def: &IntakeDef, shape: &EventShape) -> Result<Intake, Problems> {
    let mut problems = Problems::default();
    let mut compile = |text: &Located<String>| match Formula::compile(source, text, &[DATA]) {
        Ok(formula) => Some(formula),
        Err(problem) => {
            problems.push(problem);
            None
        }
    };
    let (stream, id) = (compile(&def.stream), def.id.as_ref().and_then(&mut compile));
    let when = def.when.as_ref().and_then(&mut compile);
    let named: Vec<(String, Formula)> =
        def.fields.iter().filter_map(|(name, text)| Some((name.value.clone(), compile(text)?))).collect();
    for (name, _) in &def.fields {
        if !shape.fields.iter().any(|field| field.name == name.value) {
            problems.push(source.problem(name.place, format!("{} has no field {}", shape.name, quote(name))));
        }
    }
    let declared = |name: &str| def.fields.iter().any(|(declared, _)| declared.value == name);
    let same = shape.fields.iter().map(|field| field.name.clone()).filter(|name| !declared(name)).collect();
    let (topic, r#type) = (def.topic.value.clone(), def.r#type.value.clone());
    // Without a stream there is a problem.
    let Some(stream) = stream else { return Err(problems) };
    problems.none_or(Intake { topic, r#type, stream, id, when, named, same })
}

impl Intake {
    /// What the record is, unless the condition passes over it.
    ///
    /// # Errors
    /// [`IntakeError`].
    pub fn of(&self, data: &Map<String, Value>) -> Result<Option<Taken>, IntakeError> {
        let scope = [(DATA, Variable::Document(data))];
        if let Some(when) = &self.when
            && !when.holds(&scope)?
        {
            return Ok(None);
        }
        let found = self.stream.eval(&scope)?;
        let text = found.as_str().ok_or("it is no text".to_owned());
        let stream =
            text.and_then(|text| text.parse().map_err(|error: spina_core::stream::NameError| error.to_string()));
        let stream = stream.map_err(|reason| IntakeError::Stream { found: found.to_string(), reason })?;
        let id = self.id.as_ref().map(|id| id.eval(&scope)).transpose()?.map(key).transpose()?;
        let mut fields = Map::new();
        for name in &self.same {
            if let Some(value) = data.get(name) {
                fields.insert(name.clone(), value.clone());
            }
        }
        for (name, formula) in &self.named {
            fields.insert(name.clone(), formula.eval(&scope)?);
        }
        Ok(Some(Taken { stream, id, fields }))
    }
}

fn key(found: Value) -> Result<String, IntakeError> {
    match found {
        Value::String(text) if !text.is_empty() => Ok(text),
        Value::Number(number) if !number.is_f64() => Ok(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            Err(IntakeError::Id { found: found.to_string() })
        }
    }
}

#[cfg(test)]
mod tests;
