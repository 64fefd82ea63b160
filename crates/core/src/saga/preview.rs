//! What taking a saga back would do now, without doing it.

use serde::Serialize;

use super::event::{AskId, Class, Request, SagaEvent};
use super::plan::{Fields, Plan};
use super::react::{Input, Refusal, Verb, react};
use super::state::{Phase, SagaState, Status};
use crate::Timestamp;

/// Most turns of a preview: a plan has fewer steps.
const TURNS_MAX: usize = 10_000;

/// What would come of a step.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "fate")]
pub enum Fate {
    /// It is asked, and its answer is waited for first. If that is a yes, it is taken back before all others.
    Awaited,
    /// This is asked to take it back.
    Undone {
        /// What.
        request: Request,
    },
    /// It stays.
    Kept {
        /// Why.
        reason: String,
    },
    /// What is to be asked cannot be computed: here the saga gets stuck.
    Unclear {
        /// Why not.
        message: String,
    },
}

/// A step and what would come of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Planned {
    /// The step.
    pub step: String,
    /// What would come of it.
    #[serde(flatten)]
    pub fate: Fate,
}

/// See the [module](self).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Preview {
    /// The steps that it concerns, in the order in which it comes to them.
    pub steps: Vec<Planned>,
    /// Where the saga ends, if everything that is asked is done.
    pub ends: Status,
}

/// What compensation would do now. Whoever is asked to take something back is taken to do it, and what is under way to be
/// refused.
pub fn preview(plan: &Plan, state: &SagaState, now: Timestamp) -> Preview {
    let mut state = state.clone();
    let mut steps: Vec<Planned> = state.steps.iter().filter_map(|(name, step)| under_way(name, step)).collect();
    let mut input = Some(operator(if state.status == Status::Running { Verb::Compensate } else { Verb::Retry }));
    for _ in 0..TURNS_MAX {
        let Some(next) = input else { break };
        let events = react(plan, &mut state, &next, now);
        steps.extend(events.iter().filter_map(planned));
        input = answer(&state);
    }
    Preview { steps, ends: state.status }
}

fn under_way(name: &str, step: &super::StepState) -> Option<Planned> {
    let request = step.request.clone().filter(|_| step.is_asked())?;
    let fate = if step.phase == Phase::Undoing { Fate::Undone { request } } else { Fate::Awaited };
    Some(Planned { step: name.to_owned(), fate })
}

fn planned(event: &SagaEvent) -> Option<Planned> {
    let (step, fate) = match event {
        SagaEvent::StepBegun { step, undo: true, request, .. } => (step, Fate::Undone { request: request.clone() }),
        SagaEvent::StepSkipped { step, undo: true, reason, .. } => (step, Fate::Kept { reason: reason.clone() }),
        SagaEvent::StepFailed { step, undo: true, message, .. } => (step, Fate::Unclear { message: message.clone() }),
        SagaEvent::StepBegun { .. }
        | SagaEvent::StepBeat { .. }
        | SagaEvent::StepSkipped { .. }
        | SagaEvent::StepFailed { .. }
        | SagaEvent::StepDone { .. }
        | SagaEvent::Started { .. }
        | SagaEvent::Chosen { .. }
        | SagaEvent::EventKept { .. }
        | SagaEvent::UndoBegun { .. }
        | SagaEvent::Completed
        | SagaEvent::Compensated
        | SagaEvent::Stuck { .. }
        | SagaEvent::Retried { .. }
        | SagaEvent::Resolved { .. } => return None,
    };
    Some(Planned { step: step.clone(), fate })
}

/// The answer to the first thing that is asked; none if nothing is.
fn answer(state: &SagaState) -> Option<Input> {
    let (name, step) = state.steps.iter().find(|(_, step)| step.is_asked())?;
    let undo = step.phase == Phase::Undoing;
    let ask = AskId { saga: state.id.clone(), step: name.clone(), undo, round: step.round };
    let refusal =
        Refusal { class: Class::Rejected, code: "preview".to_owned(), message: String::new(), doubtful: false };
    Some(Input::Reply { ask, result: if undo { Ok(Fields::new()) } else { Err(refusal) } })
}

fn operator(verb: Verb) -> Input {
    Input::Verb { verb, by: "preview".to_owned(), reason: "preview".to_owned() }
}
