//! The same request again, whatever the reason: appended once, answered the same.

use futures::future::join_all;
use serde_json::json;
use spina_tests::world::World;

use crate::samples::{cancelled, departed, new_stream, scheduled};

#[tokio::test]
async fn a_repeated_request_gets_the_same_answer_and_another_payload_is_refused() {
    let world = World::shared().await;
    let (http, stream) = (world.http(), new_stream());
    let path = format!("/v1/{}/streams/{stream}/events", world.context.name);
    let key = format!("key-{stream}");
    let request = json!({ "expected_version": "no_stream", "events": [scheduled(), departed()] });

    let first = http.post_with_key(&path, Some(&key), &request).await;
    assert_eq!(first.status, 201, "{first:?}");
    let again = http.post_with_key(&path, Some(&key), &request).await;
    assert_eq!(again, first);

    let other = json!({ "expected_version": "any", "events": [cancelled()] });
    let refused = http.post_with_key(&path, Some(&key), &other).await;
    assert_eq!((refused.status, refused.error_code()), (422, "validation.idempotency_key"));
    let read = http.get(&path).await.unwrap().body;
    assert_eq!(read["version"], 2, "nothing was added");
}

#[tokio::test]
async fn fifty_connections_with_one_key_append_one_event() {
    let world = World::shared().await;
    let stream = new_stream();
    let path = format!("/v1/{}/streams/{stream}/events", world.context.name);
    let key = format!("key-{stream}");
    let mut event = scheduled();
    event["id"] = json!(format!("event-{stream}"));
    let request = json!({ "events": [event] });

    // A client of its own is a connection of its own.
    let clients: Vec<_> = (0..50).map(|_| world.http()).collect();
    let answers = join_all(clients.iter().map(|http| http.post_with_key(&path, Some(&key), &request))).await;

    assert_eq!(answers[0].status, 201, "{:?}", answers[0]);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(world.http().get(&path).await.unwrap().body["version"], 1);
}

#[tokio::test]
async fn the_answer_is_remembered_over_a_kill() {
    let mut world = World::with_event_store("memory").await;
    let (http, stream) = (world.http(), new_stream());
    let path = format!("/v1/{}/streams/{stream}/events", world.context.name);
    let request = json!({ "events": [scheduled()] });
    let first = http.post_with_key(&path, Some("the key"), &request).await;
    assert_eq!(first.status, 201, "{first:?}");

    world.event_store.kill();
    world.event_store.start_again();
    world.event_store.ready().await;

    let again = http.post_with_key(&path, Some("the key"), &request).await;
    assert_eq!(again, first);
    assert_eq!(http.get(&path).await.unwrap().body["version"], 1);
}
