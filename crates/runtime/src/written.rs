//! Records that a service writes: their schema as the registry has it.

use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use serde_json::{Map, Value};
use spina_codec::shape::Shape;
use spina_codec::{SchemaCache, frame, subject};

/// A record's schema, ready to be written with. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Written {
    /// What frames carry.
    pub schema_id: u32,
    /// The schema.
    pub shape: Arc<Shape>,
}

impl Written {
    /// The latest schema of a record in a topic; `None` if it is not registered.
    ///
    /// # Errors
    /// When the registry does not answer, or holds a schema that cannot be used.
    pub async fn find(schemas: &SchemaCache, topic: &str, record: &str) -> anyhow::Result<Option<Self>> {
        let latest = schemas.registry().latest(&subject(topic, record)).await.context("read the schemas")?;
        let Some(latest) = latest else { return Ok(None) };
        let shape = schemas.resolve(latest.id).await.context("read the schemas")?;
        Ok(Some(Self { schema_id: latest.id, shape }))
    }

    /// As [`Written::find`], of a record that must be there.
    ///
    /// # Errors
    /// Also when it is not registered.
    pub async fn latest(schemas: &SchemaCache, topic: &str, record: &str) -> anyhow::Result<Self> {
        Self::find(schemas, topic, record).await?.with_context(|| missing(topic, record))
    }

    /// The fields as a record's value.
    ///
    /// # Errors
    /// What of them does not fit the schema.
    pub fn framed(&self, fields: &Map<String, Value>) -> Result<Bytes, String> {
        let avro = self.shape.encode(fields).map_err(|error| error.to_string())?;
        Ok(Bytes::from(frame::frame(self.schema_id, &avro)))
    }
}

/// What to do about a record that is not registered.
pub(crate) fn missing(topic: &str, record: &str) -> String {
    format!("subject {} is missing: run `spina topology apply`", subject(topic, record))
}
