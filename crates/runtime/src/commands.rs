//! Commands that a service asks of contexts, as records of their commands topics.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};
use spina_codec::partitioner::partition_for;
use spina_codec::{Headers, SchemaCache};
use spina_log::{NewRecord, names};
use spina_rules::context::ContextDef;

use crate::written::{Written, missing};

/// A command's record.
#[derive(Debug)]
struct CommandType {
    written: Written,
    topic: Arc<str>,
    partitions: i32,
    ce_type: String,
}

/// Why a command is asked.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// Its `ce_id`, by which the event-store knows it when it comes again.
    pub id: &'a str,
    /// What it is part of: `ce_correlationid`.
    pub correlation: &'a str,
    /// What led to it: `ce_causationid`.
    pub causation: &'a str,
}

/// Encodes commands.
#[derive(Debug)]
pub struct Commands {
    source: &'static str,
    /// By `<context>.<Command>`; an error says why that one cannot be asked.
    types: BTreeMap<String, Result<CommandType, String>>,
}

impl Commands {
    /// Asks the registry for the latest schemas of some commands; `source` is who asks them, as `ce_source`. One that is not
    /// registered is remembered as such.
    ///
    /// # Errors
    /// When the registry does not answer.
    pub async fn load(
        source: &'static str,
        named: &[(&ContextDef, &str)],
        schemas: &SchemaCache,
    ) -> anyhow::Result<Self> {
        let mut types = BTreeMap::new();
        for (context, command) in named {
            let (topic, record) = (names::commands_topic(&context.name), context.record_name(command));
            let written = Written::find(schemas, &topic, &record).await?;
            let found = written.map(|written| CommandType::of(context, command, written));
            let name = format!("{}.{command}", context.name);
            types.insert(name, found.ok_or_else(|| missing(&topic, &record)));
        }
        Ok(Self { source, types })
    }

    /// Makes sure that a command can be asked.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn require(&self, command: &str) -> anyhow::Result<()> {
        self.known(command).map(|_| ()).map_err(anyhow::Error::msg)
    }

    /// The record that asks a command, `<context>.<Command>`, of a stream.
    ///
    /// # Errors
    /// When there is no such command, or the fields do not fit.
    pub fn record(
        &self,
        command: &str,
        stream: &str,
        fields: &Map<String, Value>,
        asking: Asking<'_>,
    ) -> Result<NewRecord, String> {
        let known = self.known(command)?;
        let value = known.written.framed(fields)?;
        let mut headers = Headers::default();
        for (name, value) in [
            ("ce_specversion", "1.0"),
            ("ce_type", known.ce_type.as_str()),
            ("ce_source", self.source),
            ("ce_id", asking.id),
            ("ce_correlationid", asking.correlation),
            ("ce_causationid", asking.causation),
        ] {
            headers.push(name, Some(value.as_bytes()));
        }
        Ok(NewRecord {
            topic: Arc::clone(&known.topic),
            partition: partition_for(stream.as_bytes(), known.partitions),
            key: Bytes::copy_from_slice(stream.as_bytes()),
            value: Some(value),
            headers,
            timestamp_ms: None,
        })
    }

    fn known(&self, command: &str) -> Result<&CommandType, String> {
        let known = self.types.get(command).ok_or_else(|| format!("there is no command {command}"))?;
        known.as_ref().map_err(Clone::clone)
    }
}

impl CommandType {
    fn of(context: &ContextDef, command: &str, written: Written) -> Self {
        let aggregate = context.commands().find(|(_, known)| known.name.value == command);
        let aggregate = aggregate.map_or("", |(aggregate, _)| aggregate.name.as_str());
        Self {
            written,
            topic: names::commands_topic(&context.name).into(),
            partitions: *context.partitions,
            ce_type: format!("{}.{aggregate}.{command}", context.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;
    use spina_codec::frame;
    use spina_codec::shape::Shape;
    use spina_rules::context::load_all;

    use super::*;

    const ASKING: Asking<'_> = Asking { id: "i7/3/1", correlation: "i7", causation: "i7/3" };

    /// What the shipped bookings take, as if one command were not registered.
    fn commands() -> Commands {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let contexts = load_all(&root.join("topology")).unwrap();
        let booking = contexts.iter().find(|context| context.name.as_str() == "booking").unwrap();
        let text = std::fs::read_to_string(root.join("schemas/booking/HoldSeats.avsc")).unwrap();
        let written = Written { schema_id: 7, shape: Arc::new(Shape::compile(&text).unwrap()) };
        let hold = CommandType::of(booking, "HoldSeats", written);
        let lacking = missing("booking.commands.v1", "booking.ReleaseSeats");
        let types = [("booking.HoldSeats", Ok(hold)), ("booking.ReleaseSeats", Err(lacking))];
        Commands { source: "/spina/test", types: types.map(|(name, found)| (name.to_owned(), found)).into() }
    }

    #[test]
    fn a_command_is_a_record_of_its_contexts_topic() {
        let fields = json!({ "seats": 2, "reservation": "r-1" });
        let record = commands().record("booking.HoldSeats", "seats-F1", fields.as_object().unwrap(), ASKING).unwrap();
        assert_eq!((&*record.topic, &record.key[..]), ("booking.commands.v1", &b"seats-F1"[..]));
        let told = ["ce_type", "ce_source", "ce_id", "ce_correlationid", "ce_causationid"]
            .map(|name| record.headers.get_str(name).unwrap());
        assert_eq!(told, ["booking.seats.HoldSeats", "/spina/test", "i7/3/1", "i7", "i7/3"]);
        assert_eq!(frame::split(&record.value.unwrap()).unwrap().0, 7);
    }

    #[test]
    fn what_cannot_be_asked_says_why() {
        let commands = commands();
        let none = Map::new();
        let why = |command: &str| commands.record(command, "seats-F1", &none, ASKING).unwrap_err();
        assert_eq!(why("booking.HoldSeat"), "there is no command booking.HoldSeat");
        assert!(why("booking.HoldSeats").contains("seats"), "{}", why("booking.HoldSeats"));
        let lacking = "subject booking.commands.v1-booking.ReleaseSeats is missing: run `spina topology apply`";
        assert_eq!(why("booking.ReleaseSeats"), lacking);
        assert_eq!(commands.require("booking.ReleaseSeats").unwrap_err().to_string(), lacking);
        commands.require("booking.HoldSeats").unwrap();
    }
}
