//! Events recorded under older schemas, read as they would be recorded today.
//!
//! An event on the log is never changed; what it says is rewritten each time it is read. Upcasting sees the fields and
//! the schema they were written with, and nothing else: so commands, archived events and samples are read alike.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;

use serde_json::{Map, Value};

/// The schema that an event was written with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written<'a> {
    /// Full name of the record: `flights.FlightArrived`.
    pub record: &'a str,
    /// Number of the released schema, from 1; `None` if it is none of those that were frozen.
    pub version: Option<u32>,
    /// Names of its top-level fields.
    pub fields: &'a [&'a str],
}

/// An event cannot be read as it would be recorded today. Trying again gives the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("upcasting {record}: {cause}")]
pub struct UpcastError {
    /// Full name of the record as it was written.
    pub record: String,
    /// Why.
    pub cause: String,
}

/// All that is declared about older events of a context.
pub trait Upcasting: Debug + Send + Sync {
    /// What to do with events of that schema; `None` if they are read as they are.
    fn plan(&self, written: &Written<'_>) -> Option<Arc<dyn Upcast>>;

    /// Names of the records that are read as this one today, itself not included, without namespace.
    fn former_names(&self, name: &str) -> Vec<String>;

    /// Changes whenever one of these events of today could be read otherwise than before; empty if nothing is declared
    /// about them.
    fn fingerprint(&self, events: &[&str]) -> String;
}

/// What is done with the events of one schema.
pub trait Upcast: Debug + Send + Sync {
    /// Name of the event today, without context and aggregate.
    fn name(&self) -> &str;

    /// The written fields that it looks at; `None` for all.
    fn needs(&self) -> Option<&BTreeSet<String>>;

    /// Rewrites the fields. Pure: the same fields give the same.
    ///
    /// # Errors
    /// When a value is not what the declaration expects.
    fn apply(&self, fields: &mut Map<String, Value>) -> Result<(), UpcastError>;
}

/// An upcaster in Rust, for what the declared steps cannot say. It comes after them.
pub trait Upcaster: Debug + Send + Sync {
    /// Name of the record as it was written, without namespace: `FlightArrived`.
    fn record(&self) -> &str;

    /// To be raised whenever it gives something else than before: snapshots and read models made until then are stale.
    fn revision(&self) -> u32;

    /// Rewrites the fields of an event written with that released schema, if it was a released one.
    ///
    /// # Errors
    /// When a value is not what it expects, with the reason.
    fn upcast(&self, version: Option<u32>, fields: &mut Map<String, Value>) -> Result<(), String>;
}
