//! What the gate appends: its own context, and events whose payload is known to the byte before they are sent.

use std::fs;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use spina_codec::frame::frame;
use spina_codec::registry::{RegistryClient, subject};
use spina_codec::shape::Shape;
use spina_testkit::history::{Payload, payload_hash};

use crate::context::Context;
use crate::spina::Spina;
use crate::stack::{Stack, root};

/// Declares and applies a context of the gate, with so many partitions.
pub fn declare(stack: &Stack, prefix: &str, partitions: i32) -> Context {
    let name = format!("{prefix}{}", &uuid::Uuid::new_v4().simple().to_string()[..6]);
    let folder = stack.folder(&name);
    let context = Context { topology_dir: folder.join("topology"), schemas_dir: folder.join("schemas"), name };
    let declared = root().join("tests/gate/declared");
    let put = |file: &str, to: &std::path::Path| {
        let text = fs::read_to_string(declared.join(file)).unwrap();
        let text = text.replace("context: gate", &format!("context: {}", context.name));
        let text = text.replace("partitions: 12", &format!("partitions: {partitions}"));
        let text = text.replace("\"namespace\": \"gate\"", &format!("\"namespace\": \"{}\"", context.name));
        fs::create_dir_all(to).unwrap();
        fs::write(to.join(file), text).unwrap();
    };
    let (topology, schemas) = (context.topology_dir.join(&context.name), context.schemas_dir.join(&context.name));
    ["context.yaml", "projections.yaml"].iter().for_each(|file| put(file, &topology));
    ["Noted.avsc", "Loaded.avsc"].iter().for_each(|file| put(file, &schemas));
    let spina = context.schemas_dir.join("spina");
    fs::create_dir_all(&spina).unwrap();
    for entry in fs::read_dir(root().join("schemas/spina")).unwrap() {
        let file = entry.unwrap();
        fs::copy(file.path(), spina.join(file.file_name())).unwrap();
    }
    let mut apply = Spina::of(stack).args(["topology", "apply", "--topology-dir"]).arg(&context.topology_dir);
    apply = apply.arg("--schemas-dir").arg(&context.schemas_dir);
    apply.succeeds();
    context
}

/// Which of the two types of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `Noted`, of streams `note-…`.
    Note,
    /// `Loaded`, of streams `bulk-…`.
    Bulk,
}

/// An event to be appended.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Its id and the hash of its payload.
    pub payload: Payload,
    /// Its fields.
    pub data: Map<String, Value>,
    kind: Kind,
}

impl Draft {
    /// As the API takes it.
    pub fn json(&self) -> Value {
        json!({ "type": self.kind.name(), "data": self.data, "id": self.payload.id })
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Note => "Noted",
            Self::Bulk => "Loaded",
        }
    }

    fn aggregate(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Bulk => "bulk",
        }
    }
}

/// Makes events. It encodes them as the event-store must.
#[derive(Debug)]
pub struct Events {
    context: String,
    types: [(Kind, u32, Shape); 2],
    command_schema_id: u32,
    reply: Arc<Shape>,
}

impl Events {
    /// Asks the registry for the schemas.
    pub async fn of(stack: &Stack, context: &Context) -> Self {
        let registry = RegistryClient::new(&stack.registry).unwrap();
        let latest = async |topic: String, record: String| {
            let found = registry.latest(&subject(&topic, &record)).await.unwrap().expect("the schema is applied");
            (found.id, Shape::compile(&found.schema).unwrap())
        };
        let record = |kind: Kind| format!("{}.{}", context.name, kind.name());
        let (note, note_shape) = latest(context.events_topic(), record(Kind::Note)).await;
        let (bulk, bulk_shape) = latest(context.events_topic(), record(Kind::Bulk)).await;
        let (command_schema_id, _) = latest(context.commands_topic(), record(Kind::Note)).await;
        let (_, reply) = latest(context.replies_topic(), "spina.Reply".to_owned()).await;
        let types = [(Kind::Note, note, note_shape), (Kind::Bulk, bulk, bulk_shape)];
        Self { context: context.name.clone(), types, command_schema_id, reply: Arc::new(reply) }
    }

    /// The `n`th event of a client.
    pub fn draft(&self, kind: Kind, client: u32, n: u64, id: String) -> Draft {
        let fields = [("client", Value::from(client)), ("n", Value::from(n)), ("text", Value::from(words(n)))];
        let data: Map<String, Value> = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let (_, schema_id, shape) = self.types.iter().find(|(of, ..)| *of == kind).expect("both kinds are there");
        let value = frame(*schema_id, &shape.encode(&data).unwrap());
        let event_type = format!("{}.{}.{}", self.context, kind.aggregate(), kind.name());
        Draft { payload: Payload { id, hash: payload_hash(&event_type, &value) }, data, kind }
    }

    /// The value of a command that asks for an event.
    pub fn command(&self, draft: &Draft) -> Bytes {
        frame(self.command_schema_id, &self.types[0].2.encode(&draft.data).unwrap()).into()
    }

    /// The fields of an event's value.
    pub fn decode(&self, value: &[u8]) -> Map<String, Value> {
        let (schema_id, avro) = spina_codec::frame::split(value).unwrap();
        let (_, _, shape) = self.types.iter().find(|(_, id, _)| *id == schema_id).expect("it has one of our schemas");
        shape.decode(avro).unwrap()
    }

    /// The fields of a reply.
    pub fn reply(&self, value: &[u8]) -> Map<String, Value> {
        let (_, avro) = spina_codec::frame::split(value).unwrap();
        self.reply.decode(avro).unwrap()
    }
}

/// Some text of changing length.
fn words(n: u64) -> String {
    "spina ".repeat((n % 7 + 1) as usize)
}
