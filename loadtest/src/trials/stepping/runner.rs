//! Who is asked: takes every command and says yes, as the event-store would, in a bare transaction with the offsets.

use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use serde_json::Value;
use spina_codec::frame;
use spina_codec::headers::{CE_ID, Headers};
use spina_codec::registry::{RegistryClient, subject};
use spina_codec::shape::Shape;
use spina_log::{Fetched, NewRecord};

use super::floor::hop;
use crate::bench::Bench;
use crate::trials::hop::Hop;

/// Header that names what a reply is to.
pub const CAUSE: &str = "ce_causationid";

/// How replies are written.
#[derive(Clone)]
pub struct Runner {
    schema_id: u32,
    shape: Arc<Shape>,
}

impl Runner {
    /// Asks the registry for the reply's schema.
    pub async fn load(bench: &Bench, replies_topic: &str) -> anyhow::Result<Self> {
        let name = subject(replies_topic, "spina.Reply");
        let found = RegistryClient::new(&bench.servers.registry)?.latest(&name).await?;
        let found = found.with_context(|| format!("find {name}"))?;
        Ok(Self { schema_id: found.id, shape: Arc::new(Shape::compile(&found.schema)?) })
    }

    /// The hop from commands to replies.
    pub fn hop(&self, group: &str, commands: &str, replies: &str) -> Hop {
        let (runner, replies): (_, Arc<str>) = (self.clone(), replies.into());
        let make = Arc::new(move |command| Ok(vec![runner.reply(&command, &replies)?]));
        hop(group, commands, make)
    }

    fn reply(&self, command: &Fetched, topic: &Arc<str>) -> anyhow::Result<NewRecord> {
        let request = command.headers.get_str(CE_ID).context("a command has an id")?;
        let key = command.key.clone().context("a command has a key")?;
        let fields = [
            ("request_id", Value::from(request)),
            ("stream", Value::from(std::str::from_utf8(&key)?)),
            ("outcome", Value::from("accepted")),
            ("version", Value::from(1)),
            ("error_code", Value::Null),
            ("message", Value::Null),
        ];
        let avro = self.shape.encode(&fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())?;
        let mut headers = Headers::default();
        headers.push("ce_type", Some(b"spina.Reply"));
        headers.push(CAUSE, Some(request.as_bytes()));
        let (topic, value) = (Arc::clone(topic), Some(Bytes::from(frame::frame(self.schema_id, &avro))));
        Ok(NewRecord { topic, partition: command.partition, key, value, headers, timestamp_ms: None })
    }
}
