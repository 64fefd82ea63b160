//! What people ask of the live fill, carried out between two batches, one after the other.

use super::Fill;
use super::mend::Mend;
use super::order::Order;
use super::parking::Parking;
use super::trouble::Trouble;
use crate::project::handle::CommandError;

/// Something to be done between two batches.
#[derive(Debug)]
pub enum Errand {
    /// About dead letters.
    Letters(Order),
    /// About rows that are not what the log says.
    Rows(Mend),
}

impl Errand {
    /// Answers that it is not done.
    pub fn refuse(self, error: CommandError) {
        // Whoever asked may have gone.
        match self {
            Self::Letters(order) => _ = order.answer.send(Err(error)),
            Self::Rows(mend) => _ = mend.answer.send(Err(error)),
        }
    }
}

impl Fill {
    pub(super) async fn run_errand(&mut self, errand: Errand, parking: &mut Parking) -> Result<(), Trouble> {
        match errand {
            Errand::Letters(order) => self.carry_out(order, parking).await,
            Errand::Rows(mend) => self.mend(mend).await,
        }
    }
}
