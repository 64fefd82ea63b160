//! The decider: three functions that make an aggregate.

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
}
