//! The state of a saga: the fold of its events.
//!
//! | status | event | becomes |
//! |---|---|---|
//! | running | `UndoBegun` | undoing |
//! | running | `Completed` | completed |
//! | undoing | `Compensated` | compensated |
//! | undoing | `Stuck` | stuck |
//! | stuck | `Retried`, `StepSkipped` | undoing |
//! | stuck, running, undoing | `Resolved` | resolved |
//!
//! | phase of a step | event | becomes |
//! |---|---|---|
//! | none, pausing | `StepBegun` | active |
//! | active, undoing | `StepBeat` | the same |
//! | none, active | `StepFailed`, again / for good | pausing / failed |
//! | active, pausing | `StepDone` | done |
//! | active, pausing, failed, none | `StepSkipped` | skipped |
//! | done, failed in doubt, undo pausing, undo failed | `StepBegun` (undo) | undoing |
//! | undoing, done, failed in doubt | `StepFailed` (undo), again / for good | undo pausing / undo failed |
//! | undoing, undo pausing | `StepDone` (undo) | undone |
//! | done, failed, undoing, undo pausing, undo failed | `StepSkipped` (undo) | kept |
//!
//! Everything else is [`Illegal`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::event::{Class, Request, SagaEvent};
use super::plan::Fields;
use crate::Timestamp;

/// Where a saga is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Its steps are done one after the other.
    Running,
    /// Its steps are taken back, the last one first.
    Undoing,
    /// All steps are done. An end.
    Completed,
    /// All steps are taken back. An end.
    Compensated,
    /// A step cannot be taken back: a person has to look.
    Stuck,
    /// A person has taken it over. An end.
    Resolved,
}

impl Status {
    /// Whether nothing more happens.
    pub fn is_end(self) -> bool {
        match self {
            Self::Completed | Self::Compensated | Self::Resolved => true,
            Self::Running | Self::Undoing | Self::Stuck => false,
        }
    }

    /// Its name: `stuck`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Undoing => "undoing",
            Self::Completed => "completed",
            Self::Compensated => "compensated",
            Self::Stuck => "stuck",
            Self::Resolved => "resolved",
        }
    }
}

/// Where a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Asked, not answered.
    Active,
    /// Failed, to be tried again.
    Pausing,
    /// Done.
    Done,
    /// Failed for good.
    Failed,
    /// Passed over.
    Skipped,
    /// Its undoing is asked, not answered.
    Undoing,
    /// Its undoing failed, to be tried again.
    UndoPausing,
    /// Undone.
    Undone,
    /// Its undoing failed for good.
    UndoFailed,
    /// It stays done.
    Kept,
}

/// A step that was begun.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepState {
    /// Where it is.
    pub phase: Phase,
    /// Answers that were no, plus 1, in this direction.
    pub round: u32,
    /// Failures in a row, in this direction.
    pub failures: u32,
    /// Whether it may have taken effect although it failed.
    pub doubtful: bool,
    /// When it is to be looked at again: given up, tried again, or the end of a wait.
    pub due: Option<Timestamp>,
    /// What was asked last.
    pub request: Option<Request>,
    /// When it is given up whatever is heard of it, once something was: who was asked has taken it for later.
    #[serde(default)]
    pub until: Option<Timestamp>,
}

impl StepState {
    /// Whether who was asked is to be heard of, and it is given up for silence before its whole time is over.
    pub fn beats(&self) -> bool {
        self.until.is_some() && self.due < self.until
    }

    /// Whether somebody was asked and may be about to do it.
    pub fn is_asked(&self) -> bool {
        let asks = matches!(self.request, Some(Request::Command { .. } | Request::Http { .. }));
        asks && matches!(self.phase, Phase::Active | Phase::Undoing)
    }
}

/// An event that cannot have followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("saga {saga} is {status}: {what} cannot follow")]
pub struct Illegal {
    /// The saga.
    pub saga: String,
    /// Its status.
    pub status: &'static str,
    /// The event.
    pub what: String,
}

/// See the [module](self).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SagaState {
    /// `saga-<definition>-<key>`.
    pub id: String,
    /// Name of its definition.
    pub definition: String,
    /// Version of its definition.
    pub version: u32,
    /// What it is about.
    pub key: String,
    /// What it began with.
    pub input: Fields,
    /// Where it is.
    pub status: Status,
    /// Steps that were begun.
    pub steps: BTreeMap<String, StepState>,
    /// What the steps gave, by step.
    pub outputs: Fields,
    /// Steps that took effect, or may have, in that order.
    pub effective: Vec<String>,
    /// Branches taken.
    pub choices: BTreeMap<String, Option<usize>>,
    /// Events that came before they were awaited; the last one of each type.
    pub kept: BTreeMap<String, Fields>,
    /// Why it is undone or stuck.
    pub cause: Option<String>,
    /// Number of its events.
    pub events: u64,
    /// When it began.
    pub began_at: Timestamp,
    /// When something last happened.
    pub changed_at: Timestamp,
}

impl SagaState {
    /// The state after the first event, if it is `Started`.
    pub fn begin(id: &str, event: &SagaEvent, at: Timestamp) -> Option<Self> {
        let SagaEvent::Started { definition, version, key, input } = event else { return None };
        Some(Self {
            id: id.to_owned(),
            definition: definition.clone(),
            version: *version,
            key: key.clone(),
            input: input.clone(),
            status: Status::Running,
            steps: BTreeMap::new(),
            outputs: Fields::new(),
            effective: Vec::new(),
            choices: BTreeMap::new(),
            kept: BTreeMap::new(),
            cause: None,
            events: 1,
            began_at: at,
            changed_at: at,
        })
    }

    /// When something has to be looked at again.
    pub fn due(&self) -> Option<Timestamp> {
        if self.status.is_end() || self.status == Status::Stuck {
            return None;
        }
        self.steps.values().filter_map(|step| step.due).min()
    }

    /// The phase of a step that was begun.
    pub fn phase(&self, step: &str) -> Option<Phase> {
        self.steps.get(step).map(|step| step.phase)
    }

    /// Folds one event.
    ///
    /// # Errors
    /// [`Illegal`]; the state is as before.
    pub fn apply(&mut self, event: &SagaEvent, at: Timestamp) -> Result<(), Illegal> {
        self.fold(event).ok_or_else(|| Illegal {
            saga: self.id.clone(),
            status: self.status.name(),
            what: serde_json::to_string(event).unwrap_or_default(),
        })?;
        self.events += 1;
        self.changed_at = at;
        Ok(())
    }

    fn fold(&mut self, event: &SagaEvent) -> Option<()> {
        use Status::{Compensated, Completed, Resolved, Running, Stuck, Undoing};
        let status = self.status;
        match event {
            SagaEvent::Started { .. } => return None,
            SagaEvent::StepBegun { step, undo, round, request, due } => {
                self.move_step(step, *undo, Move::Begin)?;
                let step = self.steps.get_mut(step)?;
                (step.round, step.due, step.request) = (*round, Some(*due), Some(request.clone()));
                step.until = None;
            }
            SagaEvent::StepBeat { step, undo, due } => {
                self.move_step(step, *undo, Move::Beat)?;
                let step = self.steps.get_mut(step)?;
                step.until = step.until.or(step.due);
                step.due = Some(*due);
            }
            SagaEvent::StepFailed { step, undo, class, doubtful, retry_at, .. } => {
                let fate = if retry_at.is_some() { Move::Pause } else { Move::Fail };
                self.move_step(step, *undo, fate)?;
                let state = self.steps.get_mut(step)?;
                state.failures += 1;
                state.due = *retry_at;
                state.doubtful |= *doubtful && !undo;
                // What was answered with no must be asked under a new id, or the no would only be repeated.
                state.round += u32::from(*class == Class::Rejected);
                if !undo && retry_at.is_none() && state.doubtful {
                    self.effective.push(step.clone());
                }
            }
            SagaEvent::StepDone { step, undo, outputs } => {
                self.move_step(step, *undo, Move::Finish)?;
                self.steps.get_mut(step)?.due = None;
                if !undo {
                    self.outputs.insert(step.clone(), Value::Object(outputs.clone()));
                    self.effective.push(step.clone());
                }
            }
            SagaEvent::StepSkipped { step, undo, .. } => {
                let asked = self.steps.get(step).is_some_and(StepState::is_asked);
                self.move_step(step, *undo, Move::Skip)?;
                let state = self.steps.get_mut(step)?;
                state.due = None;
                state.doubtful |= asked && !undo;
                if !undo && state.doubtful && !self.effective.contains(step) {
                    self.effective.push(step.clone());
                }
                if status == Stuck {
                    self.status = Undoing;
                }
            }
            SagaEvent::Chosen { step, branch } => _ = self.choices.insert(step.clone(), *branch),
            SagaEvent::EventKept { event, fields } => _ = self.kept.insert(event.clone(), fields.clone()),
            SagaEvent::UndoBegun { cause, .. } => {
                (status == Running).then(|| self.status = Undoing)?;
                self.cause = Some(cause.clone());
            }
            SagaEvent::Completed => (status == Running).then(|| self.status = Completed)?,
            SagaEvent::Compensated => (status == Undoing).then(|| self.status = Compensated)?,
            SagaEvent::Stuck { step, cause } => {
                (status == Undoing).then(|| self.status = Stuck)?;
                self.cause = Some(format!("{step}: {cause}"));
            }
            SagaEvent::Retried { .. } => {
                (status == Stuck).then(|| self.status = Undoing)?;
                self.steps.values_mut().filter(|s| s.phase == Phase::UndoFailed).for_each(|s| s.failures = 0);
            }
            SagaEvent::Resolved { .. } => (!status.is_end()).then(|| self.status = Resolved)?,
        }
        Some(())
    }

    fn move_step(&mut self, name: &str, undo: bool, to: Move) -> Option<()> {
        if self.status.is_end() {
            return None;
        }
        let known = self.steps.get(name);
        let next = next_phase(known.map(|step| step.phase), known.is_some_and(|step| step.doubtful), undo, to)?;
        let step = self.steps.entry(name.to_owned()).or_insert_with(|| StepState {
            phase: next,
            round: 1,
            failures: 0,
            doubtful: false,
            due: None,
            request: None,
            until: None,
        });
        let first_undo = undo && matches!(step.phase, Phase::Done | Phase::Failed | Phase::Skipped);
        if first_undo {
            (step.failures, step.round) = (0, 1);
        }
        step.phase = next;
        Some(())
    }
}

/// What an event does to a step.
#[derive(Debug, Clone, Copy)]
enum Move {
    Begin,
    Beat,
    Pause,
    Fail,
    Finish,
    Skip,
}

/// The table of the module.
fn next_phase(from: Option<Phase>, doubtful: bool, undo: bool, to: Move) -> Option<Phase> {
    use Phase::{Active, Done, Failed, Kept, Pausing, Skipped, UndoFailed, UndoPausing, Undoing, Undone};
    let effective = match from {
        Some(Done) => true,
        Some(Failed | Skipped) => doubtful,
        _ => false,
    };
    match (undo, to, from) {
        (false, Move::Begin, None | Some(Pausing)) => Some(Active),
        (false, Move::Beat, Some(Active)) => Some(Active),
        (false, Move::Pause, None | Some(Active)) => Some(Pausing),
        (false, Move::Fail, None | Some(Active | Pausing)) => Some(Failed),
        (false, Move::Finish, Some(Active | Pausing)) => Some(Done),
        (false, Move::Skip, None | Some(Active | Pausing | Failed)) => Some(Skipped),
        (true, Move::Begin, Some(UndoPausing | UndoFailed)) => Some(Undoing),
        (true, Move::Begin, _) if effective => Some(Undoing),
        (true, Move::Beat, Some(Undoing)) => Some(Undoing),
        (true, Move::Pause, Some(Undoing)) => Some(UndoPausing),
        (true, Move::Fail, Some(Undoing | UndoPausing)) => Some(UndoFailed),
        (true, Move::Fail, _) if effective => Some(UndoFailed),
        (true, Move::Finish, Some(Undoing | UndoPausing)) => Some(Undone),
        (true, Move::Skip, Some(Undoing | UndoPausing | UndoFailed)) => Some(Kept),
        (true, Move::Skip, _) if effective => Some(Kept),
        _ => None,
    }
}
