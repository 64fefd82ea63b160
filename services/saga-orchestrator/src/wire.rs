//! Saga records on the wire: what reaches sagas, what happened to them, what they ask.

use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use spina_codec::Headers;
use spina_codec::catalog::SchemaCache;
use spina_codec::frame;
use spina_codec::partitioner::partition_for;
use spina_codec::saga_record;
use spina_codec::shape::Shape;
use spina_core::Timestamp;
use spina_core::saga::{AskId, Fields, Happened, Input, SagaEvent};
use spina_log::{Admin, Fetched, NewRecord, names};
use spina_runtime::Written;
use spina_runtime::commands::{Asking, Commands};

use crate::definitions::Definitions;

/// What reaches a saga, as it lies in the inbox.
#[derive(Debug, Clone, PartialEq)]
pub enum Letter {
    /// It is to begin, unless it has.
    Start(Beginning),
    /// Something for a saga that runs.
    Input(Input),
}

/// What a saga begins with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Beginning {
    /// Its definition.
    pub definition: String,
    /// What it is about.
    pub key: String,
    /// What it begins with.
    pub input: Fields,
}

impl Letter {
    /// Its kind and its data, as JSON.
    fn written(&self) -> (&'static str, String) {
        let (kind, data) = match self {
            Self::Start(beginning) => (START, serde_json::to_string(beginning)),
            Self::Input(input) => (INPUT, serde_json::to_string(input)),
        };
        (kind, data.unwrap_or_default())
    }

    fn read(kind: &str, data: &str) -> anyhow::Result<Self> {
        match kind {
            START => Ok(Self::Start(serde_json::from_str(data)?)),
            INPUT => Ok(Self::Input(serde_json::from_str(data)?)),
            other => anyhow::bail!("there is no letter of kind `{other}`"),
        }
    }
}

/// The kinds of letters.
const START: &str = "start";
const INPUT: &str = "input";

/// Who writes these records.
const SOURCE: &str = "/spina/saga-orchestrator";

/// Encodes and decodes all records of sagas.
pub struct Wire {
    inbox: Written,
    log: Written,
    inbox_topic: Arc<str>,
    log_topic: Arc<str>,
    /// Partitions of inbox and log.
    pub partitions: i32,
    commands: Commands,
}

impl Wire {
    /// Asks registry and brokers for what the definitions name.
    pub async fn load(definitions: &Definitions, schemas: &SchemaCache, admin: &Admin) -> anyhow::Result<Self> {
        let asked = definitions.commands();
        let mut named = Vec::new();
        for (context, command) in &asked {
            let def = definitions.context(context).context("find the context of a command")?;
            named.push((def, command.as_str()));
        }
        let commands = Commands::load(SOURCE, &named, schemas).await?;
        for (context, command) in &asked {
            commands.require(&format!("{context}.{command}"))?;
        }
        let found = admin.describe(names::SAGA_INBOX_TOPIC).await?;
        let inbox = found.context("the inbox of the sagas is missing: run `spina topology apply`")?;
        let log = admin.describe(names::SAGAS_TOPIC).await?;
        let log = log.context("the log of the sagas is missing: run `spina topology apply`")?;
        anyhow::ensure!(inbox.partitions == log.partitions, "inbox and log of the sagas have as many partitions each");
        Ok(Self {
            inbox: Written::latest(schemas, names::SAGA_INBOX_TOPIC, "spina.SagaInput").await?,
            log: Written::latest(schemas, names::SAGAS_TOPIC, saga_record::RECORD).await?,
            inbox_topic: names::SAGA_INBOX_TOPIC.into(),
            log_topic: names::SAGAS_TOPIC.into(),
            partitions: log.partitions,
            commands,
        })
    }

    /// The partition of a saga, in inbox and log.
    pub fn partition_of(&self, saga: &str) -> i32 {
        partition_for(saga.as_bytes(), self.partitions)
    }

    /// A letter to a saga.
    pub fn letter(&self, saga: &str, letter: &Letter) -> NewRecord {
        let (kind, data) = letter.written();
        let fields = [("kind", Value::from(kind)), ("data", Value::from(data))];
        let value = self.inbox.framed(&named(fields)).expect("a letter fits its schema, which is ours");
        self.record(&self.inbox_topic, self.partition_of(saga), saga, value, headers("spina.SagaInput"))
    }

    /// The letter in a record of the inbox.
    pub fn read_letter(&self, record: &Fetched) -> anyhow::Result<(String, Letter)> {
        let (saga, fields) = Self::opened(record, &self.inbox.shape)?;
        let letter = Letter::read(text(&fields, "kind")?, text(&fields, "data")?).context("read the letter")?;
        Ok((saga, letter))
    }

    /// What happened to a saga.
    pub fn happened(&self, saga: &str, number: u64, event: &SagaEvent, at: Timestamp) -> NewRecord {
        let mut data = serde_json::to_value(event).unwrap_or_default();
        let kind = data.as_object_mut().and_then(|data| data.remove("type")).unwrap_or_default();
        let fields = [
            ("saga", Value::from(saga)),
            ("number", Value::from(number)),
            ("type", kind),
            ("at", Value::from(at.to_string())),
            ("data", Value::from(data.to_string())),
        ];
        let value = self.log.framed(&named(fields)).expect("a record fits its schema, which is ours");
        self.record(&self.log_topic, self.partition_of(saga), saga, value, headers(saga_record::RECORD))
    }

    /// What happened, out of a record of the log.
    pub fn read_happened(&self, record: &Fetched) -> anyhow::Result<Happened> {
        let value = record.value.as_deref().context("the record has no value")?;
        saga_record::read(value, &self.log.shape).context("read what happened")
    }

    /// A command that a saga asks. An error if its fields do not fit.
    pub fn command(&self, ask: &AskId, name: (&str, &str), stream: &str, fields: &Fields) -> Result<NewRecord, String> {
        let asking = Asking { id: &ask.to_string(), correlation: &ask.saga, causation: &ask.saga };
        self.commands.record(&format!("{}.{}", name.0, name.1), stream, fields, asking)
    }

    fn record(&self, topic: &Arc<str>, partition: i32, key: &str, value: Bytes, headers: Headers) -> NewRecord {
        let (topic, key) = (Arc::clone(topic), Bytes::copy_from_slice(key.as_bytes()));
        NewRecord { topic, partition, key, value: Some(value), headers, timestamp_ms: None }
    }

    fn opened(record: &Fetched, shape: &Shape) -> anyhow::Result<(String, Map<String, Value>)> {
        let key = record.key.as_deref().context("the record has no key")?;
        let saga = std::str::from_utf8(key).context("the key is no text")?.to_owned();
        let (_, avro) = frame::split(record.value.as_deref().context("the record has no value")?)?;
        Ok((saga, shape.decode(avro)?))
    }
}

fn headers(ce_type: &str) -> Headers {
    let mut headers = Headers::default();
    headers.push("ce_specversion", Some(b"1.0"));
    headers.push("ce_type", Some(ce_type.as_bytes()));
    headers.push("ce_source", Some(SOURCE.as_bytes()));
    headers
}

fn named<const N: usize>(fields: [(&str, Value); N]) -> Map<String, Value> {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn text<'f>(fields: &'f Map<String, Value>, name: &str) -> anyhow::Result<&'f str> {
    fields.get(name).and_then(Value::as_str).with_context(|| format!("`{name}` is no text"))
}

/// The id of a saga: `saga-rebook-UA1545-20130101-EWR`.
pub fn saga_id(definition: &str, key: &str) -> String {
    format!("saga-{definition}-{key}")
}
