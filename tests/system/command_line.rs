//! The same by the `spina` command: what it prints and how it ends.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use spina_log::admin::TopicSpec;
use spina_log::{Admin, LogConfig};
use spina_tests::context::Context;
use spina_tests::eventually;
use spina_tests::spina::Spina;
use spina_tests::stack::Stack;
use spina_tests::world::World;

use crate::samples::{departed, new_stream, scheduled};

fn publish(world: &World, stream: &str, event: &Value, expected: &str) -> Spina {
    let event_type = event["type"].as_str().unwrap();
    let data = event["data"].to_string();
    world.spina().args(["publish", stream, event_type, "--expected-version", expected, "--data", &data])
}

#[tokio::test]
async fn publish_read_and_state() {
    let world = World::shared().await;
    let stream = new_stream();
    let published = publish(world, &stream, &scheduled(), "no_stream").json();
    assert_eq!(published["version"], 1);
    publish(world, &stream, &departed(), "1").succeeds();

    let read = world.spina().args(["read", &stream]).json();
    let versions: Vec<&Value> = read["events"].as_array().unwrap().iter().map(|event| &event["version"]).collect();
    assert_eq!(versions, [&json!(1), &json!(2)]);
    let text = world.spina().args(["read", &stream]).succeeds();
    assert!(text.contains("FlightScheduled") && text.contains("FlightDeparted"), "{text}");
    let earlier = world.spina().args(["state", &stream, "--version", "1"]).json();
    assert_eq!(earlier["state"]["status"], "FlightScheduled");
}

#[tokio::test]
async fn a_stale_expected_version_ends_badly_and_shows_the_current_one() {
    let world = World::shared().await;
    let stream = new_stream();
    publish(world, &stream, &scheduled(), "no_stream").succeeds();

    let text = publish(world, &stream, &departed(), "7").run();
    assert_eq!(text.status.code(), Some(3));
    assert!(text.stderr.contains("error[state.conflict]") && text.stderr.contains("current version: 1"), "{text:?}");
    let machine = publish(world, &stream, &departed(), "7").args(["--output", "json"]).run();
    let error: Value = serde_json::from_str(&machine.stderr).unwrap();
    assert_eq!((&error["error_code"], &error["details"]["current_version"]), (&json!("state.conflict"), &json!(1)));
}

#[tokio::test]
async fn invalid_data_ends_badly_and_stores_nothing() {
    let world = World::shared().await;
    let stream = new_stream();
    let with = |field: &str, value: Value| {
        let mut event = scheduled();
        event["data"][field] = value;
        event
    };
    let mut unknown = scheduled();
    unknown["type"] = json!("FlightExploded");
    for (event, code) in [
        (unknown, "validation.unknown_type"),
        (with("gate", json!("C 12")), "validation.unknown_field"),
        (with("flight", json!("1545")), "validation.type"),
    ] {
        let ran = publish(world, &stream, &event, "any").run();
        assert_eq!(ran.status.code(), Some(3), "{ran:?}");
        assert!(ran.stderr.contains(code), "{code}: {ran:?}");
    }
    let file = world.stack.folder(&stream).join("large.json");
    std::fs::write(&file, with("carrier", json!("U".repeat(2 << 20)))["data"].to_string()).unwrap();
    let large = world.spina().args(["publish", &stream, "FlightScheduled", "--data", &format!("@{}", file.display())]);
    let ran = large.run();
    assert!(ran.stderr.contains("validation.too_large") && ran.status.code() == Some(3), "{ran:?}");

    let read = world.spina().args(["read", &stream]).run();
    assert_eq!(read.status.code(), Some(5), "nothing is there: {read:?}");
}

#[tokio::test]
async fn a_key_makes_publishing_repeatable() {
    let world = World::shared().await;
    let stream = new_stream();
    let once = || publish(world, &stream, &scheduled(), "any").args(["--idempotency-key", &stream]).json();
    assert_eq!(once(), once());
    let other = publish(world, &stream, &departed(), "any").args(["--idempotency-key", &stream]).run();
    assert!(other.stderr.contains("validation.idempotency_key"), "{other:?}");
}

#[tokio::test]
async fn drift_is_shown_and_fails_a_check() {
    let stack = Stack::get();
    let context = Context::create(&stack, "drifting");
    let plan = |more: &[&str]| context.topology(Spina::of(&stack), "plan").args(more).run();
    assert_eq!(plan(&["--check"]).status.code(), Some(0));

    let admin = Admin::connect(&LogConfig::new(&stack.kafka, "spina-tests")).await.unwrap();
    let old = format!("{}.old.v1", context.name);
    let configs = BTreeMap::new();
    admin.create(&TopicSpec { name: old.clone(), partitions: 1, replication: 1, configs }).await.unwrap();
    eventually("the check sees the topic", async || (plan(&["--check"]).status.code() == Some(2)).then_some(())).await;
    let shown = plan(&["--check"]);
    assert!(shown.stdout.contains(&format!("topic {old} is in the cluster and declared nowhere")), "{shown:?}");
    assert_eq!(plan(&[]).status.code(), Some(0), "there is nothing to apply");

    admin.delete(&old).await.unwrap();
    let shorter = [("retention.ms".to_owned(), "86400000".to_owned())].into();
    admin.alter(&context.replies_topic(), &shorter).await.unwrap();
    let shown = eventually("the check sees the setting", async || {
        let shown = plan(&["--check"]);
        shown.stdout.contains("retention.ms: 86400000 -> 604800000").then_some(shown)
    });
    assert_eq!(shown.await.status.code(), Some(2));
    context.topology(Spina::of(&stack), "apply").succeeds();
    eventually("all is well again", async || (plan(&["--check"]).status.code() == Some(0)).then_some(())).await;
}

#[tokio::test]
async fn topology_applied_again_changes_nothing() {
    let world = World::shared().await;
    let plan = world.spina().args(["topology", "plan"]).arg("--topology-dir").arg(&world.context.topology_dir);
    let ran = plan.arg("--schemas-dir").arg(&world.context.schemas_dir).run();
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
}
