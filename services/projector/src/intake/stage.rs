//! From a record of plain JSON to a record on the commands topic. Stateless, as publishing is.

use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Map, Value};
use spina_codec::Headers;
use spina_codec::headers::{CE_ID, CE_TIME, CE_TYPE, TRACEPARENT, TRACESTATE};
use spina_codec::partitioner::partition_for;
use spina_log::{Fetched, NewRecord};
use spina_rules::intake::Intake;
use spina_runtime::processor::Stage;
use tracing::error;

use crate::passing::{NotPassed, PassOn, dead_letter};

/// A topic that is written, and how many partitions it has.
type Outlet = (Arc<str>, i32);

/// Makes commands of the records of one topic.
pub struct TakingIn {
    intake: Arc<Intake>,
    commands: Outlet,
    dead_letters: Outlet,
}

impl TakingIn {
    /// For one topic.
    pub fn new(intake: Arc<Intake>, commands: (&str, i32), dead_letters: (&str, i32)) -> Self {
        let outlet = |(topic, partitions): (&str, i32)| (topic.into(), partitions);
        Self { intake, commands: outlet(commands), dead_letters: outlet(dead_letters) }
    }

    fn one(&self, record: &Fetched) -> Option<NewRecord> {
        match self.command(record) {
            Ok(command) => command,
            Err(error) => {
                let (partition, offset, reason) = (record.partition, record.offset, format!("{error:#}"));
                error!(topic = self.intake.topic, partition, offset, reason, "a record cannot be taken in");
                let (topic, partitions) = &self.dead_letters;
                let why = NotPassed { class: "unfit", reader: &self.intake.topic, reason: &reason };
                Some(dead_letter((topic, partition % partitions), record, &why))
            }
        }
    }

    fn command(&self, record: &Fetched) -> anyhow::Result<Option<NewRecord>> {
        let value = record.value.as_deref().context("the record has no value")?;
        let data: Map<String, Value> = serde_json::from_slice(value).context("the record is no JSON object")?;
        let Some(taken) = self.intake.of(&data)? else { return Ok(None) };
        let id = taken.id.unwrap_or_else(|| format!("{}:{}:{}", record.topic, record.partition, record.offset));
        let (topic, partitions) = &self.commands;
        Ok(Some(NewRecord {
            topic: Arc::clone(topic),
            partition: partition_for(taken.stream.as_str().as_bytes(), *partitions),
            key: Bytes::copy_from_slice(taken.stream.as_str().as_bytes()),
            value: Some(serde_json::to_vec(&taken.fields).context("write the command")?.into()),
            headers: self.headers(&id, &record.headers),
            timestamp_ms: Some(record.timestamp_ms).filter(|ms| *ms >= 0),
        }))
    }

    /// Type and id, and what the record itself says of time and trace.
    fn headers(&self, id: &str, of_record: &Headers) -> Headers {
        let mut headers = Headers::default();
        headers.push(CE_ID, Some(id.as_bytes()));
        headers.push(CE_TYPE, Some(self.intake.r#type.as_bytes()));
        for name in [CE_TIME, TRACEPARENT, TRACESTATE] {
            if let Some(value) = of_record.get(name) {
                headers.push(name, Some(value));
            }
        }
        headers
    }
}

#[async_trait]
impl Stage for TakingIn {
    type Processor = PassOn;

    async fn open(&self, _: i32) -> anyhow::Result<(PassOn, i64)> {
        Ok((PassOn, 0))
    }

    async fn restore(&self, _: &mut PassOn, _: Vec<Fetched>) -> anyhow::Result<()> {
        Ok(())
    }

    async fn read(&self, records: Vec<Fetched>) -> Vec<Option<NewRecord>> {
        records.iter().map(|record| self.one(record)).collect()
    }

    async fn after(&self, _: i32, _: Vec<()>) {}
}
