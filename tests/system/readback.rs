//! `ack=readback`: the answer waits until a committed reader has seen the events.

use std::sync::Arc;

use serde_json::json;
use spina_log::{Lane, LaneFactory, Lanes, LogConfig, NewRecord, Window};
use spina_tests::eventually;
use spina_tests::world::World;
use tokio::task::JoinSet;

use crate::samples::{cancelled, departed, new_stream, scheduled};

/// Appends under the same partition, to see that time has passed.
const OTHERS: usize = 5;

/// A transaction of somebody else's that is open on the partition: what comes behind it is hidden.
async fn stranger(world: &World, partition: i32, attempt: u32) -> Arc<dyn Lane> {
    let lanes = LaneFactory::connect(&LogConfig::new(&world.stack.kafka, "a-stranger")).await.unwrap();
    let lane = lanes.open(&format!("hides-{}-{attempt}", world.context.name)).await.unwrap();
    let record = NewRecord {
        topic: world.context.events_topic().into(),
        partition,
        key: "flight-of-a-stranger".into(),
        value: None,
        headers: spina_codec::Headers::default(),
        timestamp_ms: None,
    };
    lane.stage(Window { records: vec![record], consumed: None }).await.unwrap();
    lane
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_by_readback_waits_until_committed_readers_see_the_events() {
    let world = World::shared().await;
    let mut attempt = 0;
    // The coordinator ends the stranger's transaction after 10 s: on a slow machine that may be too early.
    eventually("an append waits behind the stranger", async || {
        attempt += 1;
        let (http, context, stream) = (world.http(), world.context.name.clone(), new_stream());
        let first = http.append(&context, &stream, "no_stream", json!([scheduled()])).await;
        let partition = first.body["token"].as_str().unwrap().split(':').nth(1).unwrap().parse().unwrap();
        let stranger = stranger(world, partition, attempt).await;

        let path = format!("/v1/{context}/streams/{stream}/events");
        let body = json!({"expected_version": 1, "events": [departed()]});
        let asking = (world.http(), format!("{path}?ack=readback"));
        let mut answers = JoinSet::new();
        answers.spawn(async move { asking.0.post(&asking.1, &body).await });
        eventually("the event is committed", async || {
            let read = http.get(&path).await.unwrap().body;
            (read["events"].as_array()?.len() == 2).then_some(())
        })
        .await;
        for version in 2..2 + OTHERS {
            let told = http.append(&context, &stream, version, json!([cancelled()])).await;
            assert_eq!(told.status, 201, "who waits for the commit alone is answered: {told:?}");
        }
        let early = answers.try_join_next();
        let still_hidden = stranger.abort().await.is_ok();
        if !still_hidden {
            return None;
        }
        assert!(early.is_none(), "nobody could have seen the event: {early:?}");
        let answer = answers.join_next().await.unwrap().unwrap();
        assert_eq!((answer.status, &answer.body["version"]), (201, &json!(2)), "{answer:?}");
        Some(())
    })
    .await;
}

#[tokio::test]
async fn the_command_line_waits_for_readers_too_and_repeats_are_read_back() {
    let world = World::shared().await;
    let stream = new_stream();
    let publish = || {
        let data = scheduled()["data"].to_string();
        let key = format!("readback of {stream}");
        let publish = ["publish", &stream, "FlightScheduled", "--data", &data, "--ack", "readback", "--output", "json"];
        let ran = world.spina().args(publish).args(["--idempotency-key", &key]).run();
        serde_json::from_str::<serde_json::Value>(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
    };
    let first = publish();
    assert_eq!(first["version"], 1);
    assert_eq!(publish(), first);
    let bad =
        world.http().post(&format!("/v1/{}/streams/{stream}/events?ack=never", world.context.name), &json!({})).await;
    assert_eq!((bad.status, bad.error_code()), (400, "validation.query"), "{bad:?}");
}
