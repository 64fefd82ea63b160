//! Nasty case 10: one request, many times: at once, with another payload, after a restart, after a move to another
//! process, and when it was forgotten: over HTTP and through the commands topic.

use std::fs;

use futures::future::join_all;
use serde_json::{Value, json};
use spina_tests::context::Context;
use spina_tests::history;
use spina_tests::http::{Answer, Http};
use spina_tests::service::Service;
use spina_tests::tools::kcat_produce;
use spina_tests::world::World;

use crate::replies::{brief, replies};
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

/// A process of which each partition remembers two requests.
async fn forgetful(prefix: &str) -> World {
    World::with_settings(prefix, &[("SPINA_REQUESTS_MAX", "2")]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nasty_10_beyond_the_window_an_exact_version_recognises_its_own_events() {
    let mut world = forgetful("nasty10w").await;
    let (http, stream) = (world.http(), new_stream());
    let path = format!("/v1/{}/streams/{stream}/events", world.context.name);
    let request = |expected: Value| json!({ "expected_version": expected, "events": [scheduled(), departed()] });
    let requests = [("the first", request(json!("no_stream"))), ("the second", request(json!(2)))];
    let mut answers = Vec::new();
    for (key, request) in &requests {
        let answer = http.post_with_key(&path, Some(key), request).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answers.push(answer);
    }
    forget(&http, &world.context, &stream).await;

    for killed in [false, true] {
        if killed {
            world.event_store.kill();
            world.event_store.start_again();
            world.event_store.ready().await;
        }
        for ((key, request), first) in requests.iter().zip(&answers) {
            let repeats = at_once(&world.event_store.url, &path, key, request).await;
            assert!(repeats.iter().all(|answer| answer == first), "{first:?}, then {repeats:?}");
            let other = json!({ "expected_version": request["expected_version"], "events": [cancelled()] });
            let refused = http.post_with_key(&path, Some(key), &other).await;
            assert_eq!((refused.status, refused.error_code()), (422, "validation.idempotency_key"), "{refused:?}");
            let stranger = http.post_with_key(&path, Some("somebody else's"), request).await;
            assert_eq!((stranger.status, stranger.error_code()), (409, "state.conflict"), "{stranger:?}");
        }
    }
    let log = history::events(&world.stack.kafka, &world.context.events_topic()).await;
    history::assert_sound(&log);
    assert_eq!(log.len(), 8, "its own four and four that followed");
}

#[tokio::test(flavor = "multi_thread")]
async fn nasty_10_beyond_the_window_who_expects_nothing_appends_again() {
    let world = forgetful("nasty10a").await;
    let (http, stream) = (world.http(), new_stream());
    let path = format!("/v1/{}/streams/{stream}/events", world.context.name);
    let request = json!({ "expected_version": "any", "events": [departed()] });
    let first = http.post_with_key(&path, Some("the request"), &request).await;
    assert_eq!(first.status, 201, "{first:?}");
    assert_eq!(http.post_with_key(&path, Some("the request"), &request).await, first, "it is remembered");
    forget(&http, &world.context, &stream).await;
    let again = http.post_with_key(&path, Some("the request"), &request).await;
    assert_eq!((again.status, &again.body["version"]), (201, &json!(6)), "as the documentation says: {again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nasty_10_beyond_the_window_a_published_record_is_recognised_too() {
    let world = forgetful("nasty10c").await;
    let (http, stream) = (world.http(), new_stream());
    let folder = world.stack.folder(&stream);
    let publish = |id: &str, carrier: &str| {
        let headers = [("ce_id", id), ("ce_type", "FlightCancelled"), ("spina-expected-version", "no_stream")];
        let mut event = cancelled()["data"].take();
        event["carrier"] = json!(carrier);
        let file = folder.join("event");
        fs::write(&file, event.to_string()).unwrap();
        kcat_produce(&world.stack, &world.context.commands_topic(), &stream, &headers, &file, &[]);
    };
    publish("the command", "UA");
    assert_eq!(brief(&replies(&world, &stream, 1).await[0]), "accepted");
    forget(&http, &world.context, &stream).await;

    publish("the command", "UA");
    publish("the command", "AA");
    publish("another", "UA");
    let told = replies(&world, &stream, 4).await;
    let outcomes: Vec<String> = told[1..].iter().map(brief).collect();
    assert_eq!(outcomes, ["accepted", "rejected validation.idempotency_key", "conflict state.conflict"]);
    assert_eq!(told[1], told[0], "a repeat has the same answer");
    let read = http.get(&format!("/v1/{}/streams/{stream}/events", world.context.name)).await.unwrap().body;
    assert_eq!(read["version"], 5, "its own and four that followed: {read}");
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
