//! What a user has in Rust: an account that cannot be overdrawn, and how its oldest events are read.

mod first_currency;

pub use first_currency::FirstCurrency;

use serde::{Deserialize, Serialize};
use spina_core::{Decider, Rejection};

/// Decides for accounts.
#[derive(Debug)]
pub struct Account;

/// The state of an account.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Balance {
    cents: i64,
}

/// What can be asked of an account.
#[derive(Debug, Deserialize)]
pub enum Command {
    /// Pay money in.
    PayIn {
        /// Amount in cents.
        cents: i64,
    },
    /// Draw money out.
    DrawOut {
        /// Amount in cents.
        cents: i64,
    },
}

/// What happens to an account.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// Money was paid in.
    PaidIn {
        /// Amount in cents.
        cents: i64,
    },
    /// Money was drawn out.
    DrawnOut {
        /// Amount in cents.
        cents: i64,
    },
}

impl Decider for Account {
    type State = Balance;
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn initial(&self) -> Balance {
        Balance::default()
    }

    fn decide(&self, balance: &Balance, command: &Command) -> Result<Vec<Event>, Rejection> {
        match *command {
            Command::PayIn { cents } => Ok(vec![Event::PaidIn { cents }]),
            Command::DrawOut { cents } if cents <= balance.cents => Ok(vec![Event::DrawnOut { cents }]),
            Command::DrawOut { .. } => Err(Rejection::new("account.overdrawn", format!("{} are left", balance.cents))),
        }
    }

    fn evolve(&self, Balance { cents: before }: Balance, event: &Event) -> Balance {
        match *event {
            Event::PaidIn { cents } => Balance { cents: before + cents },
            Event::DrawnOut { cents } => Balance { cents: before - cents },
        }
    }
}

#[test]
fn what_was_paid_in_can_be_drawn_out_and_no_more() {
    let past = || spina_testkit::Story::given(&Account, [Event::PaidIn { cents: 900 }, Event::DrawnOut { cents: 400 }]);
    past().when(Command::DrawOut { cents: 500 }).then([Event::DrawnOut { cents: 500 }]);
    past().when(Command::DrawOut { cents: 501 }).then_rejected(Rejection::new("account.overdrawn", "500 are left"));
}
