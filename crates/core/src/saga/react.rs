//! What a saga does when something reaches it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::advance::{MESSAGE_CHARS_MAX, Turn, later};
use super::event::{AskId, Class, Request, SagaEvent};
use super::plan::{Action, Ask, Fields, Plan, Step};
use super::state::{Phase, SagaState, Status};
use crate::Timestamp;

/// What reaches a saga.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// The answer to an ask. It may come late, twice, or contradict an earlier one: the first that counts, counts.
    Reply {
        /// Which ask.
        ask: AskId,
        /// What was said.
        result: Result<Fields, Refusal>,
    },
    /// Who was asked has taken it for later, or is still at it.
    Beat {
        /// Which ask.
        ask: AskId,
    },
    /// An event that is correlated to the saga.
    Event {
        /// Its type: `flights.FlightLanded`.
        event: String,
        /// Its fields.
        fields: Fields,
    },
    /// Time has passed.
    Tick,
    /// A person wants something.
    Verb {
        /// What.
        verb: Verb,
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// How it failed.
    pub class: Class,
    /// Why, for programs.
    pub code: String,
    /// Why, for people.
    pub message: String,
    /// Whether it may have happened all the same.
    pub doubtful: bool,
}

/// What a person may want of a saga.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Try at once what waits to be tried again, or what it is stuck on.
    Retry,
    /// Take back what was done.
    Compensate,
    /// Go on as if this step were done, or undone.
    Skip {
        /// The step.
        step: String,
    },
    /// End it here: a person has done what was to be done.
    Resolve,
}

/// A new saga: its state and its first events.
pub fn start(plan: &Plan, id: &str, key: &str, input: Fields, now: Timestamp) -> (SagaState, Vec<SagaEvent>) {
    let (definition, version) = (plan.name.clone(), plan.version);
    let started = SagaEvent::Started { definition, version, key: key.to_owned(), input };
    let mut state = SagaState::begin(id, &started, now).expect("a started saga begins");
    let mut turn = Turn::new(plan, &mut state, now);
    turn.advance();
    let mut events = vec![started];
    events.append(&mut turn.events);
    (state, events)
}

/// What a saga makes of an input: its events, which the state has then folded already. None if it changes nothing.
pub fn react(plan: &Plan, state: &mut SagaState, input: &Input, now: Timestamp) -> Vec<SagaEvent> {
    if state.status.is_end() {
        return Vec::new();
    }
    let mut turn = Turn::new(plan, state, now);
    match input {
        Input::Reply { ask, result } => reply(&mut turn, ask, result),
        Input::Beat { ask } => beat(&mut turn, ask),
        Input::Event { event, fields } => awaited(&mut turn, event, fields),
        Input::Tick => tick(&mut turn),
        Input::Verb { verb, by, reason } => obey(&mut turn, verb, by, reason),
    }
    turn.advance();
    turn.events
}

/// What is to be asked because of an event.
pub fn effect<'e>(saga: &str, event: &'e SagaEvent) -> Option<(AskId, &'e Request)> {
    let SagaEvent::StepBegun { step, undo, round, request, .. } = event else { return None };
    match request {
        Request::Command { .. } | Request::Http { .. } => {
            Some((AskId { saga: saga.to_owned(), step: step.clone(), undo: *undo, round: *round }, request))
        }
        Request::Wait | Request::Await { .. } => None,
    }
}

fn reply(turn: &mut Turn<'_>, ask: &AskId, result: &Result<Fields, Refusal>) {
    let Some(step) = turn.plan.step(&ask.step) else { return };
    let Some(known) = turn.state.steps.get(&ask.step) else { return };
    let (asked, paused) = if ask.undo { (Phase::Undoing, Phase::UndoPausing) } else { (Phase::Active, Phase::Pausing) };
    // While it pauses a late yes counts: what would be asked again is done. A late no tells nothing new.
    let counts = known.phase == asked || (known.phase == paused && result.is_ok());
    if !counts || known.round != ask.round {
        return;
    }
    match result {
        Ok(answer) => turn.done(step, ask.undo, answer),
        Err(refusal) if refusal.class == Class::Rejected && step.accept.contains(&refusal.code) && !ask.undo => {
            let outputs = Fields::from_iter([("rejected".to_owned(), Value::from(refusal.code.as_str()))]);
            turn.emit(SagaEvent::StepDone { step: step.name.clone(), undo: false, outputs });
        }
        Err(refusal) => turn.failed(step, ask.undo, refusal),
    }
}

/// Counts for a call that waits for its answer. It does not prolong the call's whole time.
fn beat(turn: &mut Turn<'_>, ask: &AskId) {
    let declared = turn.plan.step(&ask.step).and_then(|step| step.ask(ask.undo));
    let Some(Ask::Http { heartbeat_us: Some(heartbeat_us), .. }) = declared else { return };
    let Some(known) = turn.state.steps.get(&ask.step) else { return };
    let asked = if ask.undo { Phase::Undoing } else { Phase::Active };
    if known.phase != asked || known.round != ask.round {
        return;
    }
    let next = later(turn.now, *heartbeat_us);
    let due = known.until.or(known.due).map_or(next, |until| until.min(next));
    turn.emit(SagaEvent::StepBeat { step: ask.step.clone(), undo: ask.undo, due });
}

fn awaited(turn: &mut Turn<'_>, event: &str, fields: &Fields) {
    let waits = |step: &&Step| {
        matches!(&step.action, Action::Await(awaited) if awaited == event)
            && turn.state.phase(&step.name) == Some(Phase::Active)
    };
    let mut found = None;
    turn.plan.each_step(&mut |step| {
        if found.is_none() && waits(&step) {
            found = Some(step);
        }
    });
    match found {
        Some(step) if turn.state.status == Status::Running => turn.done(step, false, fields),
        None if turn.state.status == Status::Running && turn.plan.awaits(event) => {
            turn.emit(SagaEvent::EventKept { event: event.to_owned(), fields: fields.clone() });
        }
        Some(_) | None => {}
    }
}

fn tick(turn: &mut Turn<'_>) {
    let now = turn.now;
    let due = turn.state.steps.iter().filter(|(_, step)| step.due.is_some_and(|due| due <= now));
    let due: Vec<(String, Phase, bool)> = due.map(|(name, step)| (name.clone(), step.phase, step.beats())).collect();
    for (name, phase, beats) in due {
        let Some(step) = turn.plan.step(&name) else { continue };
        match (phase, &step.action) {
            (Phase::Active, Action::Wait(_)) => turn.done(step, false, &Fields::new()),
            (Phase::Active | Phase::Undoing, _) => {
                let refusal = if beats { silent() } else { timed_out() };
                turn.failed(step, phase == Phase::Undoing, &refusal);
            }
            (Phase::Pausing, _) if turn.state.status == Status::Running => turn.begin(step),
            (Phase::UndoPausing, _) => turn.begin_undo(step),
            _ => {}
        }
    }
}

fn timed_out() -> Refusal {
    let message = "there was no answer in time".to_owned();
    Refusal { class: Class::TimedOut, code: "timeout".to_owned(), message, doubtful: true }
}

fn silent() -> Refusal {
    let message = "it was taken for later, and nothing was heard of it in time".to_owned();
    Refusal { class: Class::TimedOut, code: "heartbeat".to_owned(), message, doubtful: true }
}

fn obey(turn: &mut Turn<'_>, verb: &Verb, by: &str, reason: &str) {
    let (by, reason) = (by.to_owned(), reason.chars().take(MESSAGE_CHARS_MAX).collect::<String>());
    match verb {
        Verb::Retry => retry(turn, by, reason),
        Verb::Compensate if turn.state.status == Status::Running => {
            turn.emit(SagaEvent::UndoBegun { cause: reason, by: Some(by) });
        }
        Verb::Compensate => {}
        Verb::Skip { step } => skip(turn, step, by, reason),
        Verb::Resolve => turn.emit(SagaEvent::Resolved { by, reason }),
    }
}

fn retry(turn: &mut Turn<'_>, by: String, reason: String) {
    if turn.state.status == Status::Stuck {
        turn.emit(SagaEvent::Retried { by, reason });
    }
    let waiting = turn
        .state
        .steps
        .iter()
        .filter(|(_, step)| matches!(step.phase, Phase::Pausing | Phase::UndoPausing | Phase::UndoFailed));
    let waiting: Vec<(String, Phase)> = waiting.map(|(name, step)| (name.clone(), step.phase)).collect();
    for (name, phase) in waiting {
        match turn.plan.step(&name) {
            Some(step) if phase == Phase::Pausing && turn.state.status == Status::Running => turn.begin(step),
            Some(step) if phase != Phase::Pausing => turn.begin_undo(step),
            Some(_) | None => {}
        }
    }
}

fn skip(turn: &mut Turn<'_>, step: &str, by: String, reason: String) {
    let undo = match turn.state.phase(step) {
        Some(Phase::Active | Phase::Pausing) => false,
        Some(Phase::Undoing | Phase::UndoPausing | Phase::UndoFailed) => true,
        _ => return,
    };
    turn.emit(SagaEvent::StepSkipped { step: step.to_owned(), undo, reason, by: Some(by) });
}
