//! One turn of a saga: events are emitted and folded at once, and everything that can begin, begins.

use serde_json::Value;

use super::event::{Class, Request, SagaEvent};
use super::plan::{Action, Ask, Fields, Formula, Plan, Step, Undo};
use super::react::Refusal;
use super::state::{Phase, SagaState, Status};
use crate::Timestamp;

/// Longest wait or time-out that is computed, in microseconds: 100 years.
const WAIT_US_MAX: i64 = 100 * 366 * 24 * 3_600 * 1_000_000;

/// Longest message that is kept, in characters.
pub(super) const MESSAGE_CHARS_MAX: usize = 500;

/// See the [module](self).
pub(super) struct Turn<'t> {
    pub plan: &'t Plan,
    pub state: &'t mut SagaState,
    pub now: Timestamp,
    pub events: Vec<SagaEvent>,
}

/// What can begin.
enum Next<'p> {
    Step(&'p Step),
    Choice(&'p Step),
}

impl<'t> Turn<'t> {
    pub fn new(plan: &'t Plan, state: &'t mut SagaState, now: Timestamp) -> Self {
        Self { plan, state, now, events: Vec::new() }
    }

    /// Emits what the table allows; an event that it does not allow is not emitted.
    pub fn emit(&mut self, event: SagaEvent) {
        if self.state.apply(&event, self.now).is_ok() {
            self.events.push(event);
        }
    }

    /// Begins all that can begin, until everything waits for something.
    pub fn advance(&mut self) {
        loop {
            let before = self.events.len();
            match self.state.status {
                Status::Running => self.go_on(),
                Status::Undoing => self.go_back(),
                Status::Completed | Status::Compensated | Status::Stuck | Status::Resolved => return,
            }
            if self.events.len() == before {
                return;
            }
        }
    }

    fn go_on(&mut self) {
        let failed = self.state.steps.iter().find(|(_, step)| step.phase == Phase::Failed);
        if let Some((name, _)) = failed {
            let cause = format!("step {name} failed");
            self.emit(SagaEvent::UndoBegun { cause, by: None });
            return;
        }
        let mut nexts = Vec::new();
        let plan = self.plan;
        if walk(&plan.steps, self.state, &mut nexts) {
            self.emit(SagaEvent::Completed);
        }
        for next in nexts {
            match next {
                Next::Step(step) => self.begin(step),
                Next::Choice(step) => self.choose(step),
            }
        }
    }

    /// What is asked is waited for, since it may still take effect; then steps are taken back, the last one first.
    fn go_back(&mut self) {
        let plan = self.plan;
        for (name, phase) in self.phases() {
            let Some(step) = plan.step(&name) else { continue };
            match (phase, &step.action) {
                (Phase::Active, Action::Ask(_)) => return,
                (Phase::Active | Phase::Pausing, _) => {
                    let reason = "the saga is undone".to_owned();
                    self.emit(SagaEvent::StepSkipped { step: name, undo: false, reason, by: None });
                }
                (Phase::Undoing | Phase::UndoPausing, _) => return,
                (Phase::UndoFailed, _) => {
                    let cause = "it cannot be undone".to_owned();
                    self.emit(SagaEvent::Stuck { step: name, cause });
                    return;
                }
                _ => {}
            }
        }
        let to_undo = self.state.effective.iter().rev().find(|name| {
            let phase = self.state.phase(name);
            matches!(phase, Some(Phase::Done | Phase::Failed | Phase::Skipped))
        });
        match to_undo.and_then(|name| plan.step(name)) {
            Some(step) => self.begin_undo(step),
            None => self.emit(SagaEvent::Compensated),
        }
    }

    fn phases(&self) -> Vec<(String, Phase)> {
        self.state.steps.iter().map(|(name, step)| (name.clone(), step.phase)).collect()
    }

    fn choose(&mut self, step: &Step) {
        let Action::Choice(branches) = &step.action else { return };
        let scope = self.scope(None);
        for (number, branch) in branches.iter().enumerate() {
            let holds = match &branch.when {
                None => Ok(Value::Bool(true)),
                Some(when) => when.compute(&scope),
            };
            match holds {
                Ok(Value::Bool(false)) => {}
                Ok(Value::Bool(true)) => {
                    return self.emit(SagaEvent::Chosen { step: step.name.clone(), branch: Some(number) });
                }
                Ok(other) => return self.undefined(step, false, format!("a condition gave {other}")),
                Err(why) => return self.undefined(step, false, why),
            }
        }
        self.emit(SagaEvent::Chosen { step: step.name.clone(), branch: None });
    }

    /// Begins a step, or tries it again.
    pub fn begin(&mut self, step: &Step) {
        let scope = self.scope(None);
        let (request, wait_us) = match &step.action {
            Action::Ask(ask) => match rendered(ask, &scope) {
                Ok(request) => (request, step.timeout_us),
                Err(why) => return self.undefined(step, false, why),
            },
            Action::Wait(how_long) => match how_long.compute(&scope).map(|ms| ms.as_i64()) {
                Ok(Some(ms)) => (Request::Wait, ms.saturating_mul(1_000)),
                Ok(None) => return self.undefined(step, false, "a wait is a number of milliseconds".to_owned()),
                Err(why) => return self.undefined(step, false, why),
            },
            Action::Await(event) => (Request::Await { event: event.clone() }, step.timeout_us),
            Action::Parallel(_) | Action::Choice(_) => return,
        };
        let round = self.state.steps.get(&step.name).map_or(1, |step| step.round);
        self.begun(step, false, round, request, wait_us);
        if let Action::Await(event) = &step.action
            && let Some(kept) = self.state.kept.get(event).cloned()
        {
            self.done(step, false, &kept);
        }
    }

    /// Begins to take a step back, or tries that again.
    pub fn begin_undo(&mut self, step: &Step) {
        match &step.undo {
            Undo::Nothing(reason) => {
                let (step, reason) = (step.name.clone(), reason.clone());
                self.emit(SagaEvent::StepSkipped { step, undo: true, reason, by: None });
            }
            Undo::By(ask) => match rendered(ask, &self.scope(None)) {
                Ok(request) => {
                    let known = self.state.steps.get(&step.name);
                    let again = known.filter(|s| matches!(s.phase, Phase::UndoPausing | Phase::UndoFailed));
                    self.begun(step, true, again.map_or(1, |step| step.round), request, step.timeout_us);
                }
                Err(why) => self.undefined(step, true, why),
            },
        }
    }

    fn begun(&mut self, step: &Step, undo: bool, round: u32, request: Request, wait_us: i64) {
        let due = later(self.now, wait_us);
        self.emit(SagaEvent::StepBegun { step: step.name.clone(), undo, round, request, due });
    }

    /// The answer was yes.
    pub fn done(&mut self, step: &Step, undo: bool, answer: &Fields) {
        let mut outputs = Fields::new();
        if !step.accept.is_empty() && !undo {
            outputs.insert("rejected".to_owned(), Value::Null);
        }
        let scope = self.scope(Some(answer));
        for (name, formula) in step.outputs.iter().filter(|_| !undo) {
            match formula.compute(&scope) {
                Ok(value) => _ = outputs.insert(name.clone(), value),
                // It took effect all the same.
                Err(why) => return self.undefined(step, undo, why),
            }
        }
        self.emit(SagaEvent::StepDone { step: step.name.clone(), undo, outputs });
    }

    /// The answer was yes, and these outputs were made of it: what was answered is not known any more.
    pub fn done_as_recorded(&mut self, step: &Step, undo: bool, recorded: &Fields) {
        let rejected = (!step.accept.is_empty()).then(|| "rejected".to_owned());
        let names = step.outputs.iter().map(|(name, _)| name.clone()).chain(rejected).filter(|_| !undo);
        let outputs = names.map(|name| {
            let value = recorded.get(&name).cloned().unwrap_or_default();
            (name, value)
        });
        let outputs = outputs.collect();
        self.emit(SagaEvent::StepDone { step: step.name.clone(), undo, outputs });
    }

    /// It failed: again later, or not at all.
    pub fn failed(&mut self, step: &Step, undo: bool, refusal: &Refusal) {
        let known = self.state.steps.get(&step.name);
        let failures = known.map_or(0, |step| step.failures) + 1;
        let seed = format!("{}/{}/{undo}", self.state.id, step.name);
        // A saga that is taken back does not try its steps again.
        let going_back = self.state.status != Status::Running && !undo;
        let pause = step.retry.pause_us(refusal.class, failures, &seed).filter(|_| !going_back);
        self.emit(SagaEvent::StepFailed {
            step: step.name.clone(),
            undo,
            class: refusal.class,
            code: refusal.code.clone(),
            message: refusal.message.chars().take(MESSAGE_CHARS_MAX).collect(),
            doubtful: refusal.doubtful,
            retry_at: pause.map(|pause| later(self.now, pause)),
        });
    }

    fn undefined(&mut self, step: &Step, undo: bool, message: String) {
        let begun = self.state.phase(&step.name).is_some();
        let code = "definition".to_owned();
        self.failed(step, undo, &Refusal { class: Class::Definition, code, message, doubtful: begun });
    }

    fn scope(&self, reply: Option<&Fields>) -> Fields {
        let mut scope = Fields::new();
        scope.insert("key".to_owned(), Value::from(self.state.key.as_str()));
        scope.insert("id".to_owned(), Value::from(self.state.id.as_str()));
        scope.insert("input".to_owned(), Value::Object(self.state.input.clone()));
        scope.insert("steps".to_owned(), Value::Object(self.state.outputs.clone()));
        scope.insert("reply".to_owned(), Value::Object(reply.cloned().unwrap_or_default()));
        scope
    }
}

/// Whether all of it is done; otherwise what can begin.
fn walk<'p>(steps: &'p [Step], state: &SagaState, nexts: &mut Vec<Next<'p>>) -> bool {
    for step in steps {
        match &step.action {
            Action::Ask(_) | Action::Wait(_) | Action::Await(_) => match state.phase(&step.name) {
                Some(Phase::Done | Phase::Skipped) => {}
                None => {
                    nexts.push(Next::Step(step));
                    return false;
                }
                Some(_) => return false,
            },
            Action::Parallel(sequences) => {
                // All of them, even if the first one is not done.
                let open = sequences.iter().filter(|steps| !walk(steps, state, nexts)).count();
                if open > 0 {
                    return false;
                }
            }
            Action::Choice(branches) => match state.choices.get(&step.name) {
                None => {
                    nexts.push(Next::Choice(step));
                    return false;
                }
                Some(None) => {}
                Some(Some(taken)) => {
                    if branches.get(*taken).is_some_and(|branch| !walk(&branch.steps, state, nexts)) {
                        return false;
                    }
                }
            },
        }
    }
    true
}

fn rendered(ask: &Ask, scope: &Fields) -> Result<Request, String> {
    match ask {
        Ask::Command { context, command, stream, fields } => Ok(Request::Command {
            context: context.clone(),
            command: command.clone(),
            stream: text(stream, scope)?,
            fields: computed(fields, scope)?,
        }),
        Ask::Http { url, body, rate: _, heartbeat_us: _ } => {
            Ok(Request::Http { url: text(url, scope)?, body: computed(body, scope)? })
        }
    }
}

fn text(formula: &Formula, scope: &Fields) -> Result<String, String> {
    match formula.compute(scope)? {
        Value::String(text) => Ok(text),
        other => Err(format!("{formula:?} gave {other}, which is no text")),
    }
}

fn computed(fields: &[(String, Formula)], scope: &Fields) -> Result<Fields, String> {
    fields.iter().map(|(name, formula)| Ok((name.clone(), formula.compute(scope)?))).collect()
}

pub(super) fn later(now: Timestamp, wait_us: i64) -> Timestamp {
    let wait_us = wait_us.clamp(0, WAIT_US_MAX);
    now.micros().checked_add(wait_us).and_then(Timestamp::from_micros).unwrap_or(now)
}
