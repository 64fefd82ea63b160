//! What a saga is to do: a tree of steps. Definitions are compiled into it, or it is written in Rust.

use std::fmt::Debug;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::retry::Retry;
use crate::target::Rate;

/// Named values.
pub type Fields = Map<String, Value>;

/// A value that is computed when its step begins or ends, from `input`, `steps` (the outputs of earlier steps, by name),
/// `key` and, for outputs, `reply`.
pub trait Compute: Debug + Send + Sync {
    /// The value, or why there is none.
    ///
    /// # Errors
    /// In words for people. The step fails for good.
    fn compute(&self, scope: &Fields) -> Result<Value, String>;
}

/// A shared [`Compute`].
pub type Formula = Arc<dyn Compute>;

/// A version of a definition. Sagas end on the version they began with.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Its name.
    pub name: String,
    /// Grows with every change.
    pub version: u32,
    /// Done one after the other.
    pub steps: Vec<Step>,
}

/// A step. Names are unique in a plan, however deep.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// What it does.
    pub action: Action,
    /// What later steps see of its answer, by name.
    pub outputs: Vec<(String, Formula)>,
    /// Rejections with these codes are answers too: the step is done, and its output `rejected` tells the code; null if it
    /// was accepted.
    pub accept: Vec<String>,
    /// How long an answer, or an awaited event, may take, in microseconds.
    pub timeout_us: i64,
    /// What is tried again.
    pub retry: Retry,
    /// What takes it back.
    pub undo: Undo,
}

/// What a step does.
#[derive(Debug, Clone)]
pub enum Action {
    /// Asks somebody to do something.
    Ask(Ask),
    /// Lets time pass, in milliseconds.
    Wait(Formula),
    /// Waits for an event that is correlated to the saga: its type, as `flights.FlightLanded`.
    Await(String),
    /// Several sequences at a time; done when all are.
    Parallel(Vec<Vec<Step>>),
    /// The first branch whose condition holds; none if none does.
    Choice(Vec<Branch>),
}

/// A branch of a choice.
#[derive(Debug, Clone)]
pub struct Branch {
    /// The condition; always if absent.
    pub when: Option<Formula>,
    /// What is done then.
    pub steps: Vec<Step>,
}

/// What is asked of somebody.
#[derive(Debug, Clone)]
pub enum Ask {
    /// A command to a context.
    Command {
        /// The context.
        context: String,
        /// The command's name.
        command: String,
        /// The stream it is for.
        stream: Formula,
        /// Its fields.
        fields: Vec<(String, Formula)>,
    },
    /// A POST with a body in JSON. It is made at least once, always with the same `Idempotency-Key`.
    Http {
        /// The address.
        url: Formula,
        /// The body.
        body: Vec<(String, Formula)>,
        /// How often the step calls one target at most; as the target takes it if absent.
        rate: Option<Rate>,
        /// A target may take the call for later, and must then be heard of at least this often, in microseconds.
        heartbeat_us: Option<i64>,
    },
}

/// What takes a step back.
#[derive(Debug, Clone)]
pub enum Undo {
    /// Nothing has to, for a stated reason.
    Nothing(String),
    /// This.
    By(Ask),
}

impl Plan {
    /// The step of that name, however deep.
    pub fn step(&self, name: &str) -> Option<&Step> {
        find(&self.steps, name)
    }

    /// Every step, the outer before the inner ones.
    pub fn each_step<'p>(&'p self, tell: &mut dyn FnMut(&'p Step)) {
        each(&self.steps, tell);
    }

    /// Whether a step awaits events of this type.
    pub fn awaits(&self, event_type: &str) -> bool {
        let mut found = false;
        self.each_step(&mut |step| found |= matches!(&step.action, Action::Await(event) if event == event_type));
        found
    }
}

fn find<'p>(steps: &'p [Step], name: &str) -> Option<&'p Step> {
    steps.iter().find_map(|step| {
        if step.name == name {
            return Some(step);
        }
        step.sequences().find_map(|steps| find(steps, name))
    })
}

fn each<'p>(steps: &'p [Step], tell: &mut dyn FnMut(&'p Step)) {
    for step in steps {
        tell(step);
        step.sequences().for_each(|steps| each(steps, tell));
    }
}

impl Step {
    /// What it asks, in that direction.
    pub fn ask(&self, undo: bool) -> Option<&Ask> {
        match (undo, &self.action, &self.undo) {
            (true, _, Undo::By(ask)) | (false, Action::Ask(ask), _) => Some(ask),
            (true, _, Undo::Nothing(_)) | (false, _, _) => None,
        }
    }

    /// The sequences inside it.
    pub fn sequences(&self) -> impl Iterator<Item = &[Step]> {
        let (parallel, choice): (&[Vec<Self>], &[Branch]) = match &self.action {
            Action::Parallel(sequences) => (sequences, &[]),
            Action::Choice(branches) => (&[], branches),
            Action::Ask(_) | Action::Wait(_) | Action::Await(_) => (&[], &[]),
        };
        parallel.iter().map(Vec::as_slice).chain(choice.iter().map(|branch| branch.steps.as_slice()))
    }
}
