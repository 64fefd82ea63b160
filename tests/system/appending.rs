//! Appending to streams over HTTP, reading them back, and what they add up to.

use futures::future::join_all;
use serde_json::{Value, json};
use spina_tests::world::World;

use crate::samples::{cancelled, departed, new_stream, scheduled};

#[tokio::test]
async fn what_was_appended_is_read_back_in_order() {
    let world = World::shared().await;
    let (http, context, stream) = (world.http(), &world.context.name, new_stream());

    let first = http.append(context, &stream, "no_stream", json!([scheduled(), departed()])).await;
    assert_eq!((first.status, &first.body["version"]), (201, &json!(2)), "{first:?}");
    let second = http.append(context, &stream, 2, json!([cancelled()])).await;
    assert_eq!((second.status, &second.body["version"]), (201, &json!(3)), "{second:?}");

    let path = format!("/v1/{context}/streams/{stream}/events");
    let read = http.get(&path).await.unwrap().body;
    let events = read["events"].as_array().unwrap();
    let brief: Vec<String> = events.iter().map(|event| format!("{} {}", event["version"], event["type"])).collect();
    let name = |event: &str| format!("\"{context}.flight.{event}\"");
    let expected = [(1, "FlightScheduled"), (2, "FlightDeparted"), (3, "FlightCancelled")]
        .map(|(v, e)| format!("{v} {}", name(e)));
    assert_eq!(brief, expected);
    assert_eq!(events[0]["data"], scheduled()["data"]);
    assert_eq!(events[1]["time"], departed()["time"]);
    assert_eq!(events[2]["token"], second.body["token"]);
    let last = http.get(&format!("{path}?direction=backward&limit=1")).await.unwrap().body;
    assert_eq!(last["events"], json!([events[2]]));
}

#[tokio::test]
async fn the_state_is_known_now_at_a_version_and_at_a_time() {
    let world = World::shared().await;
    let (http, context, stream) = (world.http(), &world.context.name, new_stream());
    http.append(context, &stream, "no_stream", json!([scheduled(), departed()])).await;

    let path = format!("/v1/{context}/streams/{stream}");
    let state = async |query: &str| http.get(&format!("{path}{query}")).await.unwrap().body;
    let now = state("").await;
    assert_eq!((&now["version"], &now["state"]["status"]), (&json!(2), &json!("FlightDeparted")));
    assert_eq!(now["state"]["flight"], 1545, "fields of earlier events stay");
    for earlier in ["?version=1", "?at=2013-01-01T10:16:59Z"] {
        let then = state(earlier).await;
        assert_eq!((&then["version"], &then["state"]["status"]), (&json!(1), &json!("FlightScheduled")), "{earlier}");
        assert_eq!(then["state"].get("departed_at"), None, "{earlier}");
    }
    assert_eq!(http.get(&format!("{path}?version=3")).await.unwrap().error_code(), "resource.not_found");
}

#[tokio::test]
async fn a_stale_writer_is_told_the_current_version_and_changes_nothing() {
    let world = World::shared().await;
    let (http, context, stream) = (world.http(), &world.context.name, new_stream());
    http.append(context, &stream, "no_stream", json!([scheduled(), departed()])).await;

    for stale in [json!("no_stream"), json!(1), json!(3)] {
        let refused = http.append(context, &stream, stale, json!([cancelled()])).await;
        assert_eq!((refused.status, refused.error_code()), (409, "state.conflict"));
        assert_eq!(refused.body["details"]["current_version"], 2);
    }
    assert_eq!(version(world, &stream).await, 2);
}

#[tokio::test]
async fn of_many_writers_with_the_same_expectation_one_wins_each_round() {
    const WRITERS: usize = 40;
    let world = World::shared().await;
    let (http, context, stream) = (world.http(), &world.context.name, new_stream());
    http.append(context, &stream, "no_stream", json!([scheduled()])).await;

    for round in 1..=5_u64 {
        let writers = (0..WRITERS).map(|_| http.append(context, &stream, round, json!([departed()])));
        let mut statuses: Vec<u16> = join_all(writers).await.iter().map(|answer| answer.status).collect();
        statuses.sort_unstable();
        let mut one_winner = vec![409; WRITERS];
        one_winner[0] = 201;
        assert_eq!(statuses, one_winner, "round {round}");
        assert_eq!(version(world, &stream).await, round + 1);
    }
}

/// Version of a stream.
async fn version(world: &World, stream: &str) -> u64 {
    let path = format!("/v1/{}/streams/{stream}/events?direction=backward&limit=1", world.context.name);
    let read: Value = world.http().get(&path).await.unwrap().body;
    read["version"].as_u64().unwrap()
}
