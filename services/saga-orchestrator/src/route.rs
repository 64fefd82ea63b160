//! Route: what happens in the contexts goes to the sagas that it concerns. Stateless; one loop for each topic.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use spina_codec::catalog::SchemaCache;
use spina_codec::{frame, recorded};
use spina_core::saga::{AskId, Class, Fields, Input, Refusal};
use spina_core::{Recorded, Timestamp};
use spina_log::{Fetched, NewRecord};
use spina_runtime::processor::{self, Output, Processor, Stage};
use tracing::error;

use crate::definitions::Shared;
use crate::wire::{Beginning, Letter, Wire, saga_id};

/// The processor has nothing to remember.
pub struct Router;

impl Processor for Router {
    type Input = Vec<NewRecord>;
    type Request = ();
    type Effect = ();

    fn apply(&mut self, inputs: Vec<processor::Input<Vec<NewRecord>, ()>>, _: Timestamp) -> Output<()> {
        let records = inputs.into_iter().flat_map(|input| match input {
            processor::Input::Record(letters) => letters,
            processor::Input::Request(()) | processor::Input::Tick => Vec::new(),
        });
        Output { records: records.collect(), effects: Vec::new() }
    }

    fn due(&self) -> Option<Timestamp> {
        None
    }
}

/// Finds out which sagas a record concerns.
pub struct Route {
    /// The sagas.
    pub definitions: Shared,
    /// How records are written.
    pub wire: Arc<Wire>,
    /// How records are read.
    pub schemas: SchemaCache,
    /// Whether the topic is one of replies.
    pub replies: bool,
}

#[async_trait]
impl Stage for Route {
    type Processor = Router;

    async fn open(&self, _: i32) -> anyhow::Result<(Router, i64)> {
        Ok((Router, 0))
    }

    async fn restore(&self, _: &mut Router, _: Vec<Fetched>) -> anyhow::Result<()> {
        Ok(())
    }

    async fn read(&self, records: Vec<Fetched>) -> Vec<Vec<NewRecord>> {
        let mut letters = Vec::with_capacity(records.len());
        for record in records {
            let found = if self.replies { self.reply(&record).await } else { self.event(&record).await };
            letters.push(found.unwrap_or_else(|error| {
                let (partition, offset, error) = (record.partition, record.offset, format!("{error:#}"));
                error!(topic = %record.topic, partition, offset, error, "a record reaches no saga");
                Vec::new()
            }));
        }
        letters
    }

    async fn after(&self, _: i32, _: Vec<()>) {}
}

impl Route {
    async fn schema(&self, record: &Fetched) -> anyhow::Result<u32> {
        let (id, _) = frame::split(record.value.as_deref().unwrap_or_default())?;
        // The registry may be away for long: without it nothing can be told, so it is waited for.
        self.schemas.resolve_in_the_end(id).await?;
        Ok(id)
    }

    async fn event(&self, record: &Fetched) -> anyhow::Result<Vec<NewRecord>> {
        self.schema(record).await?;
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        let (partition, offset) = (record.partition, record.offset);
        let event = recorded::decode(&record.topic, partition, offset, key, value, &record.headers, &self.schemas)?;
        let context = event.headers.event_type.split('.').next().unwrap_or_default();
        let name = format!("{context}.{}", event.headers.event_name());
        Ok(self.letters(&name, &event))
    }

    fn letters(&self, name: &str, event: &Recorded) -> Vec<NewRecord> {
        let mut letters = Vec::new();
        for saga in self.definitions.beginning() {
            let Some(start) = saga.start.as_ref().filter(|start| start.event == name) else { continue };
            match start.of(event) {
                Ok(Some((key, input))) => {
                    let definition = saga.plan.name.clone();
                    let id = saga_id(&definition, &key);
                    letters.push(self.wire.letter(&id, &Letter::Start(Beginning { definition, key, input })));
                }
                Ok(None) => {}
                Err(error) => error!(saga = saga.plan.name, event = event.headers.id, %error, "a saga cannot begin"),
            }
        }
        let mut told = Vec::new();
        for saga in &self.definitions.sagas {
            for awaited in saga.awaits.iter().filter(|awaited| awaited.event == name) {
                match awaited.key(event) {
                    Ok(key) => told.push(saga_id(&saga.plan.name, &key)),
                    Err(error) => {
                        error!(saga = saga.plan.name, event = event.headers.id, %error, "an awaited event has no key");
                    }
                }
            }
        }
        told.sort_unstable();
        told.dedup();
        let letter = Letter::Input(Input::Event { event: name.to_owned(), fields: event.data.clone() });
        letters.extend(told.iter().map(|id| self.wire.letter(id, &letter)));
        letters
    }

    /// Replies to others than sagas are passed over.
    async fn reply(&self, record: &Fetched) -> anyhow::Result<Vec<NewRecord>> {
        let request = record.headers.get_str("ce_causationid").unwrap_or_default();
        let Ok(ask) = request.parse::<AskId>() else { return Ok(Vec::new()) };
        let id = self.schema(record).await?;
        let shape = self.schemas.resolve(id).await?;
        let (_, avro) = frame::split(record.value.as_deref().unwrap_or_default())?;
        let result = result(shape.decode(avro)?);
        let saga = ask.saga.clone();
        Ok(vec![self.wire.letter(&saga, &Letter::Input(Input::Reply { ask, result }))])
    }
}

/// What a reply says of a command.
fn result(reply: Fields) -> Result<Fields, Refusal> {
    let text = |name: &str| reply.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    if text("outcome") == "accepted" {
        return Ok(reply);
    }
    let code = text("error_code");
    let class = match code.as_str() {
        "state.conflict" | "state.unavailable" => Class::Unavailable,
        "state.unknown" => Class::TimedOut,
        _ => Class::Rejected,
    };
    Err(Refusal { class, doubtful: class == Class::TimedOut, message: text("message"), code })
}
