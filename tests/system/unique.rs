//! Unique values: over HTTP, as commands and imports, across two processes, through kills.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::{join, join_all};
use serde_json::{Value, json};
use spina_tests::context::Context;
use spina_tests::fleet::Fleet;
use spina_tests::http::{Answer, Http};
use spina_tests::service::Service;
use spina_tests::stack::{Stack, root};
use spina_tests::world::World;
use spina_tests::{PATIENCE, eventually, eventually_within, history};

use crate::kafka_clients::produce;
use crate::replies::{brief, replies};

const VALUES: usize = 20;
const APPENDS: usize = 200;

fn members(stack: &Stack, prefix: &str) -> Context {
    Context::like(stack, prefix, &root().join("tests/contexts/members"), "members")
}

/// An event-store with a club, in which something is armed.
async fn club(prefix: &str, failpoints: Option<&str>) -> World {
    let stack = Stack::get();
    let context = members(&stack, prefix);
    let armed = failpoints.map(|armed| ("SPINA_FAILPOINTS", armed));
    let mut event_store = Service::start_with(&stack, "event-store", &context, armed.as_slice());
    event_store.ready().await;
    World { stack, context, event_store, projector: None }
}

fn joined(email: &str) -> Value {
    json!({ "type": "MemberJoined", "data": { "name": "N", "email": email } })
}

fn changed(email: &str) -> Value {
    json!({ "type": "EmailChanged", "data": { "email": email } })
}

/// Asks until it is certain what became of an append.
async fn append(clients: &[Http], context: &str, key: &str, stream: &str, event: Value) -> Answer {
    let path = format!("/v1/{context}/streams/{stream}/events");
    let body = json!({ "events": [event] });
    let mut turn = 0;
    eventually_within(PATIENCE * 3, &format!("the append to {stream} is certain"), async || {
        turn += 1;
        let answer = clients[turn % clients.len()].try_post_with_key(&path, Some(key), &body).await.ok()?;
        (![429, 503, 504].contains(&answer.status)).then_some(answer)
    })
    .await
}

fn holder(answer: &Answer) -> Option<&str> {
    assert_eq!((answer.status, answer.error_code()), (409, "state.value_taken"), "{answer:?}");
    assert_eq!(answer.body["details"]["field"], "email");
    answer.body["details"]["holder"].as_str()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_value_has_one_holder_among_two_event_stores_that_are_killed() {
    let stack = Stack::get();
    let context = members(&stack, "unique");
    let mut fleet = Fleet::serving(stack, context, 2, &[]).await;
    let (context, certain) = (fleet.context.name.clone(), AtomicUsize::new(0));
    let stores = [fleet.http(0), fleet.http(1)];
    let clients: Vec<[Http; 2]> = (0..APPENDS).map(|n| [stores[n % 2].clone(), stores[(n + 1) % 2].clone()]).collect();
    let (context, certain) = (&context, &certain);
    let appends = clients.iter().enumerate().map(|(n, clients)| async move {
        let (key, stream, email) = (format!("key-{n}"), format!("member-{n}"), format!("{}@club", n % VALUES));
        let answer = append(clients, context, &key, &stream, joined(&email)).await;
        certain.fetch_add(1, Ordering::Relaxed);
        answer
    });
    let kills = async {
        for store in 0..2 {
            eventually("some appends are certain", async || {
                (certain.load(Ordering::Relaxed) > 5 + 60 * store).then_some(())
            })
            .await;
            fleet.stores[store].kill();
            fleet.stores[store].start_again();
            fleet.stores[store].ready().await;
        }
    };
    let (answers, ()) = join(join_all(appends), kills).await;

    let mut holders = vec![None; VALUES];
    for (n, answer) in answers.iter().enumerate().filter(|(_, answer)| answer.status == 201) {
        assert_eq!(holders[n % VALUES].replace(format!("member-{n}")), None, "{answer:?} is a second holder");
    }
    for (n, answer) in answers.iter().enumerate().filter(|(_, answer)| answer.status != 201) {
        assert_eq!(holder(answer), holders[n % VALUES].as_deref(), "append {n}");
    }
    let log = history::events(&fleet.stack.kafka, &fleet.context.events_topic()).await;
    history::assert_sound(&log);
    let mut logged: Vec<&str> = log.iter().map(|event| event.stream.as_str()).collect();
    logged.retain(|stream| stream.starts_with("member-"));
    logged.sort_unstable();
    let mut acknowledged: Vec<&str> = holders.iter().flatten().map(String::as_str).collect();
    acknowledged.sort_unstable();
    assert_eq!((logged, acknowledged.len()), (acknowledged.clone(), VALUES), "what is in the log was acknowledged");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_of_an_append_that_came_to_nothing_is_taken_over_and_one_that_is_in_is_not() {
    let mut world = club("dangling", Some("unique_claimed=kill")).await;
    let (context, clients) = (world.context.name.clone(), [world.http()]);
    let path = format!("/v1/{context}/streams/member-a/events");
    let lost = clients[0].try_post_with_key(&path, Some("a"), &json!({ "events": [joined("x@club")] })).await;
    assert!(lost.is_err(), "it was killed: {lost:?}");
    restart(&mut world, Some("unique_appended=kill@2")).await;
    let taken = append(&clients, &context, "b", "member-b", joined("x@club")).await;
    assert_eq!((taken.status, &taken.body["version"]), (201, &json!(1)), "{taken:?}");

    let path = format!("/v1/{context}/streams/member-c/events");
    let lost = clients[0].try_post_with_key(&path, Some("c"), &json!({ "events": [joined("z@club")] })).await;
    assert!(lost.is_err(), "it was killed: {lost:?}");
    restart(&mut world, None).await;
    let refused = append(&clients, &context, "d", "member-d", joined("z@club")).await;
    assert_eq!(holder(&refused), Some("member-c"));
    let repeat = append(&clients, &context, "c", "member-c", joined("z@club")).await;
    assert_eq!((repeat.status, &repeat.body["version"]), (201, &json!(1)), "{repeat:?}");

    let refused = append(&clients, &context, "a", "member-a", joined("x@club")).await;
    assert_eq!(holder(&refused), Some("member-b"));
    let moved = append(&clients, &context, "b2", "member-b", changed("y@club")).await;
    assert_eq!((moved.status, &moved.body["version"]), (201, &json!(2)), "{moved:?}");
    let free = append(&clients, &context, "a", "member-a", joined("x@club")).await;
    assert_eq!((free.status, &free.body["version"]), (201, &json!(1)), "the same key, as nothing was stored: {free:?}");
    let again = append(&clients, &context, "b", "member-b", joined("x@club")).await;
    assert_eq!((again.status, &again.body["version"]), (201, &json!(1)), "a repeat is a repeat: {again:?}");
}

async fn restart(world: &mut World, failpoints: Option<&str>) {
    eventually("it has ended", async || world.event_store.ended().map(|_| ())).await;
    world.event_store.set("SPINA_FAILPOINTS", failpoints);
    world.event_store.start_again();
    world.event_store.ready().await;
}

async fn join_club(world: &World, stream: &str, email: &str) -> Answer {
    let body = json!({ "stream": stream, "type": "JoinClub", "data": { "name": "N", "email": email } });
    world.http().post(&format!("/v1/{}/commands", world.context.name), &body).await
}

#[tokio::test]
async fn commands_imports_and_records_of_the_topic_claim_as_well_and_claims_are_not_shown() {
    let world = club("entrances", None).await;
    let context = &world.context.name;
    assert_eq!(join_club(&world, "member-1", "a@club").await.status, 201);
    assert_eq!(holder(&join_club(&world, "member-2", "a@club").await), Some("member-1"));
    assert_eq!(join_club(&world, "member-1", "b@club").await.error_code(), "member.exists");

    let record =
        |event: &str, email: &str| (format!("{context}.member.{event}"), json!({ "email": email }).to_string());
    for (id, (name, fields)) in [record("EmailChanged", "c@club"), record("ChangeEmail", "d@club")].iter().enumerate() {
        let id = format!("r{id}");
        produce(&world, "member-1", &[("ce_id", &id), ("ce_type", name)], fields.as_bytes(), &[]);
    }
    let told: Vec<String> = replies(&world, "member-1", 2).await.iter().map(brief).collect();
    assert_eq!(told, ["accepted", "accepted"]);
    assert_eq!(join_club(&world, "member-2", "a@club").await.status, 201, "it was given up");
    let (name, fields) = record("EmailChanged", "d@club");
    produce(&world, "member-2", &[("ce_id", "r3"), ("ce_type", &name)], fields.as_bytes(), &[]);
    assert_eq!(brief(&replies(&world, "member-2", 1).await[0]), "rejected state.value_taken");

    let first = world.http().append(context, "member-3", "no_stream", json!([joined("e@club")])).await;
    assert_eq!(first.status, 201, "{first:?}");
    let lines = [("member-4", "e@club"), ("member-4", "f@club"), ("member-6", "g@club")].map(|(stream, email)| {
        let mut line = joined(email);
        line["stream"] = json!(stream);
        line.to_string()
    });
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/v1/{context}/import", world.event_store.url);
    let reports = client.post(url).body(lines.join("\n") + "\n").send().await.unwrap().text().await.unwrap();
    let last: Value = serde_json::from_str(reports.lines().last().unwrap()).unwrap();
    assert_eq!(last, json!({ "lines": 3, "appended": 2, "duplicates": 0, "rejected": 1, "done": true }), "{reports}");

    let left = json!([{ "type": "MemberLeft", "data": {} }]);
    assert_eq!(world.http().append(context, "member-3", 1, left).await.status, 201);
    assert_eq!(join_club(&world, "member-5", "e@club").await.status, 201, "who has left has no address");
    let page = world.http().get(&format!("/v1/{context}/events?from=earliest&limit=100")).await.unwrap();
    let shown: Vec<&str> =
        page.body["events"].as_array().unwrap().iter().filter_map(|e| e["stream"].as_str()).collect();
    assert!(shown.len() == 9 && shown.iter().all(|stream| stream.starts_with("member-")), "{shown:?}");
    let reserved = world.http().append(context, "unique_member-email-1", "any", json!([joined("h@club")])).await;
    assert_eq!(reserved.error_code(), "validation.aggregate", "{reserved:?}");
    assert_eq!(world.http().post(&format!("/v1/{context}/claims"), &json!({})).await.status / 100, 4);
}
