//! Sagas as declared in `topology/<context>/sagas/*.yaml`:
//!
//! ```yaml
//! saga: rebook
//! version: 1                                   # grows with every change; running sagas end on theirs
//! start:                                       # optional: without it a saga is started by hand only
//!   on: flights.FlightCancelled
//!   when: data.reason != 'test'                # optional
//!   key: event.key                             # one saga for each key
//!   input: { flight: event.key }               # what the steps see as `input`
//! steps:
//!   - name: hold
//!     command: booking.HoldSeats
//!     stream: "'seats-' + input.flight"
//!     fields: { seats: "2" }
//!     accept: [seats.none_left]                # these rejections are answers: output `rejected`
//!     outputs: { version: reply.version }
//!     timeout_ms: 30000
//!     retry: { unavailable: { attempts: 10, first_ms: 200, most_ms: 30000 } }    # also: rejected, timed_out
//!     undo: { command: booking.ReleaseSeats, stream: "'seats-' + input.flight" }
//!   - name: tell
//!     http: "'http://stub/notices'"
//!     body: { key: key }
//!     rate: { per_second: 20, burst: 5 }       # calls of this step to one target; burst is 1 by default
//!     undo: { none: a notice cannot be recalled }
//!   - { name: rest, wait_ms: "60000" }
//!   - { name: landed, await: flights.FlightLanded, key: event.key, timeout_ms: 86400000 }
//!   - name: which
//!     choice:
//!       - { when: steps.hold.rejected == null, steps: [...] }
//!       - { steps: [...] }
//!   - { name: both, parallel: [[...], [...]] }
//! ```
//!
//! Formulas see `input`, `steps` (outputs of earlier steps), `key` and `id`; outputs see `reply` too. What starts a saga or
//! is awaited sees `data` and `event`, as read models do.

mod asks;
mod compile;
mod steps;

#[cfg(test)]
mod tests;

use std::path::Path;

use serde_json::Value;
use spina_core::saga::{Compute, Fields, Plan};
use spina_core::{ContextName, Recorded};

use crate::expr::{EvalError, Expr, Formula, Variable};
use crate::known::Known;
use crate::source::{Place, Problem, Problems, Source};

pub use compile::compile;

/// The folder of a context's sagas within the context's own.
pub const SAGAS_FOLDER: &str = "sagas";

/// A saga, ready to be run.
#[derive(Debug)]
pub struct Saga {
    /// What it does.
    pub plan: Plan,
    /// What starts it; by hand only if absent.
    pub start: Option<Start>,
    /// The events that its steps await.
    pub awaits: Vec<Awaited>,
}

/// What starts a saga.
#[derive(Debug)]
pub struct Start {
    /// The event's type: `flights.FlightCancelled`.
    pub event: String,
    when: Option<Expr>,
    key: Expr,
    input: Vec<(String, Expr)>,
}

/// An event that a step awaits.
#[derive(Debug)]
pub struct Awaited {
    /// The event's type.
    pub event: String,
    key: Expr,
}

impl Start {
    /// The key and the input of the saga that the event starts, if it starts one.
    ///
    /// # Errors
    /// When an expression fails, or the key is neither text nor a whole number.
    pub fn of(&self, event: &Recorded) -> Result<Option<(String, Fields)>, EvalError> {
        if let Some(when) = &self.when
            && !when.holds(event)?
        {
            return Ok(None);
        }
        let input = self.input.iter().map(|(name, expr)| Ok((name.clone(), expr.eval(event)?.into_owned())));
        Ok(Some((key(&self.key, event)?, input.collect::<Result<Fields, EvalError>>()?)))
    }
}

impl Awaited {
    /// The key of the saga that the event is for.
    ///
    /// # Errors
    /// As [`Start::of`].
    pub fn key(&self, event: &Recorded) -> Result<String, EvalError> {
        key(&self.key, event)
    }
}

fn key(expr: &Expr, event: &Recorded) -> Result<String, EvalError> {
    match expr.eval(event)?.as_ref() {
        Value::String(text) if !text.is_empty() => Ok(text.clone()),
        Value::Number(number) if number.is_i64() => Ok(number.to_string()),
        other => Err(expr.failed(&format!("a key is text or a whole number, this gave {other}"))),
    }
}

/// A formula of a saga's step.
#[derive(Debug)]
struct StepFormula(Formula);

impl Compute for StepFormula {
    fn compute(&self, scope: &Fields) -> Result<Value, String> {
        let none = Fields::new();
        let document = |name: &str| Variable::Document(scope.get(name).and_then(Value::as_object).unwrap_or(&none));
        let text = |name: &str| Variable::Text(scope.get(name).and_then(Value::as_str).unwrap_or_default());
        let scope = [
            ("input", document("input")),
            ("steps", document("steps")),
            ("reply", document("reply")),
            ("key", text("key")),
            ("id", text("id")),
        ];
        self.0.eval(&scope).map_err(|error| error.to_string())
    }
}

/// Reads the sagas of all contexts. Tells everything that is wrong.
///
/// # Errors
/// All problems of all files, also that a saga is there twice in the same version.
pub fn load_all(topology_dir: &Path, known: &Known) -> Result<Vec<Saga>, Problems> {
    let (mut sagas, mut problems) = (Vec::<Saga>::new(), Problems::default());
    let mut contexts: Vec<&ContextName> = known.keys().collect();
    contexts.sort_by_key(|name| name.as_str());
    for context in contexts {
        let folder = topology_dir.join(context.as_str()).join(SAGAS_FOLDER);
        for file in files(&folder) {
            let compiled = Source::read(&file).map_err(|problem| Problems(vec![problem]));
            match compiled.and_then(|source| compile(&source, known)) {
                Ok(saga) => {
                    let twin =
                        |other: &Saga| (&other.plan.name, other.plan.version) == (&saga.plan.name, saga.plan.version);
                    if sagas.iter().any(twin) {
                        let message =
                            format!("saga `{}` version {} is declared twice", saga.plan.name, saga.plan.version);
                        problems.push(Problem { file: file.display().to_string(), place: Place::FILE, message });
                    }
                    sagas.push(saga);
                }
                Err(found) => problems.0.extend(found.0),
            }
        }
    }
    if problems.0.is_empty() { Ok(sagas) } else { Err(problems) }
}

/// The definitions in a folder, by name; none if there is no such folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let mut files: Vec<_> = paths.filter(|path| path.extension().is_some_and(|e| e == "yaml")).collect();
    files.sort();
    files
}
