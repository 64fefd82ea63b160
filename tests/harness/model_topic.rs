//! A read model's topic, as anybody reads it: the last record of each key.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use spina_codec::frame;
use spina_codec::registry::RegistryClient;
use spina_codec::shape::Shape;

use crate::history;
use crate::stack::Stack;

/// Rows by the text of their first key column.
pub type Rows = BTreeMap<String, Value>;

/// What the topic holds in the end. Schemas come from the registry alone.
pub async fn rows(stack: &Stack, topic: &str) -> Rows {
    let registry = RegistryClient::new(&stack.registry).unwrap();
    let mut shapes: HashMap<u32, Shape> = HashMap::new();
    let mut rows = Rows::new();
    let mut places: HashMap<String, i32> = HashMap::new();
    for record in history::committed(&stack.kafka, topic).await {
        let key = decode(&registry, &mut shapes, record.key.as_deref().unwrap()).await;
        let key = key.as_object().unwrap().values().next().unwrap();
        let key = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
        let place = *places.entry(key.clone()).or_insert(record.partition);
        assert_eq!(place, record.partition, "{key} is in two partitions");
        match record.value.as_deref() {
            Some(value) => _ = rows.insert(key, decode(&registry, &mut shapes, value).await),
            None => _ = rows.remove(&key),
        }
    }
    rows
}

async fn decode(registry: &RegistryClient, shapes: &mut HashMap<u32, Shape>, framed: &[u8]) -> Value {
    let (id, avro) = frame::split(framed).unwrap();
    let shape = match shapes.entry(id) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(unknown) => {
            let schema = registry.schema_by_id(id).await.unwrap().expect("the schema is registered");
            unknown.insert(Shape::compile(&schema).unwrap())
        }
    };
    Value::Object(shape.decode(avro).unwrap())
}
