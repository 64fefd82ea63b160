//! A row of `flights.csv`, as it stands there.

use std::io::Read;

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

use super::clock::ClockTime;

/// One scheduled flight. Times of day are local: departures in New York, arrivals at the destination.
#[derive(Debug, Deserialize)]
pub struct Row {
    /// Year, month and day of the scheduled departure, in New York.
    pub year: i16,
    /// Month, from 1.
    pub month: i8,
    /// Day of the month.
    pub day: i8,
    /// When it left; none if it was cancelled.
    #[serde(deserialize_with = "known")]
    pub dep_time: Option<ClockTime>,
    /// When it should have left.
    pub sched_dep_time: ClockTime,
    /// Minutes that it left late; negative if early.
    #[serde(deserialize_with = "known")]
    pub dep_delay: Option<i32>,
    /// When it arrived. Some diverted flights have it too: they got there later.
    #[serde(deserialize_with = "known")]
    pub arr_time: Option<ClockTime>,
    /// When it should have arrived.
    pub sched_arr_time: ClockTime,
    /// Minutes that it arrived late; none if it was cancelled or diverted.
    #[serde(deserialize_with = "known")]
    pub arr_delay: Option<i32>,
    /// IATA code of the carrier.
    pub carrier: String,
    /// Flight number.
    pub flight: i32,
    /// Registration of the aircraft.
    #[serde(deserialize_with = "known")]
    pub tailnum: Option<String>,
    /// FAA code of the origin: EWR, JFK or LGA.
    pub origin: String,
    /// FAA code of the destination.
    pub dest: String,
    /// Minutes in the air.
    #[serde(deserialize_with = "known")]
    pub air_time: Option<i32>,
    /// Miles between the airports.
    pub distance: i32,
    /// The hour of the scheduled departure as an instant.
    pub time_hour: Timestamp,
}

/// The rows of `flights.csv` in the file's order.
pub fn read(csv: impl Read) -> impl Iterator<Item = Result<Row>> {
    let rows = csv::Reader::from_reader(csv).into_deserialize::<Row>();
    rows.enumerate().map(|(index, row)| row.with_context(|| format!("read row {} of flights.csv", index + 1)))
}

/// `NA` is how R, where the data come from, writes an unknown value.
fn known<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    let text = String::deserialize(deserializer)?;
    if text == "NA" {
        return Ok(None);
    }
    text.parse().map(Some).map_err(serde::de::Error::custom)
}
