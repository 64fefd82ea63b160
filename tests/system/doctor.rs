//! `spina doctor`, asked while something is wrong: it names the thing, what is wrong with it, and what to do.

use std::fs;

use serde_json::{Value, json};
use spina_log::{LaneFactory, Lanes, LogConfig, NewRecord, Window};
use spina_tests::context::Context;
use spina_tests::eventually;
use spina_tests::fleet::{Fleet, stream_in};
use spina_tests::registry::Registry;
use spina_tests::service::Service;
use spina_tests::spina::Spina;
use spina_tests::stack::{Stack, free_port};
use spina_tests::world::World;

use crate::samples::{new_stream, scheduled};

/// The verb, to be followed by its options.
const DOCTOR: [&str; 3] = ["doctor", "--output", "json"];

/// What the doctor says about a thing.
fn told(spina: Spina, subject: &str) -> Vec<Value> {
    let ran = spina.run();
    let findings: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    let findings = findings.as_array().unwrap().iter();
    findings.filter(|finding| finding["subject"] == subject).cloned().collect()
}

fn text(finding: &Value, field: &str) -> String {
    finding[field].as_str().unwrap_or_default().to_owned()
}

/// Asks until the doctor says this, which is not good, with some advice.
async fn explains(spina: impl Fn() -> Spina, subject: &str, verdict: &str, words: &str) -> Value {
    let finding = eventually(&format!("the doctor says `{words}` of {subject}"), async || {
        let findings = told(spina(), subject);
        findings.into_iter().find(|finding| finding["verdict"] == verdict && text(finding, "found").contains(words))
    })
    .await;
    assert!(!text(&finding, "next").is_empty(), "{finding}");
    finding
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_explains_a_registry_that_is_down() {
    let world = World::shared().await;
    let registry = Registry::before(&world.stack).await;
    let spina = || world.spina().env("SPINA_REGISTRY_URL", &registry.url).args(DOCTOR);
    assert_eq!(told(spina(), "registry")[0]["verdict"], "good");
    registry.refuses();
    let finding = explains(spina, "registry", "bad", "no answer from the registry").await;
    assert!(text(&finding, "next").contains("spina up"), "{finding}");
}

#[tokio::test]
async fn doctor_explains_a_postgresql_that_is_down() {
    let world = World::shared().await;
    let folder = world.stack.folder(&new_stream());
    let mut stack: Value = serde_json::from_slice(&fs::read(world.stack.dir.join("stack.json")).unwrap()).unwrap();
    stack["endpoints"]["postgres"] = json!(format!("postgres://spina@127.0.0.1:{}/spina", free_port()));
    fs::write(folder.join("stack.json"), stack.to_string()).unwrap();
    assert_eq!(told(world.spina().args(DOCTOR).arg("--dir").arg(&world.stack.dir), "postgres")[0]["verdict"], "good");
    let finding = explains(|| world.spina().args(DOCTOR).arg("--dir").arg(&folder), "postgres", "bad", "").await;
    assert!(text(&finding, "next").contains("logs/postgres.log"), "{finding}");
}

#[tokio::test]
async fn doctor_explains_a_hanging_transaction() {
    let world = World::shared().await;
    let topic = world.context.events_topic();
    let lanes = LaneFactory::connect(&LogConfig::new(&world.stack.kafka, "a-stranger")).await.unwrap();
    let mut attempt = 0;
    // The coordinator ends the stranger's transaction after 10 s; on a slow machine the doctor may be late for one.
    let finding = eventually("the doctor sees the open transaction", async || {
        attempt += 1;
        let lane = lanes.open(&format!("stranger-{}-{attempt}", world.context.name)).await.unwrap();
        let record = NewRecord {
            topic: topic.as_str().into(),
            partition: 3,
            key: "flight-of-a-stranger".into(),
            value: None,
            headers: spina_codec::Headers::default(),
            timestamp_ms: None,
        };
        lane.stage(Window { records: vec![record], consumed: None }).await.unwrap();
        for _ in 0..20 {
            let seen = told(world.spina().args(DOCTOR), &format!("{topic}:3"));
            let open = seen.into_iter().find(|finding| text(finding, "found").contains("a transaction is open"));
            if let Some(open) = open.filter(|open| open["verdict"] != "good") {
                lane.abort().await.unwrap();
                return Some(open);
            }
        }
        None
    })
    .await;
    assert!(text(&finding, "found").contains("readers wait behind it"), "{finding}");
    assert!(text(&finding, "next").contains("time-out"), "{finding}");
}

#[tokio::test]
async fn doctor_explains_a_parked_partition() {
    let stack = Stack::get();
    // Somebody has served before: the tables are there.
    let _served = World::shared().await;
    let context = Context::create(&stack, "parked");
    let (client, connection) = tokio_postgres::connect(&stack.postgres, tokio_postgres::NoTls).await.unwrap();
    let insert = "INSERT INTO spina.watermarks (context, partition, next_offset, epoch) VALUES ($1, 2, 1000000, 1)";
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [&context.name];
    tokio::select! {
        lost = connection => panic!("{lost:?}"),
        done = client.execute(insert, &parameters) => assert_eq!(done.unwrap(), 1),
    }
    let event_store = Service::start(&stack, "event-store", &context);
    let spina = || Spina::of(&stack).env("SPINA_EVENT_STORE_URL", &event_store.url).args(DOCTOR);
    let subject = format!("{}:2", context.events_topic());
    let finding = explains(spina, &subject, "bad", "lost or replaced").await;
    assert!(text(&finding, "found").starts_with("parked, nobody serves it"), "{finding}");
    // The others are served.
    explains_good(spina, &format!("{}:1", context.events_topic()), "owned, epoch").await;
}

async fn explains_good(spina: impl Fn() -> Spina, subject: &str, words: &str) {
    eventually(&format!("the doctor says `{words}` of {subject}"), async || {
        let findings = told(spina(), subject);
        let good = |finding: &Value| finding["verdict"] == "good" && text(finding, "found").contains(words);
        findings.iter().any(good).then_some(())
    })
    .await;
}

#[tokio::test]
async fn doctor_explains_that_the_process_asked_is_not_the_owner_and_who_is() {
    let fleet = Fleet::of(2, "owners").await;
    let spina = || Spina::of(&fleet.stack).env("SPINA_EVENT_STORE_URL", &fleet.stores[0].url).args(DOCTOR);
    let theirs = fleet.view(1).await.unwrap()["owned"][0]["partition"].clone();
    let words = format!("the event-store asked is not its owner: {} is, epoch", fleet.stores[1].url);
    explains_good(spina, &format!("{}:{theirs}", fleet.context.events_topic()), &words).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_explains_that_a_lag_grows() {
    let world = World::with_projector("lagging").await;
    let model = format!("{}/flight_status", world.context.name);
    world.spina().args(["projection", "pause", &model]).succeeds();
    let appending = async {
        let (http, events) = (world.http(), json!(vec![scheduled(); 100]));
        for partition in (0..4).cycle() {
            let appended = http.append(&world.context.name, &stream_in(partition), "any", events.clone()).await;
            assert!(matches!(appended.status, 201 | 429 | 503), "{appended:?}");
        }
    };
    let asking = async {
        let spina = || world.spina().args(DOCTOR);
        explains_beside(spina, &model).await
    };
    let finding = tokio::select! {
        () = appending => unreachable!("it goes on for ever"),
        finding = asking => finding,
    };
    assert_eq!(finding["verdict"], "doubtful", "{finding}");
    assert!(
        text(&finding, "found").contains("more each second") && text(&finding, "next").contains("paused"),
        "{finding}"
    );
}

/// Asks the doctor on a thread of its own, while others go on.
async fn explains_beside(spina: impl Fn() -> Spina, subject: &str) -> Value {
    eventually("the doctor says that the lag grows", async || {
        let (spina, subject) = (spina(), subject.to_owned());
        let findings = tokio::task::spawn_blocking(move || told(spina, &subject)).await.unwrap();
        findings.into_iter().find(|finding| text(finding, "found").contains("its lag grows"))
    })
    .await
}
