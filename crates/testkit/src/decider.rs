//! A decider's story: given events, when a command, then events or a rejection.

use std::fmt::Debug;

use spina_core::Decider;

/// Begins a story of any decider: `account.given([Opened]).when(Withdraw(5)).then([Withdrawn(5)])`.
pub trait Story: Decider + Sized {
    /// The events that happened before.
    fn given(&self, events: impl IntoIterator<Item = Self::Event>) -> Given<'_, Self> {
        let state = events.into_iter().fold(self.initial(), |state, event| self.evolve(state, &event));
        Given { decider: self, state }
    }
}

impl<D: Decider> Story for D {}

/// A decider with a past.
#[derive(Debug)]
pub struct Given<'d, D: Decider> {
    decider: &'d D,
    state: D::State,
}

impl<D: Decider> Given<'_, D> {
    /// The command to decide on.
    pub fn when(self, command: D::Command) -> Decided<D> {
        Decided { answer: self.decider.decide(&self.state, &command) }
    }

    /// The state that the past led to.
    pub fn state(self) -> D::State {
        self.state
    }
}

/// What the decider answered; say what it should be.
#[must_use = "a story without an end proves nothing"]
#[derive(Debug)]
pub struct Decided<D: Decider> {
    answer: Result<Vec<D::Event>, D::Rejection>,
}

impl<D: Decider> Decided<D>
where
    D::Event: PartialEq + Debug,
    D::Rejection: PartialEq + Debug,
{
    /// It led to exactly these events.
    ///
    /// # Panics
    /// If it did not.
    #[track_caller]
    pub fn then(self, events: impl IntoIterator<Item = D::Event>) {
        assert_eq!(self.answer, Ok(events.into_iter().collect()));
    }

    /// It was rejected, and this is why.
    ///
    /// # Panics
    /// If it was not, or for another reason.
    #[track_caller]
    pub fn then_rejected(self, rejection: D::Rejection) {
        assert_eq!(self.answer, Err(rejection));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An account that cannot be overdrawn.
    struct Account;

    #[derive(Debug, PartialEq)]
    struct Overdrawn {
        balance: i64,
    }

    impl Decider for Account {
        type State = i64;
        type Command = i64;
        type Event = i64;
        type Rejection = Overdrawn;

        fn initial(&self) -> i64 {
            0
        }

        fn decide(&self, balance: &i64, amount: &i64) -> Result<Vec<i64>, Overdrawn> {
            if balance + amount < 0 { Err(Overdrawn { balance: *balance }) } else { Ok(vec![*amount]) }
        }

        fn evolve(&self, balance: i64, amount: &i64) -> i64 {
            balance + amount
        }
    }

    #[test]
    fn what_was_paid_in_can_be_drawn() {
        Account.given([10, -4]).when(-6).then([-6]);
        Account.given([10, -4]).when(-7).then_rejected(Overdrawn { balance: 6 });
        assert_eq!(Account.given([10, -4]).state(), 6);
    }

    #[test]
    fn a_story_that_ends_otherwise_fails() {
        let told = std::panic::catch_unwind(|| Account.given([]).when(-1).then([-1])).unwrap_err();
        assert!(told.downcast_ref::<String>().unwrap().contains("left == right"));
    }
}
