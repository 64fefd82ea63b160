//! How many events of each type there are.

use serde::{Deserialize, Serialize};

/// Events by type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// `FlightScheduled`: one for every row.
    pub scheduled: u64,
    /// `FlightDeparted`.
    pub departed: u64,
    /// `FlightCancelled`.
    pub cancelled: u64,
    /// `FlightLanded`.
    pub landed: u64,
    /// `FlightDiverted`.
    pub diverted: u64,
}

/// The whole year, counted with other means (`tests/verify_flights.py` counts them again).
pub const YEAR: Totals =
    Totals { scheduled: 336_776, departed: 328_521, cancelled: 8_255, landed: 327_346, diverted: 1_175 };

impl Totals {
    /// All events.
    pub fn events(self) -> u64 {
        self.scheduled + self.departed + self.cancelled + self.landed + self.diverted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_year_is_a_million_events_and_no_flight_is_lost() {
        assert_eq!(YEAR.events(), 1_002_073);
        assert_eq!(YEAR.scheduled, YEAR.departed + YEAR.cancelled);
        assert_eq!(YEAR.departed, YEAR.landed + YEAR.diverted);
    }
}
