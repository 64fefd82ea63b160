//! `spina audit` finds what does not fit, and snapshots that are of no use do no harm.

use std::fs;

use serde_json::{Value, json};
use spina_tests::context::Context;
use spina_tests::database::Database;
use spina_tests::eventually;
use spina_tests::service::Service;
use spina_tests::spina::Spina;
use spina_tests::stack::Stack;
use spina_tests::world::World;

use crate::kept;
use crate::samples::{cancelled, departed, scheduled};

const STREAM: &str = "flight-AUDIT1-20130101-EWR";

fn audit(world: &World, more: &[&str]) -> (Option<i32>, Value) {
    let ran = Spina::of(&world.stack)
        .args(["audit", &world.context.name, "--output", "json", "--postgres-url", &world.stack.postgres])
        .arg("--topology-dir")
        .arg(&world.context.topology_dir)
        .args(more)
        .run();
    let report = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    (ran.status.code(), report)
}

/// What is found of the stream, each as kind and text.
fn findings(report: &Value, of: &str) -> Vec<(String, String)> {
    let drift = report["drift"].as_array().unwrap().iter().filter(|drift| drift["of"] == of);
    let finding = |drift: &Value| drift["finding"].as_object().unwrap().clone().into_iter().next().unwrap();
    drift.map(finding).map(|(kind, text)| (kind, text.as_str().unwrap().to_owned())).collect()
}

async fn change(database: &Database, world: &World, sql: &str) {
    let changed = database.execute(sql, &[&world.context.name, &STREAM]).await.unwrap();
    assert_eq!(changed, 1, "{sql}");
}

/// A context that takes snapshots, with three archived streams.
async fn world() -> World {
    let stack = Stack::get();
    let context = Context::create(&stack, "audit");
    let file = context.topology_dir.join(&context.name).join("context.yaml");
    let policy = "    snapshot: { every: 3, on: [FlightCancelled] }\n    events:";
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("    events:"));
    fs::write(&file, text.replace("    events:", policy)).unwrap();
    let mut event_store = Service::start(&stack, "event-store", &context);
    event_store.ready().await;
    let world = World { stack, context, event_store, projector: None };
    for stream in [STREAM, "flight-AUDIT2-20130101-EWR", "flight-AUDIT3-20130101-EWR"] {
        let events = json!([scheduled(), departed(), departed(), departed()]);
        assert_eq!(world.http().append(&world.context.name, stream, "no_stream", events).await.status, 201);
    }
    kept::assert_kept(&world.stack, &world.context).await;
    world
}

async fn snapshot_version(database: &Database, world: &World) -> Option<i64> {
    let sql = "SELECT version FROM spina.snapshots WHERE context = $1 AND stream = $2";
    database.query_opt(sql, &[&world.context.name, &STREAM]).await.unwrap().map(|row| row.get(0))
}

async fn state(world: &World) -> Value {
    world.http().get(&format!("/v1/{}/streams/{STREAM}", world.context.name)).await.unwrap().body
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_finds_planted_drift_and_repairs_snapshots() {
    let world = world().await;
    let database = Database::connect(&world.stack).await;
    eventually("the policy takes a snapshot", async || snapshot_version(&database, &world).await).await;
    let (code, report) = audit(&world, &["--seed", "7"]);
    assert_ne!(report["snapshots"], 0, "{report}");
    assert_eq!((code, &report["streams"], &report["events"]), (Some(0), &json!(3), &json!(12)), "{report}");

    let sql = "UPDATE spina.snapshots SET state = jsonb_set(state, '{data,carrier}', '\"XX\"') \
        WHERE context = $1 AND stream = $2";
    change(&database, &world, sql).await;
    let (code, report) = audit(&world, &["--repair"]);
    let found = findings(&report, STREAM);
    assert_eq!((code, found[0].0.as_str(), found.len()), (Some(1), "snapshot", 1), "{report}");
    let (code, report) = audit(&world, &[]);
    assert_eq!(code, Some(0), "{report}");

    for (sql, kind, text) in [
        ("UPDATE spina.events SET value = value || '\\x00'::bytea", "archive", "version 2 differs from the log"),
        ("DELETE FROM spina.events", "archive", "version 2 is missing"),
    ] {
        change(&database, &world, &format!("{sql} WHERE context = $1 AND stream = $2 AND version = 2")).await;
        let (code, report) = audit(&world, &[]);
        let found = findings(&report, STREAM);
        assert_eq!((code, found), (Some(1), vec![(kind.to_owned(), text.to_owned())]), "{report}");
    }
    change(&database, &world, "UPDATE spina.streams SET version = 3 WHERE context = $1 AND stream = $2").await;
    let (_, report) = audit(&world, &[]);
    assert!(findings(&report, STREAM).iter().any(|(kind, _)| kind == "index"), "{report}");
    // The missing event is known even when its stream is not among the chosen.
    assert!(report.to_string().contains("archived events before offset"), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_that_are_damaged_or_stale_are_ignored_and_replaced() {
    let world = world().await;
    let database = Database::connect(&world.stack).await;
    eventually("the policy takes a snapshot", async || snapshot_version(&database, &world).await).await;
    let sound = state(&world).await;
    assert_eq!((&sound["version"], &sound["state"]["carrier"]), (&json!(4), &json!("UA")));

    let other_state = "state = jsonb_set(state, '{data,carrier}', '\"XX\"')";
    change(&database, &world, &format!("UPDATE spina.snapshots SET {other_state} WHERE context = $1 AND stream = $2"))
        .await;
    assert_eq!(state(&world).await, sound, "a damaged snapshot is not used");
    assert_eq!(snapshot_version(&database, &world).await, None, "and does not stay");

    // A forced one, then an event after which one is due.
    world.spina().args(["snapshot", STREAM]).succeeds();
    assert_eq!(snapshot_version(&database, &world).await, Some(4));
    world.http().append(&world.context.name, STREAM, 4, json!([cancelled()])).await;
    eventually("the event has its snapshot", async || (snapshot_version(&database, &world).await? == 5).then_some(()))
        .await;

    let sound = state(&world).await;
    let stale = "UPDATE spina.snapshots SET fingerprint = 'FlightScheduled=0' WHERE context = $1 AND stream = $2";
    change(&database, &world, stale).await;
    assert_eq!(state(&world).await, sound, "a stale snapshot is not used");
    world.spina().args(["snapshot", STREAM]).succeeds();
    let sql = "SELECT fingerprint FROM spina.snapshots WHERE context = $1 AND stream = $2";
    let row = database.query_one(sql, &[&world.context.name, &STREAM]).await.unwrap();
    assert_ne!(row.get::<_, &str>(0), "FlightScheduled=0", "and is replaced at its own version");
}
