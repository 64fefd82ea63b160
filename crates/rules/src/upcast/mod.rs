//! How events recorded under older schemas are read today: `topology/<context>/upcasters.yaml`.
//!
//! ```yaml
//! upcasters:
//!   FlightArrived:                     # the record as it was written
//!     becomes: FlightLanded            # its name today; the steps of FlightLanded follow
//!   FlightLanded:
//!     steps:                           # in this order
//!       - rename: { delay: arrival_delay_min }
//!       - default: { source: "'timetable'", air_time_min: null }     # text is CEL over `data`, the rest literal
//!       - split: { route: { origin: data.route.from, dest: data.route.to } }   # one field into several
//!       - drop: [gate]
//!       - when: { version: [1, 2], has: miles, lacks: kilometres }   # all of it must hold
//!         default: { kilometres: data.miles * 1.609 }
//! ```
//!
//! Which steps apply follows from the schema that an event was written with, so it is found out once for each schema.
//! A step without need is passed over: a rename or split whose field the schema does not have or whose result it has,
//! a default that it does not need. So one list of steps reads every version, and what is written with today's schema
//! is not touched.

mod compile;
mod plan;
mod print;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use spina_core::event_shape::EventShape;
use spina_core::upcast::{Upcast, Upcaster, Upcasting, Written};

use crate::context::ContextDef;
use crate::expr::Expr;
use crate::source::{Problems, Source};

/// The definition's file name within the context's folder.
pub const UPCASTERS_FILE: &str = "upcasters.yaml";

/// A schema that was released under a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released {
    /// The number, from 1.
    pub version: u32,
    /// The record and its fields.
    pub shape: EventShape,
}

/// The upcasters of a context, compiled.
#[derive(Debug, Default)]
pub struct Upcasters {
    /// `flights.`, which the names of its records begin with.
    prefix: String,
    by_record: BTreeMap<String, Arc<Entry>>,
    in_rust: HashMap<String, Arc<dyn Upcaster>>,
}

/// What is declared for one record.
#[derive(Debug, Default)]
struct Entry {
    becomes: Option<String>,
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    when: When,
    actions: Vec<Arc<Action>>,
}

/// Conditions on the schema; all must hold.
#[derive(Debug, Default)]
struct When {
    versions: Option<Vec<u32>>,
    has: Option<String>,
    lacks: Option<String>,
}

/// One thing that is done to the fields.
#[derive(Debug)]
enum Action {
    /// Old name, new name.
    Rename(String, String),
    /// A new field and what it holds.
    Default(String, Filling),
    /// A field that goes, and what comes in its place.
    Split(String, Vec<(String, Expr)>),
    /// A field that goes.
    Drop(String),
}

#[derive(Debug)]
enum Filling {
    Literal(Value),
    Cel(Expr),
}

impl Upcasters {
    /// Reads and compiles the context's upcasters; none if the file does not exist. `events` are today's events and
    /// `released` the frozen schemas of the context.
    pub fn load(
        topology_dir: &Path,
        context: &ContextDef,
        events: &[EventShape],
        released: &[Released],
    ) -> Result<Self, Problems> {
        let path = topology_dir.join(context.name.as_str()).join(UPCASTERS_FILE);
        if !path.exists() {
            return Ok(Self { prefix: format!("{}.", context.namespace()), ..Self::default() });
        }
        Self::compile(&Source::read(&path)?, context, events, released)
    }

    /// Like [`Upcasters::load`], of a definition in memory.
    pub fn compile(
        source: &Source,
        context: &ContextDef,
        events: &[EventShape],
        released: &[Released],
    ) -> Result<Self, Problems> {
        let by_record = compile::compile(source, events, released)?;
        let prefix = format!("{}.", context.namespace());
        Ok(Self { prefix, by_record, in_rust: HashMap::new() })
    }

    /// Adds an upcaster in Rust.
    #[must_use]
    pub fn with(mut self, upcaster: Arc<dyn Upcaster>) -> Self {
        self.in_rust.insert(upcaster.record().to_owned(), upcaster);
        self
    }

    /// The fields of a schema as they are after upcasting: each with the name it was written under, if it was.
    pub fn fields_today(&self, written: &Written<'_>) -> Vec<plan::Renamed> {
        plan::Draft::of(self, written).map(plan::Draft::fields).unwrap_or_default()
    }
}

impl Upcasting for Upcasters {
    fn plan(&self, written: &Written<'_>) -> Option<Arc<dyn Upcast>> {
        plan::Draft::of(self, written)?.finish()
    }

    fn former_names(&self, name: &str) -> Vec<String> {
        let former = |record: &&String| self.name_today(record) == name && record.as_str() != name;
        self.by_record.keys().filter(former).cloned().collect()
    }

    fn fingerprint(&self, events: &[&str]) -> String {
        print::fingerprint(self, events)
    }
}

impl Upcasters {
    fn name_today<'n>(&'n self, record: &'n str) -> &'n str {
        let mut name = record;
        // The compiler has refused circles.
        while let Some(next) = self.by_record.get(name).and_then(|entry| entry.becomes.as_deref()) {
            name = next;
        }
        name
    }
}

#[cfg(test)]
mod tests;
