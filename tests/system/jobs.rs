//! Replay jobs: each event that matches is copied exactly once, whatever becomes of the process and of the database's
//! memory; people see and steer what runs.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, stream};
use serde_json::{Value, json};
use spina_codec::headers::{SPINA_REPLAY, SPINA_REPLAYED_FROM, read_event_headers};
use spina_log::admin::TopicSpec;
use spina_log::{Admin, Fetched, LogConfig};
use spina_tests::database::Database;
use spina_tests::eventually;
use spina_tests::history::{committed, offsets};
use spina_tests::notices::Notices;
use spina_tests::tools::kafka_java;
use spina_tests::world::World;

use crate::parcels::{moved, parcels, weighed};

/// Streams of the test; each gets three events, two of which match.
const STREAMS: usize = 200;
/// Appends at a time.
const APPENDS: usize = 16;
/// Copies a second: so few that there is time to pause and to kill.
const RATE: &str = "100";
/// How often the process is killed; the long version says more.
const KILLS: usize = 2;

async fn filled(prefix: &str) -> World {
    let world = parcels(prefix).await;
    let http = world.http();
    let one = async |number: usize| {
        let mut last = moved("LGA");
        last["correlation_id"] = json!(format!("tour-{}", number % 10));
        let events = json!([moved("EWR"), weighed("EWR", 1, 1), last]);
        let answer = http.append(&world.context.name, &format!("parcel-{number}"), "any", events).await;
        assert_eq!(answer.status, 201, "{answer:?}");
    };
    stream::iter(0..STREAMS).for_each_concurrent(APPENDS, one).await;
    world
}

/// A topic of the test's own, with another number of partitions than the events have.
async fn topic(world: &World, name: &str, configs: &[(&str, &str)]) -> String {
    let name = format!("{}.{name}", world.context.name);
    let admin = Admin::connect(&LogConfig::new(&world.stack.kafka, "spina-tests")).await.unwrap();
    let configs = configs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let spec = TopicSpec { name: name.clone(), partitions: 3, replication: 1, configs };
    assert!(admin.create(&spec).await.unwrap());
    name
}

/// Asks for a job; its id.
fn ask(world: &World, into: &str, more: &[&str]) -> String {
    let spina = world.spina().args(["replay", "--context", &world.context.name, "--into", into, "--no-wait"]);
    spina.args(more).json()["id"].as_str().unwrap().to_owned()
}

fn show(world: &World, id: &str) -> Value {
    world.spina().args(["job", "show", id]).json()
}

async fn until(world: &World, id: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    eventually(&format!("job {id} is {what}"), async || {
        let ran = world.spina().args(["job", "show", id]).run();
        // Nobody answers while the process starts.
        let job: Value = serde_json::from_str(&ran.stdout).ok()?;
        is(&job).then_some(job)
    })
    .await
}

async fn ended(world: &World, id: &str, state: &str) -> Value {
    until(world, id, state, |job| job["state"] == state).await
}

async fn restart(world: &mut World) {
    let projector = world.projector.as_mut().unwrap();
    projector.kill();
    projector.start_again();
    projector.ready().await;
}

fn groups(world: &World) -> BTreeSet<String> {
    let listed = kafka_java(&world.stack, "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", &["--list"]);
    listed.lines().map(str::to_owned).collect()
}

/// What a copy has of its original.
fn kept(record: &Fetched) -> (Vec<u8>, Vec<u8>, BTreeMap<String, Vec<u8>>) {
    let ours = [SPINA_REPLAY, SPINA_REPLAYED_FROM];
    let headers = record.headers.iter().filter(|(name, _)| !ours.contains(name));
    let headers = headers.map(|(name, value)| (name.to_owned(), value.unwrap_or_default().to_vec())).collect();
    (record.key.as_deref().unwrap_or_default().to_vec(), record.value.as_deref().unwrap_or_default().to_vec(), headers)
}

/// Each event that matches is in the topic exactly once, as it was, in the order of its stream, and nothing else.
async fn assert_exact(world: &World, id: &str, target: &str) {
    let wanted = |record: &&Fetched| record.headers.get_str("ce_type").unwrap().ends_with(".ParcelMoved");
    let events = committed(&world.stack.kafka, &world.context.events_topic()).await;
    let place = |record: &Fetched| format!("{}:{}:{}", record.topic, record.partition, record.offset);
    let originals: BTreeMap<String, _> =
        events.iter().filter(wanted).map(|record| (place(record), kept(record))).collect();
    assert_eq!(originals.len(), 2 * STREAMS);
    let (mut copies, mut versions) = (BTreeMap::new(), BTreeMap::new());
    for copy in committed(&world.stack.kafka, target).await {
        assert_eq!(copy.headers.get_str(SPINA_REPLAY), Some(id));
        let original = copy.headers.get_str(SPINA_REPLAYED_FROM).unwrap().to_owned();
        let headers = read_event_headers(&copy.headers, copy.key.as_deref().unwrap()).unwrap();
        let before = versions.insert(headers.stream.to_string(), headers.version);
        assert!(before < Some(headers.version), "{original} overtook another event of {}", headers.stream);
        assert!(copies.insert(original.clone(), kept(&copy)).is_none(), "{original} is there twice");
    }
    assert_eq!(copies.keys().collect::<Vec<_>>(), originals.keys().collect::<Vec<_>>(), "which events were copied");
    assert_eq!(copies, originals);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_and_killed_job_copies_each_matching_event_exactly_once() {
    let kills = std::env::var("SPINA_TEST_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(KILLS);
    let mut world = filled("jobs").await;
    let (target, groups_before) = (topic(&world, "copies", &[]).await, groups(&world));
    let more = ["--type", "ParcelMoved", "--rate", RATE, "--reason", "for the ledger", "--by", "ann"];
    let id = ask(&world, &format!("topic:{target}"), &more);
    until(&world, &id, "on its way", |job| job["matched"].as_i64() > Some(20)).await;
    let paused = world.spina().args(["job", "pause", &id, "--reason", "lunch", "--by", "bob"]).json();
    assert_eq!(paused["state"], "paused");
    let copied = committed(&world.stack.kafka, &target).await.len();
    assert_eq!((&paused["matched"], copied < 2 * STREAMS), (&json!(copied), true), "what it says is there: {paused}");

    // It rests over a restart; and it does not matter what the database remembers.
    restart(&mut world).await;
    let forget =
        "UPDATE spina.jobs SET next_offsets = starts, target_next = '{0,0,0}', matched = 0 WHERE id::text = $1";
    let database = Database::connect(&world.stack).await;
    assert_eq!(database.execute(forget, &[&id]).await.unwrap(), 1);
    assert_eq!(show(&world, &id)["state"], "paused");
    world.spina().args(["job", "resume", &id]).succeeds();
    let mut matched = i64::try_from(copied).unwrap();
    for _ in 0..kills {
        let job = until(&world, &id, "further", |job| job["matched"].as_i64() > Some(matched + 10)).await;
        matched = job["matched"].as_i64().unwrap();
        restart(&mut world).await;
    }
    let done = ended(&world, &id, "done").await;
    assert_exact(&world, &id, &target).await;
    assert_eq!((&done["matched"], &done["done"]), (&json!(2 * STREAMS), &done["total"]), "{done}");
    assert_eq!(groups(&world), groups_before, "no group came or went");
    let log: Vec<_> = done["log"].as_array().unwrap().iter().map(|e| [&e["verb"], &e["by"], &e["reason"]]).collect();
    assert_eq!(log[..2], [["ask", "ann", "for the ledger"], ["pause", "bob", "lunch"]], "{done}");
    assert_eq!((log[2][0], log[3][0], log.len()), (&json!("resume"), &json!("done"), 4), "{done}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_counts_what_a_replay_with_the_same_conditions_prints() {
    let world = filled("counted").await;
    let target = topic(&world, "copies", &[]).await;
    let printed = |more: &[&str]| -> Vec<Value> {
        let spina = world.spina().args(["replay", "--context", &world.context.name, "--output", "ndjson"]).args(more);
        spina.succeeds().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let all = printed(&[]);
    assert_eq!(all.len(), 3 * STREAMS);
    let (time, token) = (all[400]["time"].as_str().unwrap(), all[400]["token"].as_str().unwrap());
    let conditions: [&[&str]; 6] = [
        &[],
        &["--type", "ParcelMoved", "--correlation", "tour-3", "--correlation", "tour-4"],
        &["--stream", "parcel-7", "--stream", "parcel-8"],
        &["--from", time],
        &["--to", time],
        &["--from", token, "--type", "ParcelWeighed"],
    ];
    for condition in conditions {
        let id = ask(&world, &format!("topic:{target}"), &[condition, &["--dry-run"]].concat());
        let job = ended(&world, &id, "done").await;
        let expected = printed(condition).len();
        assert!(expected > 0, "{condition:?}");
        assert_eq!(job["matched"], expected, "{condition:?}: {job}");
    }
    // Up to a token: the partition that it names, to there.
    let id = ask(&world, &format!("topic:{target}"), &["--until", token, "--dry-run"]);
    let partition = token.rsplit_once(':').unwrap().0;
    let upto =
        all.iter().take(401).filter(|event| event["token"].as_str().unwrap().starts_with(&format!("{partition}:")));
    assert_eq!(ended(&world, &id, "done").await["matched"], upto.count());
    assert_eq!(offsets(&world.stack.kafka, &target).await, 0, "nothing was written");

    let refused = |into: &str| world.spina().args(["replay", "--context", &world.context.name, "--into", into]).run();
    let compacted = topic(&world, "last", &[("cleanup.policy", "compact")]).await;
    for (into, words) in [
        (format!("topic:{}", world.context.events_topic()), "only Spina writes"),
        (format!("topic:{compacted}"), "compacted"),
        ("topic:nobody-made-it".to_owned(), "does not exist"),
    ] {
        let ran = refused(&into);
        assert!(!ran.status.success() && ran.stderr.contains(words), "{into}: {ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_posts_every_event_to_an_endpoint_that_fails_now_and_then() {
    let world = filled("posted").await;
    let notices = Notices::start();
    let ids = committed(&world.stack.kafka, &world.context.events_topic()).await;
    let ids = ids.iter().filter(|record| record.headers.get_str("ce_correlationid") == Some("tour-3"));
    let id = ask(&world, &format!("{}/notices", notices.base()), &["--correlation", "tour-3"]);
    let done = ended(&world, &id, "done").await;
    let key = |record: &Fetched| format!("replay-{id}-{}", record.headers.get_str("ce_id").unwrap());
    let expected: BTreeSet<String> = ids.map(key).collect();
    assert_eq!((expected.len(), &done["matched"]), (STREAMS / 10, &json!(STREAMS / 10)), "{done}");
    assert_eq!(notices.accepted(), expected);

    let id = ask(&world, &format!("{}/refused", notices.base()), &["--stream", "parcel-1"]);
    let failed = ended(&world, &id, "failed").await;
    assert!(failed["error"].as_str().unwrap().contains("/refused answered 4"), "{failed}");
    let cancelled = world.spina().args(["job", "cancel", &id, "--reason", "wrong address", "--by", "ann"]).json();
    assert_eq!((&cancelled["state"], &cancelled["matched"]), (&json!("cancelled"), &json!(0)));
    let again = world.spina().args(["job", "resume", &id]).run();
    assert!(!again.status.success() && again.stderr.contains("the job is cancelled"), "{again:?}");
    let listed = world.spina().args(["job", "list", "--state", "cancelled"]).json();
    assert!(listed["jobs"].as_array().unwrap().iter().any(|job| job["id"] == id), "{listed}");
}
