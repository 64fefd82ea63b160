//! Which fields are unique, and how the events about them are written.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use anyhow::Context as _;
use spina_codec::SchemaCache;
use spina_codec::catalog::{Catalog, Declared, EventType, TypeKind};
use spina_codec::frame::frame;
use spina_core::unique::{self, OWNERSHIP_PROVED, VALUE_CLAIMED, VALUE_RELEASED};
use spina_core::{State, StreamId};
use spina_log::names;
use spina_rules::context::ContextDef;
use uuid::Uuid;

use super::course::Claim;
use crate::clock;
use crate::decide::append::NewEvent;

/// The unique fields of a context.
#[derive(Debug, Default)]
pub struct Uniques {
    by_aggregate: HashMap<String, Vec<String>>,
    types: HashMap<&'static str, Arc<EventType>>,
}

impl Uniques {
    /// What the definition says. Without a unique field the registry is not asked for anything.
    ///
    /// # Errors
    /// When a record of claims is not registered.
    pub async fn load(schemas: &SchemaCache, def: &ContextDef) -> anyhow::Result<Self> {
        let fields = |fields: &[spina_rules::source::Located<String>]| fields.iter().map(|f| f.value.clone()).collect();
        let declared = def.aggregates.iter().filter(|aggregate| !aggregate.unique.is_empty());
        let by_aggregate: HashMap<String, Vec<String>> =
            declared.map(|aggregate| (aggregate.name.clone(), fields(&aggregate.unique))).collect();
        let mut types = HashMap::new();
        if by_aggregate.is_empty() {
            return Ok(Self { by_aggregate, types });
        }
        for record in unique::RECORDS {
            let topic = names::events_topic(&def.name);
            let (aggregate, record_name) = ("claim".to_owned(), record.to_owned());
            let declared = Declared { kind: TypeKind::Event, topic, aggregate, record: record_name };
            let catalog = Catalog::load(schemas, &def.name, &[declared]).await;
            let catalog = catalog.context("read the schemas of claims: run `spina topology apply`")?;
            let known = catalog.by_record_name(record).context("a catalog has what it was loaded with")?;
            // It is of no aggregate of the context.
            types
                .insert(record, Arc::new(EventType { ce_type: unique::event_type(record), ..EventType::clone(known) }));
        }
        Ok(Self { by_aggregate, types })
    }

    /// Whether streams of this category have unique values.
    pub fn concern(&self, category: &str) -> bool {
        self.by_aggregate.contains_key(category)
    }

    /// The claims that a state of the stream holds, each with its field.
    pub fn claims(&self, stream: &StreamId, state: &State) -> BTreeMap<StreamId, String> {
        let unique = self.by_aggregate.get(stream.category());
        unique.map(|unique| unique::claims(stream.category(), unique, &state.data)).unwrap_or_default()
    }

    /// The event that says whose a claim is.
    pub fn claimed(&self, claim: &Claim) -> Option<NewEvent> {
        self.event(VALUE_CLAIMED, &[("holder", claim.holder.as_str()), ("attempt", &claim.attempt)])
    }

    /// The event that says that a claim is nobody's.
    pub fn released(&self) -> Option<NewEvent> {
        self.event(VALUE_RELEASED, &[])
    }

    /// The event by which an owner proves that it is one.
    pub fn proved(&self, over: &str) -> Option<NewEvent> {
        self.event(OWNERSHIP_PROVED, &[("over", over)])
    }

    /// `None` if the context has no unique fields.
    fn event(&self, record: &str, fields: &[(&str, &str)]) -> Option<NewEvent> {
        let event_type = Arc::clone(self.types.get(record)?);
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
        let avro = event_type.shape.encode(&fields).ok()?;
        Some(NewEvent {
            value: frame(event_type.schema_id, &avro).into(),
            event_type,
            id: Uuid::now_v7().to_string(),
            time: clock::now(),
            correlation_id: None,
            causation_id: None,
        })
    }
}
