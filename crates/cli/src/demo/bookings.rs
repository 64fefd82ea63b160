//! Passengers for the flights that were cancelled, and free seats on those that they may move to.
//!
//! The data know no passengers, so these are made up, the same in every run: how many they are and what is free follows from
//! the flights' names. Together they are the past of the context `booking`, before any flight is cancelled.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};

use super::flights::convert;
use super::flights::dataset::Dataset;
use super::flights::flight::{Fate, Flight};

/// Flights that the passengers of a cancelled one may move to, at most.
const NEXT_MAX: usize = 3;
/// How much later those may leave.
const LATER_MAX: SignedDuration = SignedDuration::from_hours(48);
/// Passengers who booked together: from 1 to this many.
const PASSENGERS_MAX: u64 = 4;
/// Free seats of a flight: from none to this many.
const SEATS_MAX: u64 = 8;
/// Of so many groups of passengers one has an address that takes no notices.
const UNREACHABLE_EVERY: u64 = 40;

/// A line of an import.
#[derive(Debug, Serialize)]
struct Line {
    stream: String,
    #[serde(rename = "type")]
    event_type: &'static str,
    id: String,
    time: Timestamp,
    expected_version: &'static str,
    data: Value,
}

impl Line {
    fn new(stream: String, event_type: &'static str, time: Timestamp, data: Value) -> Self {
        let id = format!("bookings/{stream}");
        Self { stream, event_type, id, time, expected_version: "no_stream", data }
    }
}

/// Writes the lines for the flights of the first `days` of the year (all without a limit) into a file.
pub fn write(dataset: &Dataset, days: Option<u16>, notify: &str, file: &Path) -> Result<()> {
    let flights = convert::read_flights(dataset, days)?;
    convert::write_whole(file, |out| {
        for line in lines(&flights, notify) {
            serde_json::to_writer(&mut *out, &line)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    })
}

/// What stands behind the hyphen of a flight's stream.
fn key(flight: &Flight) -> String {
    flight.stream().trim_start_matches("flight-").to_owned()
}

/// The past of the context: one line for each cancelled flight, and for each flight that its passengers may move to. Notices
/// go to `<notify>/notices`, those that will be refused to `<notify>/refused`.
fn lines(flights: &[Flight], notify: &str) -> Vec<Line> {
    let mut routes: BTreeMap<(&str, &str, &str), Vec<&Flight>> = BTreeMap::new();
    for flight in flights.iter().filter(|flight| !cancelled(flight)) {
        routes.entry((&flight.carrier, &flight.origin, &flight.dest)).or_default().push(flight);
    }
    for flown in routes.values_mut() {
        flown.sort_by_cached_key(|flight| (flight.scheduled_departure, key(flight)));
    }
    let (mut lines, mut offered) = (Vec::new(), BTreeSet::new());
    for flight in flights.iter().filter(|flight| cancelled(flight)) {
        let route = routes.get(&(&*flight.carrier, &*flight.origin, &*flight.dest));
        let first = route
            .map_or(0, |flown| flown.partition_point(|other| other.scheduled_departure <= flight.scheduled_departure));
        let later = route.into_iter().flat_map(|flown| &flown[first..]).take(NEXT_MAX);
        let next: Vec<&&Flight> = later
            .take_while(|o| o.scheduled_departure.duration_since(flight.scheduled_departure) <= LATER_MAX)
            .collect();
        for other in &next {
            let key = key(other);
            if offered.insert(key.clone()) {
                let seats = json!({ "seats": hash("seats", &key) % (SEATS_MAX + 1) });
                lines.push(Line::new(format!("seats-{key}"), "SeatsOffered", other.scheduled_departure, seats));
            }
        }
        lines.push(booked(flight, next.iter().map(|other| key(other)).collect(), notify));
    }
    lines
}

fn booked(flight: &Flight, next: Vec<String>, notify: &str) -> Line {
    let key = key(flight);
    let passengers = 1 + hash("passengers", &key) % PASSENGERS_MAX;
    let refused = hash("notices", &key).is_multiple_of(UNREACHABLE_EVERY);
    let notify = format!("{notify}/{}", if refused { "refused" } else { "notices" });
    let data = json!({ "passengers": passengers, "next": next, "notify": notify });
    Line::new(format!("reservation-{key}"), "PassengersBooked", flight.scheduled_departure, data)
}

fn cancelled(flight: &Flight) -> bool {
    matches!(flight.fate, Fate::Cancelled)
}

/// FNV-1a, whose high bits are well mixed.
fn hash(what: &str, key: &str) -> u64 {
    let bytes = what.bytes().chain(key.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)) >> 32
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::super::flights::flight::Departure;
    use super::*;

    fn flight(number: i32, carrier: &str, left: &str, flew: bool) -> Flight {
        let scheduled_departure: Timestamp = left.parse().unwrap();
        let departure = Departure { at: scheduled_departure, delay_min: 0 };
        Flight {
            carrier: carrier.to_owned(),
            number,
            day: date(2013, 1, 1),
            origin: "EWR".to_owned(),
            dest: "IAH".to_owned(),
            tail_number: None,
            distance_miles: 1,
            scheduled_departure,
            scheduled_arrival: scheduled_departure,
            fate: if flew { Fate::Diverted { departure } } else { Fate::Cancelled },
        }
    }

    #[test]
    fn passengers_may_move_to_the_next_flights_that_left() {
        let flights = [
            flight(1, "UA", "2013-01-01T10:00:00Z", false),
            flight(2, "UA", "2013-01-01T09:00:00Z", true),
            flight(3, "UA", "2013-01-01T12:00:00Z", true),
            flight(4, "UA", "2013-01-01T11:00:00Z", true),
            flight(5, "UA", "2013-01-01T11:30:00Z", false),
            flight(6, "DL", "2013-01-01T11:00:00Z", true),
            flight(7, "UA", "2013-01-03T10:00:01Z", true),
        ];
        let lines = lines(&flights, "http://stub");
        let named: Vec<&str> = lines.iter().map(|line| line.stream.as_str()).collect();
        let of_both = ["seats-UA4-20130101-EWR", "seats-UA3-20130101-EWR", "reservation-UA1-20130101-EWR"];
        assert_eq!(named[..3], of_both);
        assert_eq!(named[3..], ["seats-UA7-20130101-EWR", "reservation-UA5-20130101-EWR"], "seats are offered once");
        assert_eq!(lines[2].data["next"], json!(["UA4-20130101-EWR", "UA3-20130101-EWR"]));
        assert!((1..=4).contains(&lines[2].data["passengers"].as_u64().unwrap()));
        assert!(lines[0].data["seats"].as_u64().unwrap() <= SEATS_MAX);
    }
}
