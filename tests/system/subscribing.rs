//! Server-sent events: everything once and in order, however often the connection is lost.

use std::collections::HashMap;

use serde_json::{Value, json};
use spina_core::Token;
use spina_tests::history;
use spina_tests::sse::Sse;
use spina_tests::world::World;

use crate::imports;
use crate::samples::{cancelled, departed, new_stream, scheduled};

/// Events that are appended while a subscriber comes and goes.
const EVENTS: usize = 8_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_reconnects_has_no_gap_and_no_duplicate() {
    let world = World::with_event_store("chain").await;
    let file = imports::file(&world, &imports::lines()[..EVENTS]);
    let import = world.spina().arg("import").arg(&file).spawn();

    let url = format!("{}/v1/{}/events?from=earliest", world.event_store.url, world.context.name);
    let (mut received, mut last_id, mut connections) = (Vec::new(), None::<String>, 0_u64);
    while received.len() < EVENTS {
        let mut sse = Sse::connect(&url, last_id.as_deref()).await;
        connections += 1;
        // Numbers that look random and are the same in every run.
        let stay = connections.wrapping_mul(6_364_136_223_846_793_005) >> 40;
        for _ in 0..stay % 600 {
            if received.len() == EVENTS {
                break;
            }
            received.push(sse.next().await.data);
        }
        last_id = sse.last_id().map(str::to_owned);
    }
    assert!(import.ends().await.status.success());
    assert!(connections > 10, "it was interrupted often: {connections}");

    assert_in_order(&received);
    let log = history::events(&world.stack.kafka, &world.context.events_topic()).await;
    let sorted = |mut ids: Vec<String>| {
        ids.sort();
        ids
    };
    let received = received.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(sorted(received), sorted(log.into_iter().map(|event| event.id).collect()));
}

#[tokio::test]
async fn filters_let_through_what_was_asked_for_and_nothing_else() {
    let world = World::shared().await;
    let (http, context) = (world.http(), &world.context.name);
    let (stream, other) = (new_stream(), new_stream());
    let url = |query: &str| format!("{}/v1/{context}/events?{query}", world.event_store.url);
    let mut of_stream = Sse::connect(&url(&format!("from=earliest&stream={stream}")), None).await;
    let mut of_type = Sse::connect(&url("types=FlightCancelled&category=flight"), None).await;
    // Says where it stands as soon as it has a place: what comes from now on is not missed.
    of_type.begun().await;
    let mut of_nobody = Sse::connect(&url("category=order"), None).await;
    of_nobody.begun().await;

    for id in [&stream, &other] {
        let appended = http.append(context, id, "no_stream", json!([scheduled(), departed(), cancelled()])).await;
        assert_eq!(appended.status, 201, "{appended:?}");
    }

    for (version, name) in [(1, "FlightScheduled"), (2, "FlightDeparted"), (3, "FlightCancelled")] {
        let message = of_stream.next().await;
        let found = (&message.data["stream"], &message.data["version"], message.name.as_str());
        assert_eq!(found, (&json!(stream), &json!(version), name));
    }
    let mut cancelled = [of_type.next().await, of_type.next().await].map(|message| message.data["stream"].clone());
    cancelled.sort_by_key(|stream| *stream != json!(stream));
    assert!(cancelled.contains(&json!(stream)) && cancelled.contains(&json!(other)), "{cancelled:?}");
    assert!(of_nobody.is_silent().await);

    for (query, code) in [("types=FlightExploded", "validation.unknown_type"), ("from=monday", "validation.token")] {
        let refused = http.get(&format!("/v1/{context}/events?{query}")).await.unwrap();
        assert_eq!((refused.status, refused.error_code()), (422, code));
    }
}

/// Versions of each stream follow one another, offsets of each partition grow.
fn assert_in_order(events: &[Value]) {
    let mut versions: HashMap<&str, u64> = HashMap::new();
    let mut offsets: HashMap<i32, i64> = HashMap::new();
    for event in events {
        let last = versions.entry(event["stream"].as_str().unwrap()).or_default();
        assert_eq!(event["version"].as_u64(), Some(*last + 1), "{event}");
        *last += 1;
        let token: Token = event["token"].as_str().unwrap().parse().unwrap();
        for (partition, offset) in token.offsets() {
            let last = offsets.insert(partition, offset);
            assert!(last.is_none_or(|last| last < offset), "{event} came after {last:?}");
        }
    }
}
