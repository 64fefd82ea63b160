//! Answers to commands, as any Kafka client reads them.

use serde_json::Value;
use spina_tests::world::World;
use spina_tests::{eventually, history};

/// The replies to a stream's commands in order, once there are so many.
pub async fn replies(world: &World, stream: &str, count: usize) -> Vec<Value> {
    replies_where(world, count, |key, _| key == stream.as_bytes()).await
}

/// The replies with that key and content, once there are so many.
pub async fn replies_where(world: &World, count: usize, wanted: impl Fn(&[u8], &Value) -> bool) -> Vec<Value> {
    let schemas = spina_codec::SchemaCache::new(spina_codec::RegistryClient::new(&world.stack.registry).unwrap());
    let topic = world.context.replies_topic();
    eventually(&format!("{count} replies"), async || {
        let mut found = Vec::new();
        for record in history::committed(&world.stack.kafka, &topic).await {
            let (id, avro) = spina_codec::frame::split(record.value.as_deref().unwrap()).unwrap();
            let reply = Value::Object(schemas.resolve(id).await.unwrap().decode(avro).unwrap());
            if wanted(record.key.as_deref().unwrap_or_default(), &reply) {
                found.push(reply);
            }
        }
        (found.len() >= count).then_some(found)
    })
    .await
}

/// Outcome and code.
pub fn brief(reply: &Value) -> String {
    let code = reply["error_code"].as_str().unwrap_or_default();
    format!("{} {code}", reply["outcome"].as_str().unwrap()).trim().to_owned()
}
