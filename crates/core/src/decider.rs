//! The decider: three functions that make an aggregate.

use std::fmt;

/// A domain "no": not an error, and nothing is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// For programs: `seats.none_left`.
    pub code: String,
    /// For people.
    pub message: String,
}

impl Rejection {
    /// A rejection called `code`.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

/// An aggregate's rules. Deciding is synchronous and total; `evolve` cannot fail.
///
/// The form follows the decider pattern as described by Jérémie Chassaing: an initial state, `decide`, `evolve`.
pub trait Decider {
    /// What is known of the aggregate.
    type State;
    /// A request in imperative mood.
    type Command;
    /// A fact in past tense.
    type Event;
    /// A domain "no".
    type Rejection;

    /// The state before the first event.
    fn initial(&self) -> Self::State;

    /// The events that the command leads to, or why it leads to none.
    fn decide(&self, state: &Self::State, command: &Self::Command) -> Result<Vec<Self::Event>, Self::Rejection>;

    /// The state after the event.
    fn evolve(&self, state: Self::State, event: &Self::Event) -> Self::State;

    /// Raise it when `evolve` changes: snapshots taken under another revision are not used.
    fn revision(&self) -> u32 {
        1
    }
}
