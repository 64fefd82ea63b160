//! A flight in instants: what was planned and what became of it.

use anyhow::{Context, Result, ensure};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use super::airports::Airports;
use super::clock::first_showing_after;
use super::row::Row;

/// One flight.
#[derive(Debug)]
pub struct Flight {
    /// IATA code of the carrier.
    pub carrier: String,
    /// Flight number.
    pub number: i32,
    /// Day of the scheduled departure at the origin.
    pub day: Date,
    /// FAA code of the origin.
    pub origin: String,
    /// FAA code of the destination.
    pub dest: String,
    /// Registration of the aircraft, if known.
    pub tail_number: Option<String>,
    /// Miles between the airports.
    pub distance_miles: i32,
    /// When it should leave.
    pub scheduled_departure: Timestamp,
    /// When it should arrive.
    pub scheduled_arrival: Timestamp,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a flight.
#[derive(Debug)]
pub enum Fate {
    /// It did not leave.
    Cancelled,
    /// It left and did not arrive where and when it should have: the data have no arrival delay.
    Diverted {
        /// How it left.
        departure: Departure,
    },
    /// It left and arrived.
    Landed {
        /// How it left.
        departure: Departure,
        /// When it arrived.
        at: Timestamp,
        /// Minutes late; negative if early.
        delay_min: i32,
        /// Minutes in the air.
        air_time_min: Option<i32>,
    },
}

/// How a flight left.
#[derive(Debug, Clone, Copy)]
pub struct Departure {
    /// When it left.
    pub at: Timestamp,
    /// Minutes late; negative if early.
    pub delay_min: i32,
}

/// `minutes` after `instant`.
pub fn minutes_after(instant: Timestamp, minutes: i32) -> Result<Timestamp> {
    instant.checked_add(SignedDuration::from_mins(i64::from(minutes))).context("add minutes to an instant")
}

impl Flight {
    /// The flight of a row. Fails if the row contradicts itself: no row of the year does.
    pub fn from_row(row: Row, airports: &Airports) -> Result<Self> {
        let zone = airports.zone(&row.dest)?;
        let scheduled_departure = minutes_after(row.time_hour, row.sched_dep_time.minute().into())?;
        let scheduled_arrival =
            first_showing_after(scheduled_departure, row.sched_arr_time, zone).context("find the scheduled arrival")?;
        let fate = match (row.dep_time, row.arr_delay) {
            (None, _) => Fate::Cancelled,
            (Some(_), arr_delay) => {
                let delay_min = row.dep_delay.context("a flight that left has no departure delay")?;
                let departure = Departure { at: minutes_after(scheduled_departure, delay_min)?, delay_min };
                match arr_delay {
                    None => Fate::Diverted { departure },
                    Some(delay_min) => {
                        let time = row.arr_time.context("a flight that landed has no time of arrival")?;
                        let at = first_showing_after(departure.at, time, zone).context("find the arrival")?;
                        let expected = minutes_after(scheduled_arrival, delay_min)?;
                        ensure!(at == expected, "arrival time says {at}, arrival delay says {expected}");
                        Fate::Landed { departure, at, delay_min, air_time_min: row.air_time }
                    }
                }
            }
        };
        Ok(Self {
            day: Date::new(row.year, row.month, row.day).context("read the day")?,
            carrier: row.carrier,
            number: row.flight,
            origin: row.origin,
            dest: row.dest,
            tail_number: row.tailnum,
            distance_miles: row.distance,
            scheduled_departure,
            scheduled_arrival,
            fate,
        })
    }

    /// The stream of its events: `flight-UA1545-20130101-EWR`. No two rows of the year have the same.
    pub fn stream(&self) -> String {
        let Self { carrier, number, origin, .. } = self;
        format!("flight-{carrier}{number}-{}-{origin}", self.day.strftime("%Y%m%d"))
    }
}
