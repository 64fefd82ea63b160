//! Which schemas there are: those behind the ids on the wire, and those of a context's events and commands.

mod cache;

use std::collections::HashMap;
use std::sync::Arc;

use spina_core::ContextName;

pub use cache::{Known, ResolveError, SchemaCache};

use crate::registry::{RegistryError, subject};
use crate::shape::{Shape, ShapeError};

/// Whether a record states a fact or asks for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TypeKind {
    /// A fact, past tense.
    Event,
    /// A request, imperative.
    Command,
}

/// A type as a context declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// Event or command.
    pub kind: TypeKind,
    /// The topic its records go to; with the record's name it makes the subject.
    pub topic: String,
    /// The aggregate it belongs to.
    pub aggregate: String,
    /// The record's full name: `flights.FlightLanded`.
    pub record: String,
}

/// A type of event or command, ready to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct EventType {
    /// Event or command.
    pub kind: TypeKind,
    /// The record's name without namespace: `FlightLanded`.
    pub name: String,
    /// `<context>.<aggregate>.<Event>`.
    pub ce_type: String,
    /// The aggregate it belongs to.
    pub aggregate: String,
    /// Id of the subject's latest schema, which records are written with.
    pub schema_id: u32,
    /// That schema.
    pub shape: Arc<Shape>,
}

/// Why a context's types cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The registry does not answer, or refuses to.
    #[error("read the context's schemas")]
    Registry(#[from] RegistryError),
    /// A declared type was never registered.
    #[error("subject `{subject}` is not in the registry: run `spina topology apply` first")]
    NotRegistered {
        /// The subject.
        subject: String,
    },
    /// A schema that cannot be used.
    #[error("the latest schema of subject `{subject}` cannot be used")]
    Unusable {
        /// The subject.
        subject: String,
        /// Why.
        #[source]
        source: ShapeError,
    },
    /// The schema's id stands for another one.
    #[error(transparent)]
    Changed(#[from] ResolveError),
    /// The subject holds another record than its name says.
    #[error("subject `{subject}` holds record `{found}`")]
    OtherRecord {
        /// The subject.
        subject: String,
        /// Full name of the record in it.
        found: String,
    },
    /// Two declared types of one name.
    #[error("`{name}` is declared twice in context `{context}`")]
    Twice {
        /// The record's name without namespace.
        name: String,
        /// The context.
        context: ContextName,
    },
}

/// The types of events and commands of one context, by every name they go by.
#[derive(Debug, Default)]
pub struct Catalog {
    types: Vec<Arc<EventType>>,
    /// By `FlightLanded` and by `flights.flight.FlightLanded`.
    by_name: HashMap<String, usize>,
    by_record: HashMap<String, usize>,
    by_schema_id: HashMap<u32, usize>,
}

impl Catalog {
    /// Reads the latest schema of every declared type. The cache knows them from then on.
    ///
    /// # Errors
    /// When one of them is not registered, or is not what it must be.
    pub async fn load(
        schemas: &SchemaCache,
        context: &ContextName,
        declared: &[Declared],
    ) -> Result<Self, CatalogError> {
        let mut catalog = Self::default();
        for declared in declared {
            let event_type = read(schemas, context, declared).await?;
            catalog.add(context, &declared.record, event_type)?;
        }
        Ok(catalog)
    }

    /// A catalog of known types, each with the full name of its record.
    ///
    /// # Errors
    /// When two of them have one name.
    pub fn of(
        context: &ContextName,
        types: impl IntoIterator<Item = (String, EventType)>,
    ) -> Result<Self, CatalogError> {
        let mut catalog = Self::default();
        for (record, event_type) in types {
            catalog.add(context, &record, event_type)?;
        }
        Ok(catalog)
    }

    fn add(&mut self, context: &ContextName, record: &str, event_type: EventType) -> Result<(), CatalogError> {
        let index = self.types.len();
        let name = event_type.name.clone();
        self.by_schema_id.insert(event_type.schema_id, index);
        self.by_record.insert(record.to_owned(), index);
        self.by_name.insert(event_type.ce_type.clone(), index);
        self.types.push(Arc::new(event_type));
        match self.by_name.insert(name.clone(), index) {
            Some(_) => Err(CatalogError::Twice { name, context: context.clone() }),
            None => Ok(()),
        }
    }

    /// The type called `FlightLanded` or `flights.flight.FlightLanded`.
    pub fn by_name(&self, name: &str) -> Option<&Arc<EventType>> {
        self.by_name.get(name).map(|index| &self.types[*index])
    }

    /// The type whose latest schema has that id. Records written with an older schema are found by their record name.
    pub fn by_schema_id(&self, schema_id: u32) -> Option<&Arc<EventType>> {
        self.by_schema_id.get(&schema_id).map(|index| &self.types[*index])
    }

    /// The type of the record called `flights.FlightLanded`.
    pub fn by_record_name(&self, full_name: &str) -> Option<&Arc<EventType>> {
        self.by_record.get(full_name).map(|index| &self.types[*index])
    }

    /// Names the schemas that an aggregate's events have now, the upcasters and the fold (empty for the default one): what
    /// was folded under others may differ.
    pub fn fingerprint(&self, aggregate: &str, upcasters: &str, fold: &str) -> String {
        let is_event = |event_type: &&Arc<EventType>| event_type.kind == TypeKind::Event;
        let of_aggregate = self.types.iter().filter(is_event).filter(|event_type| event_type.aggregate == aggregate);
        let mut schemas: Vec<String> =
            of_aggregate.map(|event_type| format!("{}={}", event_type.name, event_type.schema_id)).collect();
        schemas.sort();
        schemas.push(upcasters.to_owned());
        schemas.extend((!fold.is_empty()).then(|| fold.to_owned()));
        schemas.join(",")
    }

    /// All types, as declared.
    pub fn types(&self) -> &[Arc<EventType>] {
        &self.types
    }
}

async fn read(schemas: &SchemaCache, context: &ContextName, declared: &Declared) -> Result<EventType, CatalogError> {
    let subject = subject(&declared.topic, &declared.record);
    let Some(latest) = schemas.registry().latest(&subject).await? else {
        return Err(CatalogError::NotRegistered { subject });
    };
    let shape = Shape::compile(&latest.schema);
    let shape = Arc::new(shape.map_err(|source| CatalogError::Unusable { subject: subject.clone(), source })?);
    if shape.full_name() != declared.record {
        return Err(CatalogError::OtherRecord { subject, found: shape.full_name().to_owned() });
    }
    schemas.insert(latest.id, Arc::clone(&shape))?;
    Ok(EventType {
        kind: declared.kind,
        name: shape.name().to_owned(),
        ce_type: format!("{context}.{}.{}", declared.aggregate, shape.name()),
        aggregate: declared.aggregate.clone(),
        schema_id: latest.id,
        shape,
    })
}

#[cfg(test)]
mod tests;
