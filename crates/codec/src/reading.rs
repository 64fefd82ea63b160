//! How events of older schemas are read today, found out once for each schema id.
//!
//! ```text
//! decoded with the writer's schema -> upcasters -> defaults of today's schema -> fields as they would be recorded today
//! ```
//!
//! All that reads events goes through here: [`crate::recorded`] applies what the [`crate::SchemaCache`] knows of the
//! schema. A schema that is today's, or that nothing is declared about, has no [`Reading`] and costs nothing.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};
use spina_core::event_shape::EventShape;
use spina_core::upcast::{Upcast, UpcastError, Upcasting, Written};
use spina_core::{ContextName, EventHeaders};

use crate::schema_files::{self, ReleasedFile, SchemaFileError};
use crate::shape::Shape;

/// The schemas of one context: today's and those that were released before.
#[derive(Debug, Default)]
pub struct Schemas {
    today: Vec<Shape>,
    released: Vec<ReleasedFile>,
}

impl Schemas {
    /// Reads the context's schema files. `events` are the full names of today's events.
    ///
    /// # Errors
    /// When a file cannot be read or is not a usable schema.
    pub fn load(schemas_dir: &Path, context: &ContextName, events: &[String]) -> Result<Self, SchemaFileError> {
        let files = schema_files::load(schemas_dir, context)?.into_iter();
        let today = files.filter(|file| events.contains(&file.full_name)).map(|file| file.shape).collect();
        Ok(Self { today, released: schema_files::released(schemas_dir, context)? })
    }

    /// Today's events as the rules see them.
    pub fn events(&self) -> Vec<EventShape> {
        self.today.iter().map(Shape::outline).collect()
    }

    /// The released schemas as the rules see them, with their numbers.
    pub fn released(&self) -> impl Iterator<Item = (u32, EventShape)> {
        self.released.iter().map(|file| (file.version, file.shape.outline()))
    }

    /// What is to be done with the events of each of them.
    pub fn read_with(self, upcasting: Arc<dyn Upcasting>) -> ContextReadings {
        ContextReadings { schemas: self, upcasting }
    }
}

/// How the events of one context are read.
#[derive(Debug)]
pub struct ContextReadings {
    schemas: Schemas,
    upcasting: Arc<dyn Upcasting>,
}

/// How the events of all contexts of a process are read. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Readings {
    contexts: Arc<HashMap<ContextName, ContextReadings>>,
}

/// What is done with the events of one schema after they are decoded with it.
#[derive(Debug)]
pub struct Reading {
    upcast: Option<Arc<dyn Upcast>>,
    /// Fields of today's schema that neither the written one has nor the upcasters make, with their defaults.
    defaults: Vec<(String, Value)>,
}

impl Readings {
    /// The readings of some contexts.
    pub fn new(contexts: impl IntoIterator<Item = (ContextName, ContextReadings)>) -> Self {
        Self { contexts: Arc::new(contexts.into_iter().collect()) }
    }

    /// What is done with events written with that schema; `None` if they are read as they are.
    pub fn of(&self, written: &Shape) -> Option<Arc<Reading>> {
        self.contexts.values().find_map(|context| context.of(written)).map(Arc::new)
    }

    /// Names of the records that are read as the event of that name today, itself not included.
    pub fn former_names(&self, context: &ContextName, name: &str) -> Vec<String> {
        self.contexts.get(context).map(|context| context.upcasting.former_names(name)).unwrap_or_default()
    }

    /// Changes whenever the upcasters of these events of today do; empty if there are none. What was folded from them or
    /// projected under another one is stale.
    pub fn fingerprint(&self, context: &ContextName, events: &[&str]) -> String {
        self.contexts.get(context).map(|context| context.upcasting.fingerprint(events)).unwrap_or_default()
    }
}

impl ContextReadings {
    fn of(&self, written: &Shape) -> Option<Reading> {
        let fields: Vec<&str> = written.fields().iter().map(|field| field.name()).collect();
        let record = written.full_name();
        let upcast = self.upcasting.plan(&Written { record, version: self.version(written), fields: &fields });
        let name = upcast.as_ref().map_or(written.name(), |upcast| upcast.name());
        let namespace = record.strip_suffix(written.name()).unwrap_or_default();
        let today = self.schemas.today.iter().find(|shape| shape.full_name().strip_prefix(namespace) == Some(name));
        let missing =
            today.iter().flat_map(|today| today.fields()).filter(|field| written.field(field.name()).is_none());
        let defaults: Vec<_> =
            missing.filter_map(|field| Some((field.name().to_owned(), field.default()?.clone()))).collect();
        (upcast.is_some() || !defaults.is_empty()).then_some(Reading { upcast, defaults })
    }

    /// Number of the released schema that this one is; wording does not count.
    fn version(&self, written: &Shape) -> Option<u32> {
        self.schemas.released.iter().find(|file| file.shape == *written).map(|file| file.version)
    }
}

impl Reading {
    /// Name of the event today, if upcasters say.
    pub fn name(&self) -> Option<&str> {
        self.upcast.as_ref().map(|upcast| upcast.name())
    }

    /// The written fields that it looks at; `None` for all.
    pub fn needs(&self) -> Option<&BTreeSet<String>> {
        static NOTHING: BTreeSet<String> = BTreeSet::new();
        self.upcast.as_ref().map_or(Some(&NOTHING), |upcast| upcast.needs())
    }

    /// The fields as they would be recorded today.
    ///
    /// # Errors
    /// When an upcaster does not know what to do with a value.
    pub fn fields(&self, mut fields: Map<String, Value>) -> Result<Map<String, Value>, UpcastError> {
        if let Some(upcast) = &self.upcast {
            upcast.apply(&mut fields)?;
        }
        for (name, value) in &self.defaults {
            if !fields.contains_key(name) {
                fields.insert(name.clone(), value.clone());
            }
        }
        Ok(fields)
    }

    /// The event under the name it has today.
    pub fn rename(&self, headers: &mut EventHeaders) {
        if let Some(name) = self.name().filter(|name| *name != headers.event_name()) {
            let aggregate = headers.event_type.len() - headers.event_name().len();
            headers.event_type.replace_range(aggregate.., name);
        }
    }
}

#[cfg(test)]
mod tests;
