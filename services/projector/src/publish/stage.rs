//! From an event to its public record. Stateless: what a record becomes follows from the record and the declaration.

use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;
use bytes::Bytes;
use spina_codec::catalog::SchemaCache;
use spina_codec::headers::{
    CE_CORRELATION_ID, CE_ID, CE_SEQUENCE, CE_SOURCE, CE_SPECVERSION, CE_SPECVERSION_VALUE, CE_SUBJECT, CE_TIME,
    CE_TYPE, TRACEPARENT, TRACESTATE,
};
use spina_codec::shape::Shape;
use spina_codec::{Headers, frame, recorded, subject};
use spina_core::{ContextName, Recorded};
use spina_log::{Fetched, NewRecord, names};
use spina_rules::publish::Published;
use spina_runtime::processor::Stage;
use tracing::error;

use crate::passing::{NotPassed, PassOn, dead_letter};

/// The public record's schema.
#[derive(Debug)]
pub struct Written {
    schema_id: u32,
    shape: Arc<Shape>,
}

impl Written {
    /// The latest one that is registered.
    pub async fn latest(schemas: &SchemaCache, topic: &str, record: &str) -> anyhow::Result<Self> {
        let subject = subject(topic, record);
        let latest = schemas.registry().latest(&subject).await?;
        let latest = latest.with_context(|| format!("subject {subject} is missing: run `spina topology apply`"))?;
        Ok(Self { schema_id: latest.id, shape: schemas.resolve(latest.id).await? })
    }
}

/// Makes public records of one context's events.
pub struct Publishing {
    published: Arc<Published>,
    topic: Arc<str>,
    dead_letters: Arc<str>,
    ce_type: String,
    source: String,
    written: Written,
    schemas: SchemaCache,
}

impl Publishing {
    /// For one topic.
    pub fn new(
        published: Arc<Published>,
        context: &ContextName,
        topic: &str,
        written: Written,
        schemas: SchemaCache,
    ) -> Self {
        let (ce_type, source) = (published.record.clone(), format!("/spina/projector/{context}"));
        let dead_letters = names::dlq(topic).into();
        Self { published, topic: topic.into(), dead_letters, ce_type, source, written, schemas }
    }

    async fn one(&self, record: &Fetched) -> Option<NewRecord> {
        match self.public(record).await {
            Ok(public) => public,
            Err(error) => {
                let (partition, offset, reason) = (record.partition, record.offset, format!("{error:#}"));
                error!(topic = %self.topic, partition, offset, reason, "an event cannot be published");
                let why = NotPassed { class: "unpublishable", reader: &self.topic, reason: &reason };
                Some(dead_letter((&self.dead_letters, partition), record, &why))
            }
        }
    }

    async fn public(&self, record: &Fetched) -> anyhow::Result<Option<NewRecord>> {
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        let (schema, _) = frame::split(value.unwrap_or_default())?;
        // Without the registry nothing can be told of the event, so it is waited for.
        self.schemas.resolve_in_the_end(schema).await?;
        let (partition, offset) = (record.partition, record.offset);
        let event = recorded::decode(&record.topic, partition, offset, key, value, &record.headers, &self.schemas)?;
        let Some(fields) = self.published.of(&event)? else { return Ok(None) };
        let avro = self.written.shape.encode(&fields).context("write the public record")?;
        Ok(Some(NewRecord {
            topic: Arc::clone(&self.topic),
            // Both topics have as many, so a stream stays in its place and in its order.
            partition: record.partition,
            key: record.key.clone().unwrap_or_default(),
            value: Some(Bytes::from(frame::frame(self.written.schema_id, &avro))),
            headers: self.headers(&event),
            timestamp_ms: Some(record.timestamp_ms).filter(|ms| *ms >= 0),
        }))
    }

    /// What everybody may know of the event: not which process wrote it, nor by which request.
    fn headers(&self, event: &Recorded) -> Headers {
        let of = &event.headers;
        let mut headers = Headers::default();
        let mut put = |name: &str, value: &str| headers.push(name, Some(value.as_bytes()));
        put(CE_SPECVERSION, CE_SPECVERSION_VALUE);
        put(CE_ID, &of.id);
        put(CE_TYPE, &self.ce_type);
        put(CE_SOURCE, &self.source);
        put(CE_TIME, &of.time.to_string());
        put(CE_SUBJECT, of.stream.as_str());
        put(CE_SEQUENCE, &of.version.to_string());
        let optional =
            [(CE_CORRELATION_ID, &of.correlation_id), (TRACEPARENT, &of.traceparent), (TRACESTATE, &of.tracestate)];
        for (name, value) in optional {
            if let Some(value) = value {
                put(name, value);
            }
        }
        headers
    }
}

#[async_trait]
impl Stage for Publishing {
    type Processor = PassOn;

    async fn open(&self, _: i32) -> anyhow::Result<(PassOn, i64)> {
        Ok((PassOn, 0))
    }

    async fn restore(&self, _: &mut PassOn, _: Vec<Fetched>) -> anyhow::Result<()> {
        Ok(())
    }

    async fn read(&self, records: Vec<Fetched>) -> Vec<Option<NewRecord>> {
        let mut public = Vec::with_capacity(records.len());
        for record in records {
            public.push(self.one(&record).await);
        }
        public
    }

    async fn after(&self, _: i32, _: Vec<()>) {}
}
