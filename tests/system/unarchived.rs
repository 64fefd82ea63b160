//! A context with `archive: false`: everything holds as with an archive, and PostgreSQL has no event of it.

use std::fs;

use serde_json::{Value, json};
use spina_tests::context::Context;
use spina_tests::database::Database;
use spina_tests::service::Service;
use spina_tests::spina::Spina;
use spina_tests::stack::Stack;
use spina_tests::world::World;
use spina_tests::{eventually, fleet, history};

use crate::samples::{cancelled, departed, scheduled};

/// Fewer than the test appends: what is older is read from the log.
const HELD_BYTES: &str = "8000";
/// Streams of one partition, so that they push each other out of memory.
const STREAMS: usize = 12;

/// A context that is not archived, with snapshots at every third version.
async fn unarchived() -> World {
    let stack = Stack::get();
    let context = Context::create(&stack, "unarchived");
    let file = context.topology_dir.join(&context.name).join("context.yaml");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("    events:"));
    let policy = "    snapshot: { every: 3 }\n    events:";
    fs::write(&file, text.replace("    events:", policy) + "archive: false\n").unwrap();
    let settings = [("SPINA_TAIL_BYTES_MAX", HELD_BYTES)];
    let mut event_store = Service::start_with(&stack, "event-store", &context, &settings);
    event_store.ready().await;
    World { stack, context, event_store, projector: None }
}

/// What can be read of a stream: all, backward, from the second version on, its state, and its first state.
async fn read(world: &World, stream: &str) -> Vec<Value> {
    let http = world.http();
    let path = format!("/v1/{}/streams/{stream}", world.context.name);
    let mut seen = Vec::new();
    for query in ["/events", "/events?direction=backward&limit=2", "/events?from_version=2", "", "?version=1"] {
        let answer = http.get(&format!("{path}{query}")).await.unwrap();
        assert_eq!(answer.status, 200, "{query}: {answer:?}");
        seen.push(answer.body);
    }
    seen
}

async fn append(world: &World, stream: &str, key: &str) -> Value {
    let path = format!("/v1/{}/streams/{stream}/events", world.context.name);
    let request = json!({ "expected_version": "no_stream", "events": [scheduled(), departed(), cancelled()] });
    let answer = world.http().post_with_key(&path, Some(key), &request).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.body
}

async fn count(database: &Database, table: &str, context: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM spina.{table} WHERE context = $1");
    database.query_one(&sql, &[&context]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_context_without_an_archive_reads_its_streams_from_the_log() {
    let mut world = unarchived().await;
    let name = world.context.name.clone();
    let streams: Vec<String> = (0..STREAMS).map(|_| fleet::stream_in(1)).collect();
    let mut answers = Vec::new();
    for stream in &streams {
        answers.push(append(&world, stream, &format!("key {stream}")).await);
    }
    let (first, last) = (&streams[0], &streams[STREAMS - 1]);
    let seen = [read(&world, first).await, read(&world, last).await];
    for of_stream in &seen {
        assert_eq!(of_stream[0]["events"].as_array().unwrap().len(), 3, "{of_stream:?}");
        let versions = |part: &Value| part["events"].as_array().unwrap().iter().map(|e| e["version"].clone()).collect();
        let (backward, from_second): (Vec<Value>, Vec<Value>) = (versions(&of_stream[1]), versions(&of_stream[2]));
        assert_eq!((backward, from_second), (vec![json!(3), json!(2)], vec![json!(2), json!(3)]));
        assert_eq!(
            (&of_stream[3]["version"], &of_stream[3]["state"]["status"]),
            (&json!(3), &json!("FlightCancelled"))
        );
    }

    world.event_store.kill();
    world.event_store.start_again();
    world.event_store.ready().await;
    assert_eq!([read(&world, first).await, read(&world, last).await], seen, "after a kill");
    for (stream, answer) in streams.iter().zip(&answers) {
        assert_eq!(append(&world, stream, &format!("key {stream}")).await, *answer, "a repeat is recognised");
    }
    let another = world.http().append(&name, first, "no_stream", json!([scheduled()])).await;
    assert_eq!((another.status, &another.body["details"]["current_version"]), (409, &json!(3)), "{another:?}");
    let nobody = world.http().get(&format!("/v1/{name}/streams/{}/events", fleet::stream_in(1))).await.unwrap();
    assert_eq!(nobody.status, 404, "{nobody:?}");

    let database = Database::connect(&world.stack).await;
    let snapshots = eventually("snapshots are taken as the policy says", async || {
        Some(count(&database, "snapshots", &name).await).filter(|snapshots| *snapshots == STREAMS as i64)
    });
    snapshots.await;
    for table in ["events", "streams", "watermarks"] {
        assert_eq!(count(&database, table, &name).await, 0, "{table}");
    }
    let (status, _) = world.event_store.stop().await;
    assert!(status.success(), "{status}");
    world.event_store.start_again();
    world.event_store.ready().await;
    assert_eq!([read(&world, first).await, read(&world, last).await], seen, "after a restart");
    let log = history::events(&world.stack.kafka, &world.context.events_topic()).await;
    history::assert_sound(&log);
    assert_eq!(log.len(), 3 * STREAMS);
    audited(&world);
}

/// `spina audit` misses nothing.
fn audited(world: &World) {
    Spina::of(&world.stack)
        .args(["audit", &world.context.name, "--postgres-url", &world.stack.postgres])
        .arg("--topology-dir")
        .arg(&world.context.topology_dir)
        .succeeds();
}
