//! Following the changes of a model's rows: each once it is committed, from the last one that was taken on.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use spina_tests::sse::{Message, Sse};
use spina_tests::world::World;

use crate::parcels::{append, caught_up, moved, parcels, projector, rebuild, weighed};

/// Takes changes until the stream's row has seen so many events; every change seen.
async fn until(follower: &mut Sse, stream: &str, events: u64) -> Vec<Message> {
    let mut seen = Vec::new();
    loop {
        let message = follower.next().await;
        assert_eq!(message.name, "change", "{message:?}");
        let row = message.data["row"].clone();
        seen.push(message);
        if row["stream"] == stream && row["events"] == events {
            return seen;
        }
    }
}

fn url(world: &World) -> String {
    let projector = &world.projector.as_ref().unwrap().url;
    format!("{projector}/v1/{}/models/parcel_status/changes", world.context.name)
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_followed_resumed_and_read_anew_after_a_rebuild() {
    let mut world = parcels("follow").await;
    append(&world, "parcel-1", vec![moved("EWR")]).await;
    caught_up(&world, "parcel_status").await;
    let mut follower = Sse::connect(&url(&world), None).await;
    follower.begun().await;

    append(&world, "parcel-1", vec![moved("LGA")]).await;
    let seen = until(&mut follower, "parcel-1", 2).await;
    let row = json!({"stream": "parcel-1", "grams_per_piece": null, "events": 2, "depot": "LGA"});
    assert_eq!(seen[0].data, json!({"key": {"stream": "parcel-1"}, "row": row}), "only what came later");
    assert!(follower.is_silent().await, "the place after the batch");

    // Away for a while: it misses nothing.
    let place = follower.last_id().unwrap().to_owned();
    drop(follower);
    for number in 0..50 {
        append(&world, &format!("parcel-{number}"), vec![weighed("EWR", 500, 2)]).await;
    }
    caught_up(&world, "parcel_status").await;
    let mut follower = Sse::connect(&url(&world), Some(&place)).await;
    let expected = |number: usize| (format!("parcel-{number}"), if number == 1 { json!(3) } else { json!(1) });
    let expected: BTreeMap<String, Value> = (0..50).map(expected).collect();
    let mut last = BTreeMap::new();
    while last != expected {
        let Message { name, data, .. } = follower.next().await;
        assert_eq!(name, "change");
        last.insert(data["key"]["stream"].as_str().unwrap().to_owned(), data["row"]["events"].clone());
    }

    // Another table: any row may be another one, and so after a restart.
    assert_eq!(rebuild(&world, "parcel_status")["rebuild"]["state"], "done");
    let message = follower.next().await;
    assert_eq!((message.name.as_str(), &message.data), ("reset", &json!({})));
    world.projector.as_mut().unwrap().kill();
    world.projector.as_mut().unwrap().start_again();
    world.projector.as_mut().unwrap().ready().await;
    caught_up(&world, "parcel_status").await;
    let mut follower = Sse::connect(&url(&world), Some(&message.id)).await;
    assert_eq!(follower.next().await.name, "reset");
    append(&world, "parcel-1", vec![moved("BOS")]).await;
    until(&mut follower, "parcel-1", 4).await;

    let unknown = format!("/v1/{}/models/nothing/changes", world.context.name);
    assert_eq!(projector(&world).get(&unknown).await.unwrap().status, 404);
    let described = projector(&world).get("/openapi.json").await.unwrap().body;
    let row = &described["components"]["schemas"][format!("{}.parcel_status", world.context.name)];
    assert_eq!(row["properties"]["depot"], json!({"type": ["string", "null"]}), "{row}");
}
