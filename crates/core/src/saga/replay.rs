//! Replay: whether code and plan would decide today as was decided when a log was written.
//!
//! A log does not tell what reached a saga, but the first event of each turn tells what can have led to it. That is given to
//! the saga once more, and the whole turn must come out as it was recorded. Of an answer that was a yes only the outputs are
//! known: they are taken as recorded, and their names must be those of the plan.

use serde_json::Value;

use super::advance::Turn;
use super::event::{AskId, Class, Happened, SagaEvent};
use super::plan::{Action, Fields, Plan, Step};
use super::react::{Input, Refusal, Verb, react, start};
use super::state::SagaState;
use crate::Timestamp;

/// Where a replay leaves the record.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("record {number} of {saga}: recorded {}, decided now {}", told(.recorded.as_deref()), told(.decided.as_deref()))]
pub struct Difference {
    /// The saga.
    pub saga: String,
    /// Number of the first record that differs.
    pub number: u64,
    /// What the log has there; none if it ends before.
    pub recorded: Option<Box<SagaEvent>>,
    /// What is decided now; none if nothing is.
    pub decided: Option<Box<SagaEvent>>,
}

fn told(event: Option<&SagaEvent>) -> String {
    event.map_or_else(|| "nothing".to_owned(), |event| serde_json::to_string(event).unwrap_or_default())
}

/// Decides a saga's whole log again: all its records, from the first to the last. Tells the state behind it.
///
/// # Errors
/// The first [`Difference`].
pub fn replay(plan: &Plan, log: &[Happened]) -> Result<SagaState, Difference> {
    let (Some(first), Some(SagaEvent::Started { key, input, .. })) =
        (log.first(), log.first().map(|first| &first.event))
    else {
        return Err(difference(log, 0, None));
    };
    let (mut state, decided) = start(plan, &first.saga, key, input.clone(), first.at);
    let mut rest = &log[same(log, &decided)?..];
    while let Some(next) = rest.first() {
        let (turned, length) = turn(plan, &state, next, rest)?;
        state = turned;
        rest = &rest[length..];
    }
    Ok(state)
}

/// The turn that the rest of a log begins with: the longest that something can have led to, and as it is recorded.
fn turn(plan: &Plan, before: &SagaState, next: &Happened, rest: &[Happened]) -> Result<(SagaState, usize), Difference> {
    let mut found: Result<(SagaState, usize), Difference> = Err(difference(rest, 0, None));
    for cause in causes(plan, before, &next.event) {
        let mut state = before.clone();
        let decided = cause.turn(plan, &mut state, next.at);
        if decided.is_empty() {
            continue;
        }
        let better = match (same(rest, &decided), &found) {
            (Ok(length), Ok((_, longest))) if length <= *longest => continue,
            (Ok(length), _) => Ok((state, length)),
            (Err(_), Ok(_)) => continue,
            // The one that comes closest is told.
            (Err(later), Err(known)) if known.decided.is_some() && known.number >= later.number => continue,
            (Err(later), Err(_)) => Err(later),
        };
        found = better;
    }
    found
}

/// How many records the decided events are, if they are what is recorded, at one time.
fn same(rest: &[Happened], decided: &[SagaEvent]) -> Result<usize, Difference> {
    for (at, event) in decided.iter().enumerate() {
        if rest.get(at).is_none_or(|record| record.event != *event || record.at != rest[0].at) {
            return Err(difference(rest, at, Some(event)));
        }
    }
    Ok(decided.len())
}

fn difference(rest: &[Happened], at: usize, decided: Option<&SagaEvent>) -> Difference {
    let first = rest.first();
    Difference {
        saga: first.map(|record| record.saga.clone()).unwrap_or_default(),
        number: first.map_or(1, |record| record.number) + at as u64,
        recorded: rest.get(at).map(|record| Box::new(record.event.clone())),
        decided: decided.cloned().map(Box::new),
    }
}

/// What can have led to a turn.
enum Cause<'p> {
    /// Something that reached the saga.
    Reached(Input),
    /// A yes, known by its outputs.
    Done { step: &'p Step, undo: bool, outputs: &'p Fields },
}

impl Cause<'_> {
    fn turn(&self, plan: &Plan, state: &mut SagaState, now: Timestamp) -> Vec<SagaEvent> {
        match self {
            Self::Reached(input) => react(plan, state, input, now),
            Self::Done { step, undo, outputs } => {
                let mut turn = Turn::new(plan, state, now);
                turn.done_as_recorded(step, *undo, outputs);
                turn.advance();
                turn.events
            }
        }
    }
}

fn causes<'p>(plan: &'p Plan, state: &SagaState, event: &'p SagaEvent) -> Vec<Cause<'p>> {
    let verb = |verb: Verb, by: &str, reason: &str| {
        vec![Cause::Reached(Input::Verb { verb, by: by.to_owned(), reason: reason.to_owned() })]
    };
    match event {
        SagaEvent::StepBegun { .. } => {
            let mut causes = verb(Verb::Retry, "", "");
            causes.push(Cause::Reached(Input::Tick));
            causes
        }
        SagaEvent::StepBeat { step, undo, .. } => {
            vec![Cause::Reached(Input::Beat { ask: ask(state, step, *undo) })]
        }
        SagaEvent::StepDone { step, undo, outputs } => done(plan, state, step, *undo, outputs),
        SagaEvent::StepFailed { step, undo, class, code, message, doubtful, .. } => {
            let refusal = Refusal { class: *class, code: code.clone(), message: message.clone(), doubtful: *doubtful };
            vec![Cause::Reached(Input::Tick), Cause::Reached(reply(state, step, *undo, refusal))]
        }
        SagaEvent::StepSkipped { step, reason, by: Some(by), .. } => {
            verb(Verb::Skip { step: step.clone() }, by, reason)
        }
        SagaEvent::UndoBegun { cause, by: Some(by) } => verb(Verb::Compensate, by, cause),
        SagaEvent::Retried { by, reason } => verb(Verb::Retry, by, reason),
        SagaEvent::Resolved { by, reason } => verb(Verb::Resolve, by, reason),
        SagaEvent::EventKept { event, fields } => {
            vec![Cause::Reached(Input::Event { event: event.clone(), fields: fields.clone() })]
        }
        // These follow from something in their turn.
        SagaEvent::Started { .. }
        | SagaEvent::StepSkipped { by: None, .. }
        | SagaEvent::UndoBegun { by: None, .. }
        | SagaEvent::Chosen { .. }
        | SagaEvent::Completed
        | SagaEvent::Compensated
        | SagaEvent::Stuck { .. } => Vec::new(),
    }
}

fn done<'p>(plan: &'p Plan, state: &SagaState, name: &str, undo: bool, outputs: &'p Fields) -> Vec<Cause<'p>> {
    let Some(step) = plan.step(name) else { return Vec::new() };
    let accepted = outputs.get("rejected").and_then(Value::as_str).filter(|_| !undo);
    match (&step.action, accepted) {
        (Action::Wait(_), _) => vec![Cause::Reached(Input::Tick)],
        // A no that the plan takes for an answer.
        (Action::Ask(_), Some(code)) => {
            let (class, code) = (Class::Rejected, code.to_owned());
            let refusal = Refusal { class, code, message: String::new(), doubtful: false };
            vec![Cause::Reached(reply(state, name, undo, refusal))]
        }
        (Action::Ask(_) | Action::Await(_), _) => vec![Cause::Done { step, undo, outputs }],
        (Action::Parallel(_) | Action::Choice(_), _) => Vec::new(),
    }
}

fn reply(state: &SagaState, step: &str, undo: bool, refusal: Refusal) -> Input {
    Input::Reply { ask: ask(state, step, undo), result: Err(refusal) }
}

fn ask(state: &SagaState, step: &str, undo: bool) -> AskId {
    let round = state.steps.get(step).map_or(1, |known| known.round);
    AskId { saga: state.id.clone(), step: step.to_owned(), undo, round }
}
