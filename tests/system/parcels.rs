//! A context whose models fail on some events: parcels.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use spina_tests::context::Context;
use spina_tests::eventually;
use spina_tests::http::Http;
use spina_tests::service::Service;
use spina_tests::stack::{Stack, root};
use spina_tests::world::World;

/// Event-store and projector with parcels.
pub async fn parcels(prefix: &str) -> World {
    let stack = Stack::get();
    let context = Context::like(&stack, prefix, &root().join("tests/contexts/parcels"), "parcels");
    let mut event_store = Service::start(&stack, "event-store", &context);
    let mut projector = Service::start(&stack, "projector", &context);
    event_store.ready().await;
    projector.ready().await;
    World { stack, context, event_store, projector: Some(projector) }
}

pub fn weighed(depot: &str, grams: i64, pieces: u32) -> Value {
    json!({ "type": "ParcelWeighed", "data": { "depot": depot, "grams": grams, "pieces": pieces } })
}

pub fn moved(depot: &str) -> Value {
    json!({ "type": "ParcelMoved", "data": { "depot": depot } })
}

pub async fn append(world: &World, stream: &str, events: Vec<Value>) {
    let answer = world.http().append(&world.context.name, stream, "any", Value::from(events)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

pub fn projector(world: &World) -> Http {
    Http::new(&world.projector.as_ref().unwrap().url)
}

/// The projection once it has taken in all there is.
pub async fn caught_up(world: &World, model: &str) -> Value {
    let (http, path) = (projector(world), format!("/v1/projections/{}/{model}", world.context.name));
    eventually(&format!("{model} has caught up"), async || {
        let seen = http.get(&path).await.ok()?.body;
        (seen["caught_up"] == true).then_some(seen)
    })
    .await
}

/// All rows of a model by key.
pub async fn rows(world: &World, model: &str) -> BTreeMap<String, Value> {
    let (http, mut found, mut cursor) = (projector(world), BTreeMap::new(), String::new());
    loop {
        let path = format!("/v1/{}/models/{model}?limit=1000{cursor}", world.context.name);
        let page = http.get(&path).await.unwrap();
        assert_eq!(page.status, 200, "{page:?}");
        for row in page.body["rows"].as_array().unwrap() {
            let key = row[if model == "depot_load" { "depot" } else { "stream" }].as_str().unwrap();
            found.insert(key.to_owned(), row.clone());
        }
        match page.body["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

/// The letters of a model by number.
pub fn letters(world: &World, model: &str) -> Vec<Value> {
    let name = format!("{}/{model}", world.context.name);
    let page = world.spina().args(["dead-letter", "list", &name, "--limit", "1000"]).json();
    page["letters"].as_array().unwrap().clone()
}

/// Rebuilds a model with the command line.
pub fn rebuild(world: &World, model: &str) -> Value {
    world.spina().args(["projection", "rebuild", &format!("{}/{model}", world.context.name)]).json()
}
