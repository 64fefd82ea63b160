//! From records to events, with only the fields that the model uses.
//!
//! The schema id in the record's first bytes tells whether the model looks at that type at all; if not, nothing else of
//! the record is looked at. An event of an older schema is read as it would be recorded today, from the fields that this
//! takes.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use spina_codec::catalog::{ResolveError, SchemaCache};
use spina_codec::reading::Reading;
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
    /// By input, then by schema.
    plans: Vec<HashMap<u32, Plan>>,
}

/// What to do with records of a schema.
#[derive(Debug)]
enum Plan {
    Skip,
    /// Reads these fields; `None` reads all.
    Take(Option<FieldMask>),
}

/// Most plans kept of an input; a topic has a few dozen schemas.
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
    /// A decoder for the model's fields.
    pub fn new(model: Arc<Model>, schemas: SchemaCache) -> Self {
        let plans = model.inputs().iter().map(|_| HashMap::new()).collect();
        Self { model, schemas, plans }
    }

    /// The event of an input's record; `None` if the model does not look at its type.
    pub async fn decode(&mut self, input: usize, record: &Fetched) -> Result<Option<Recorded>, NotDecoded> {
        let value = record.value.as_deref().ok_or_else(|| poison(DecodeError::NoValue))?;
        let (id, _) = frame::split(value).map_err(|error| poison(error.into()))?;
        if self.known(input, id).is_none() {
            self.plan(input, id).await?;
        }
        match self.take(input, id, value, record) {
            Err(DecodeError::UnknownSchema(id)) => {
                // The cache is bounded and may have let go of it.
                self.plan(input, id).await?;
                self.take(input, id, value, record).map_err(poison)
            }
            taken => taken.map_err(poison),
        }
    }

    /// Whether the model would look at the record; also if that cannot be told.
    pub async fn looks_at(&mut self, input: usize, record: &Fetched) -> Result<bool, ResolveError> {
        let Some((id, _)) = record.value.as_deref().and_then(|value| frame::split(value).ok()) else { return Ok(true) };
        if self.known(input, id).is_none() {
            match self.plan(input, id).await {
                Err(NotDecoded::Registry(error)) => return Err(error),
                Err(NotDecoded::Poison(_)) | Ok(()) => {}
            }
        }
        Ok(!matches!(self.known(input, id), Some(Plan::Skip)))
    }

    fn known(&self, input: usize, id: u32) -> Option<&Plan> {
        self.plans.get(input)?.get(&id)
    }

    fn take(&self, input: usize, id: u32, value: &[u8], record: &Fetched) -> Result<Option<Recorded>, DecodeError> {
        let Some(Plan::Take(mask)) = self.known(input, id) else { return Ok(None) };
        let headers: &Headers = &record.headers;
        let (topic, key) = (record.topic.as_ref(), record.key.as_deref());
        let opened = open(topic, record.partition, record.offset, key, Some(value), headers, &self.schemas)?;
        Ok(Some(match mask {
            Some(mask) => opened.decode_fields(mask)?,
            None => opened.decode()?,
        }))
    }

    async fn plan(&mut self, input: usize, id: u32) -> Result<(), NotDecoded> {
        let shape = match self.schemas.resolve(id).await {
            Ok(shape) => shape,
            Err(error) if error.is_transient() => return Err(NotDecoded::Registry(error)),
            Err(error) => return Err(NotDecoded::Poison(Poison::Schema(error.to_string()))),
        };
        let reading = self.schemas.known(id).and_then(|known| known.reading);
        let plan = self.plan_of(input, &shape, reading.as_deref());
        let Some(plans) = self.plans.get_mut(input) else { return Ok(()) };
        if plans.len() >= PLANS_MAX {
            plans.clear();
        }
        plans.insert(id, plan);
        Ok(())
    }

    fn plan_of(&self, input: usize, shape: &Shape, reading: Option<&Reading>) -> Plan {
        let name = reading.and_then(Reading::name).unwrap_or(shape.name());
        let input = self.model.inputs().get(input);
        let Some(wanted) = input.and_then(|input| input.wants(name)) else { return Plan::Skip };
        let nothing = BTreeSet::new();
        let needs = reading.map_or(Some(&nothing), Reading::needs);
        match (wanted, needs) {
            (WantedFields::All, _) | (_, None) => Plan::Take(None),
            (WantedFields::Some(names), Some(needs)) => {
                Plan::Take(Some(shape.mask(names.union(needs).map(String::as_str))))
            }
        }
    }
}

fn poison(error: DecodeError) -> NotDecoded {
    NotDecoded::Poison(error.into())
}
