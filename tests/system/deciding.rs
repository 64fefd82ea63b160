//! Commands decided by the rules of `context.yaml`, over HTTP and through the commands topic.

use futures::future::join_all;
use serde_json::{Value, json};
use spina_tests::context::Context;
use spina_tests::history;
use spina_tests::http::{Answer, Http};
use spina_tests::service::Service;
use spina_tests::stack::{Stack, root};
use spina_tests::world::World;

use crate::kafka_clients::{produce, schema};
use crate::replies::replies;

/// An event-store with a theatre.
async fn theatre(prefix: &str) -> World {
    let stack = Stack::get();
    let context = Context::like(&stack, prefix, &root().join("tests/contexts/theatre"), "theatre");
    let mut event_store = Service::start(&stack, "event-store", &context);
    event_store.ready().await;
    World { stack, context, event_store, projector: None }
}

async fn send(world: &World, http: &Http, key: Option<&str>, stream: &str, command: (&str, Value)) -> Answer {
    let body = json!({ "stream": stream, "type": command.0, "data": command.1 });
    http.post_with_key(&format!("/v1/{}/commands", world.context.name), key, &body).await
}

fn schedule(seats: u32) -> (&'static str, Value) {
    ("ScheduleShow", json!({ "title": "Faust", "seats": seats }))
}

fn reserve(seats: u32) -> (&'static str, Value) {
    ("ReserveSeats", json!({ "seats": seats }))
}

async fn state(world: &World, stream: &str) -> Value {
    world.http().get(&format!("/v1/{}/streams/{stream}", world.context.name)).await.unwrap().body
}

#[tokio::test]
async fn a_command_leads_to_events_a_rejection_or_nothing() {
    let world = theatre("rules").await;
    let http = world.http();
    let unknown = send(&world, &http, None, "show-1", reserve(1)).await;
    assert_eq!((unknown.status, unknown.error_code()), (422, "show.unknown"), "{unknown:?}");
    assert_eq!(unknown.body["message"], "there is no show 1");

    let scheduled = send(&world, &http, Some("s"), "show-1", schedule(3)).await;
    assert_eq!(scheduled.status, 201, "{scheduled:?}");
    let event = &scheduled.body["events"][0];
    assert_eq!(event["type"], format!("{}.show.ShowScheduled", world.context.name));
    assert_eq!((&event["data"], &event["causation_id"]), (&json!({"title": "Faust", "seats": 3}), &json!("s")));

    let too_many = send(&world, &http, None, "show-1", reserve(4)).await;
    assert_eq!((too_many.error_code(), &too_many.body["message"]), ("seats.none_left", &json!("only 3 are left")));
    let nothing = send(&world, &http, None, "show-1", reserve(0)).await;
    assert_eq!((nothing.status, &nothing.body["version"], &nothing.body["events"]), (201, &json!(1), &json!([])));
    let sold_out = send(&world, &http, None, "show-1", reserve(3)).await;
    assert_eq!(
        (&sold_out.body["version"], &sold_out.body["events"][1]["version"]),
        (&json!(3), &json!(3)),
        "{sold_out:?}"
    );
    let state = state(&world, "show-1").await;
    assert_eq!(state["state"], json!({"title": "Faust", "seats_left": 0, "status": "SoldOut"}), "{state}");

    let wrong = send(&world, &http, None, "show-1", ("ReserveSeats", json!({ "seats": "two" }))).await;
    assert_eq!((wrong.status, wrong.error_code()), (422, "validation.type"), "{wrong:?}");
    let event = send(&world, &http, None, "show-1", ("SoldOut", json!({}))).await;
    assert_eq!((event.status, event.error_code()), (422, "validation.unknown_type"), "{event:?}");
}

#[tokio::test]
async fn no_seat_is_sold_twice_however_many_ask_at_once() {
    let world = theatre("rush").await;
    assert_eq!(send(&world, &world.http(), None, "show-1", schedule(20)).await.status, 201);
    let clients: Vec<Http> = (0..50).map(|_| world.http()).collect();
    let answers = join_all(clients.iter().map(|http| send(&world, http, None, "show-1", reserve(1)))).await;
    let sold = answers.iter().filter(|answer| answer.status == 201).count();
    let refused = answers.iter().filter(|answer| answer.error_code() == "seats.none_left").count();
    assert_eq!((sold, refused), (20, 30), "{answers:?}");
    let log = history::events(&world.stack.kafka, &world.context.events_topic()).await;
    history::assert_sound(&log);
    assert_eq!(log.len(), 1 + 20 + 1, "scheduled, reserved, sold out");
}

#[tokio::test]
async fn a_repeat_gets_the_same_answer_though_it_would_be_decided_otherwise_now() {
    let mut world = theatre("again").await;
    let http = world.http();
    assert_eq!(send(&world, &http, None, "show-1", schedule(2)).await.status, 201);
    let first = send(&world, &http, Some("the key"), "show-1", reserve(2)).await;
    assert_eq!(first.status, 201, "{first:?}");
    for killed in [false, true] {
        if killed {
            world.event_store.kill();
            world.event_store.start_again();
            world.event_store.ready().await;
        }
        let again = send(&world, &http, Some("the key"), "show-1", reserve(2)).await;
        assert_eq!(again, first, "killed: {killed}");
        let other = send(&world, &http, Some("the key"), "show-1", reserve(1)).await;
        assert_eq!(other.error_code(), "validation.idempotency_key", "killed: {killed}, {other:?}");
        let new = send(&world, &http, Some("another key"), "show-1", reserve(2)).await;
        assert_eq!(new.error_code(), "seats.none_left", "killed: {killed}, {new:?}");
    }
    assert_eq!(state(&world, "show-1").await["version"], 3);
}

#[tokio::test]
async fn any_kafka_client_sends_commands_and_reads_what_became_of_them() {
    let world = theatre("topic").await;
    let stream = format!("show-{}", world.context.name);
    assert_eq!(send(&world, &world.http(), None, &stream, schedule(3)).await.status, 201);
    let schema_id = schema(&world, &world.context.commands_topic(), "ReserveSeats").await;
    let reserve = |seats: u8| [vec![0], schema_id.to_be_bytes().to_vec(), vec![seats * 2]].concat();
    for (id, seats) in [("a", 2), ("b", 2), ("a", 2), ("a", 1), ("c", 1)] {
        produce(&world, &stream, &[("ce_id", id)], &reserve(seats), &[]);
    }
    let brief = |reply: &Value| format!("{} {} {}", reply["outcome"], reply["version"], reply["error_code"]);
    let replies: Vec<String> = replies(&world, &stream, 5).await.iter().map(brief).collect();
    let accepted = |version: u64| format!("\"accepted\" {version} null");
    let rejected = |code: &str| format!("\"rejected\" null \"{code}\"");
    let expected =
        [accepted(2), rejected("seats.none_left"), accepted(2), rejected("validation.idempotency_key"), accepted(4)];
    assert_eq!(replies, expected);
}
