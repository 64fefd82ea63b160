//! Nasty case 10: one request, many times: at once, with another payload, after a restart, after a move to another
//! process, and when it was forgotten.

use futures::future::join_all;
use serde_json::{Value, json};
use spina_tests::context::Context;
use spina_tests::history;
use spina_tests::http::{Answer, Http};
use spina_tests::service::Service;
use spina_tests::world::World;

use crate::samples::{cancelled, departed, new_stream, scheduled};

const CONNECTIONS: usize = 50;

/// One request, by connections of their own, at once.
async fn at_once(url: &str, path: &str, key: &str, request: &Value) -> Vec<Answer> {
    let clients: Vec<Http> = (0..CONNECTIONS).map(|_| Http::new(url)).collect();
    join_all(clients.iter().map(|http| http.post_with_key(path, Some(key), request))).await
}

async fn assert_refused(url: &str, path: &str, key: &str) {
    let other = json!({ "expected_version": "any", "events": [cancelled()] });
    let refused = Http::new(url).post_with_key(path, Some(key), &other).await;
    assert_eq!((refused.status, refused.error_code()), (422, "validation.idempotency_key"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nasty_10_one_request_is_appended_once_at_once_after_a_restart_and_after_a_move() {
    let mut world = World::with_event_store("nasty10").await;
    let stream = new_stream();
    let (path, key) = (format!("/v1/{}/streams/{stream}/events", world.context.name), "the request");
    let mut events = [scheduled(), departed()];
    for (index, event) in events.iter_mut().enumerate() {
        event["id"] = json!(format!("{stream}-{index}"));
    }
    let request = json!({ "expected_version": "no_stream", "events": events });

    let answers = at_once(&world.event_store.url, &path, key, &request).await;
    let first = &answers[0];
    assert_eq!((first.status, &first.body["version"]), (201, &json!(2)), "{first:?}");
    assert!(answers.iter().all(|answer| answer == first), "{answers:?}");
    assert_refused(&world.event_store.url, &path, key).await;

    world.event_store.kill();
    world.event_store.start_again();
    world.event_store.ready().await;
    let answers = at_once(&world.event_store.url, &path, key, &request).await;
    assert!(answers.iter().all(|answer| answer == first), "{answers:?}");
    assert_refused(&world.event_store.url, &path, key).await;

    let heir = move_to_another(&mut world).await;
    let answers = at_once(&heir.url, &path, key, &request).await;
    assert!(answers.iter().all(|answer| answer == first), "{answers:?}");
    assert_refused(&heir.url, &path, key).await;

    let log = history::events(&world.stack.kafka, &world.context.events_topic()).await;
    history::assert_sound(&log);
    assert_eq!(log.len(), 2);
}

/// Stops the event-store for good; another process of another name takes its partitions.
async fn move_to_another(world: &mut World) -> Service {
    let (status, _) = world.event_store.stop().await;
    assert!(status.success(), "{status}");
    let settings = [("SPINA_INSTANCE", "event-store-2")];
    let mut heir = Service::start_with(&world.stack, "event-store", &world.context, &settings);
    heir.ready().await;
    heir
}

#[tokio::test(flavor = "multi_thread")]
async fn nasty_10_beyond_the_window_an_expected_version_still_appends_once() {
    // Two requests are remembered by each partition.
    let world = World::with_settings("nasty10w", &[("SPINA_REQUESTS_MAX", "2")]).await;
    let (http, stream) = (world.http(), new_stream());
    let path = format!("/v1/{}/streams/{stream}/events", world.context.name);
    let mut event = scheduled();
    event["id"] = json!(format!("{stream}-1"));
    let request = json!({ "expected_version": "no_stream", "events": [event] });
    let first = http.post_with_key(&path, Some("the request"), &request).await;
    assert_eq!(first.status, 201, "{first:?}");
    forget(&http, &world.context, &stream).await;

    // It is forgotten: the same events with the same exact expectation are recognised, or refused; never there twice.
    for answer in at_once(&world.event_store.url, &path, "the request", &request).await {
        match answer.status {
            201 => assert_eq!((&answer.body["version"], &answer.body["events"]), (&json!(1), &first.body["events"])),
            _ => assert_eq!((answer.status, answer.error_code()), (409, "state.conflict"), "{answer:?}"),
        }
    }
    let log = history::events(&world.stack.kafka, &world.context.events_topic()).await;
    history::assert_sound(&log);
    assert_eq!(log.iter().filter(|event| event.stream.as_str() == stream).count(), 5, "its own and four that followed");
}

/// Makes the stream's partition forget what came before: with other requests to the same stream.
async fn forget(http: &Http, context: &Context, stream: &str) {
    let path = format!("/v1/{}/streams/{stream}/events", context.name);
    for number in 0..4 {
        let request = json!({ "expected_version": "any", "events": [departed()] });
        let answer = http.post_with_key(&path, Some(&format!("{stream} another {number}")), &request).await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }
}
