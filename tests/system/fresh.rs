//! Reading what was just written: a read that names an append's token always shows the append.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde_json::{Value, json};
use spina_tests::PATIENCE;
use spina_tests::http::Http;
use tokio::task::JoinSet;

use crate::parcels::{append, caught_up, moved, parcels};

/// Who append and read at a time.
const WRITERS: usize = 8;
/// Pairs of an append and its read, all together; `SPINA_TEST_PAIRS` says more.
const PAIRS: usize = 1_000;
/// Streams of each writer.
const STREAMS: usize = 5;
/// Events of one append of those who only make load.
const LOAD_EVENTS: usize = 20;

/// One append, and the read that must show it; how many there were to the stream by now is in the row.
async fn pair(event_store: &Http, projector: &Http, context: &str, stream: &str, number: usize) {
    let depot = format!("D{number}");
    let appended = event_store.append(context, stream, "any", json!([moved(&depot)])).await;
    assert_eq!(appended.status, 201, "{appended:?}");
    let token = appended.body["token"].as_str().unwrap();
    let path = format!("/v1/{context}/models/parcel_status/{stream}?timeout_ms=30000&after={token}");
    // It may take longer than one read waits; a read that answers shows it.
    let deadline = Instant::now() + PATIENCE;
    let row = loop {
        let answer = projector.get(&path).await.unwrap();
        if answer.status != 503 {
            break answer;
        }
        assert!(Instant::now() < deadline, "{answer:?}");
    };
    assert_eq!((row.status, &row.body["depot"]), (200, &Value::from(depot)), "stale: {stream} after {token}: {row:?}");
    assert_eq!(row.body["events"], number, "{stream} after {token}: {row:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_after_the_token_of_an_append_is_never_stale_under_load() {
    let pairs = std::env::var("SPINA_TEST_PAIRS").ok().and_then(|pairs| pairs.parse().ok()).unwrap_or(PAIRS);
    let world = Arc::new(parcels("fresh").await);
    let done = Arc::new(AtomicBool::new(false));
    let (loading, stop) = (Arc::clone(&world), Arc::clone(&done));
    let mut load = JoinSet::new();
    load.spawn(async move {
        let mut appends = 0;
        while !stop.load(Ordering::SeqCst) {
            let events = (0..LOAD_EVENTS).map(|_| moved("EWR")).collect();
            append(&loading, &format!("parcel-load{}", appends % 100), events).await;
            appends += 1;
        }
        appends
    });
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let world = Arc::clone(&world);
        writers.spawn(async move {
            let (event_store, projector) = (world.http(), Http::new(&world.projector.as_ref().unwrap().url));
            for number in 0..pairs / WRITERS {
                // Each stream is one writer's, so its row is known exactly.
                let stream = format!("parcel-w{writer}s{}", number % STREAMS);
                pair(&event_store, &projector, &world.context.name, &stream, number / STREAMS + 1).await;
            }
        });
    }
    while let Some(ended) = writers.join_next().await {
        ended.unwrap();
    }
    done.store(true, Ordering::SeqCst);
    assert!(load.join_next().await.unwrap().unwrap() > 0, "there was load");
}

#[tokio::test]
async fn a_row_is_sent_again_only_when_it_has_changed() {
    let world = parcels("tagged").await;
    append(&world, "parcel-1", vec![moved("EWR")]).await;
    caught_up(&world, "parcel_status").await;
    let url =
        format!("{}/v1/{}/models/parcel_status/parcel-1", world.projector.as_ref().unwrap().url, world.context.name);
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
    let first = client.get(&url).send().await.unwrap();
    let tag = first.headers()["etag"].clone();
    let asked = async || client.get(&url).header("if-none-match", tag.clone()).send().await.unwrap();
    let same = asked().await;
    assert_eq!((same.status().as_u16(), &same.headers()["etag"]), (304, &tag));
    assert_eq!(same.bytes().await.unwrap().len(), 0);
    append(&world, "parcel-1", vec![moved("LGA")]).await;
    caught_up(&world, "parcel_status").await;
    let changed = asked().await;
    assert_eq!(changed.status(), 200);
    assert_ne!(changed.headers()["etag"], tag);
    let row: Value = changed.json().await.unwrap();
    assert_eq!((&row["depot"], &row["events"]), (&json!("LGA"), &json!(2)));
}
