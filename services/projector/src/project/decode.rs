//! From records to events, with only the fields that the model uses.
//!
//! The schema id in the record's first bytes tells whether the model looks at that type at all; if not, nothing else of
//! the record is looked at.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;
use spina_codec::catalog::{ResolveError, SchemaCache};
use spina_codec::recorded::{DecodeError, open};
use spina_codec::shape::{FieldMask, Shape};
use spina_codec::{Headers, frame};
use spina_core::Recorded;
use spina_log::Fetched;
use spina_rules::projection::{Model, WantedFields};

use super::failure::Poison;

/// Decodes for one model.
pub struct Decoder {
    model: Arc<Model>,
    schemas: SchemaCache,
    events: Arc<HashMap<String, Shape>>,
    plans: HashMap<u32, Plan>,
}

/// What to do with records of a schema.
#[derive(Debug)]
enum Plan {
    Skip,
    Take {
        /// The fields to read; `None` reads all.
        mask: Option<FieldMask>,
        /// Fields that the definition uses and this older schema does not have.
        defaults: Vec<(String, Value)>,
    },
}

/// Most plans kept; a topic has a few dozen schemas.
const PLANS_MAX: usize = 4096;

/// Why a record did not become an event.
#[derive(Debug)]
pub enum NotDecoded {
    /// It never will.
    Poison(Poison),
    /// The registry does not answer; later it may.
    Registry(ResolveError),
}

impl Decoder {
    /// A decoder for the model's fields. `events` are the types as the definition knows them, for fields that an older
    /// schema does not have.
    pub fn new(model: Arc<Model>, schemas: SchemaCache, events: Arc<HashMap<String, Shape>>) -> Self {
        Self { model, schemas, events, plans: HashMap::new() }
    }

    /// The event of a record; `None` if the model does not look at its type.
    pub async fn decode(&mut self, record: &Fetched) -> Result<Option<Recorded>, NotDecoded> {
        let value = record.value.as_deref().ok_or_else(|| poison(DecodeError::NoValue))?;
        let (id, _) = frame::split(value).map_err(|error| poison(error.into()))?;
        if !self.plans.contains_key(&id) {
            self.plan(id).await?;
        }
        match self.take(id, value, record) {
            Err(DecodeError::UnknownSchema(id)) => {
                // The cache is bounded and may have let go of it.
                self.plan(id).await?;
                self.take(id, value, record).map_err(poison)
            }
            taken => taken.map_err(poison),
        }
    }

    fn take(&self, id: u32, value: &[u8], record: &Fetched) -> Result<Option<Recorded>, DecodeError> {
        let Some(Plan::Take { mask, defaults }) = self.plans.get(&id) else { return Ok(None) };
        let headers: &Headers = &record.headers;
        let (topic, key) = (record.topic.as_ref(), record.key.as_deref());
        let opened = open(topic, record.partition, record.offset, key, Some(value), headers, &self.schemas)?;
        let mut event = match mask {
            Some(mask) => opened.decode_fields(mask)?,
            None => opened.decode()?,
        };
        event.data.extend(defaults.iter().cloned());
        Ok(Some(event))
    }

    async fn plan(&mut self, id: u32) -> Result<(), NotDecoded> {
        let shape = match self.schemas.resolve(id).await {
            Ok(shape) => shape,
            Err(error) if error.is_transient() => return Err(NotDecoded::Registry(error)),
            Err(error) => return Err(NotDecoded::Poison(Poison::Schema(error.to_string()))),
        };
        if self.plans.len() >= PLANS_MAX {
            self.plans.clear();
        }
        self.plans.insert(id, self.plan_of(&shape));
        Ok(())
    }

    fn plan_of(&self, shape: &Shape) -> Plan {
        let Some(wanted) = self.model.wants(shape.name()) else { return Plan::Skip };
        let known = self.events.get(shape.name());
        let added = known.iter().flat_map(|known| known.fields()).filter(|field| shape.field(field.name()).is_none());
        let defaults = added.map(|field| (field.name().to_owned(), field.default().cloned().unwrap_or(Value::Null)));
        match wanted {
            WantedFields::All => Plan::Take { mask: None, defaults: defaults.collect() },
            WantedFields::Some(names) => Plan::Take {
                mask: Some(shape.mask(names.iter().map(String::as_str).filter(|name| shape.field(name).is_some()))),
                defaults: defaults.filter(|(name, _)| names.contains(name)).collect(),
            },
        }
    }
}

fn poison(error: DecodeError) -> NotDecoded {
    NotDecoded::Poison(error.into())
}
