//! Kafka Connect with nothing of ours in it: an application's outbox becomes events through Debezium, whatever is killed.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use spina_log::Fetched;
use spina_tests::connect::Worker;
use spina_tests::context::Context;
use spina_tests::stack::root;
use spina_tests::world::World;
use spina_tests::{eventually_within, history};

use crate::outbox::{Application, assert_one_event_each};

/// Rows of the outbox; 20,000 in the long run.
fn rows() -> usize {
    std::env::var("SPINA_TEST_OUTBOX").map_or(2_000, |rows| rows.parse().unwrap())
}

/// How often something is killed or cut off; 20 in the long run.
fn kills() -> usize {
    std::env::var("SPINA_TEST_KILLS").map_or(3, |kills| kills.parse().unwrap())
}

/// A worker that was killed scans its plugins and joins its group again before it goes on.
const PATIENCE: Duration = Duration::from_secs(180);

/// Declares the example's connectors for a context, which share no table, slot or topic with another's.
fn declare(context: &Context) {
    let example = std::fs::read_to_string(root().join("docs/connect/connectors.yaml")).unwrap();
    let name = &context.name;
    let own = example
        .replace("flights.commands.v1", &context.commands_topic())
        .replace("public.outbox", &format!("public.outbox_{name}"))
        .replace("flights_outbox", &format!("{name}_outbox"))
        .replace("topic.prefix: flights", &format!("topic.prefix: {name}"));
    std::fs::write(context.topology_dir.join(name).join("connectors.yaml"), own).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_row_of_an_outbox_is_one_event_in_order_whatever_is_killed() {
    let mut world = World::with_event_store("outbox").await;
    let worker = Worker::up(&world.stack);
    let application = Application::install(&world).await;
    declare(&world.context);

    let planned = world.context.topology(worker.spina(), "plan").run();
    assert_eq!(planned.status.code(), Some(2), "{planned:?}");
    assert!(planned.stdout.contains(&format!("+ connector {}.outbox", world.context.name)), "{planned:?}");
    world.context.topology(worker.spina(), "apply").succeeds();
    let name = format!("{}.outbox", world.context.name);
    eventually_within(PATIENCE, "the connector reads the table", async || {
        let status = worker.spina().args(["connect", "status", &name]).json();
        assert_ne!(status["tasks"][0]["state"], "FAILED", "{status}");
        (status["tasks"][0]["state"] == "RUNNING").then_some(())
    })
    .await;

    let (rows, kills) = (rows(), kills());
    application.insert(0, rows / (kills + 1)).await;
    for kill in 1..=kills {
        match kill % 3 {
            0 => {
                world.event_store.kill();
                world.event_store.start_again();
            }
            1 => {
                worker.kill();
                worker.start_again();
            }
            _ => application.cut_off_readers().await,
        }
        application.insert(rows * kill / (kills + 1), rows * (kill + 1) / (kills + 1)).await;
    }

    assert_one_event_each(&mut world, rows, PATIENCE).await;
    a_failed_task_and_drift_are_told(&world, &worker);
    the_relay_takes_over(&mut world, &application, rows).await;
}

/// The rows are still in the table, as Debezium leaves them: `spina outbox` makes the same records of them.
async fn the_relay_takes_over(world: &mut World, application: &Application, rows: usize) {
    let (kafka, commands) = (world.stack.kafka.clone(), world.context.commands_topic());
    let debeziums = history::committed(&kafka, &commands).await;
    let carried = application.relay(world).arg("--once").json();
    assert_eq!(carried["carried"], rows, "{carried}");
    let all = history::committed(&kafka, &commands).await;
    assert_eq!(all.len(), debeziums.len() + rows);
    let of_id = |records: &[Fetched]| -> BTreeMap<String, Form> { records.iter().map(form).collect() };
    let (before, after) = (of_id(&debeziums), of_id(&all));
    assert_eq!(before.len(), rows);
    // A map keeps the last of an id, which is the relay's.
    assert_eq!(before, after, "key, value and headers are the same");

    let replies = world.context.replies_topic();
    eventually_within(PATIENCE, "every record is answered", async || {
        (history::committed(&kafka, &replies).await.len() >= all.len()).then_some(())
    })
    .await;
    assert_one_event_each(world, rows, PATIENCE).await;
}

/// Key, value and headers of a record.
type Form = (Vec<u8>, Vec<u8>, BTreeMap<String, Option<String>>);

/// A record's id, and what it looks like without what Debezium says of itself.
fn form(record: &Fetched) -> (String, Form) {
    let text = |value: Option<&[u8]>| value.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let ours = record.headers.iter().filter(|(name, _)| !name.starts_with("__debezium."));
    let headers = ours.map(|(name, value)| (name.to_owned(), text(value))).collect();
    let bytes = |bytes: &Option<bytes::Bytes>| bytes.as_deref().unwrap().to_vec();
    let id = record.headers.get_str("ce_id").expect("the row's id").to_owned();
    (id, (bytes(&record.key), bytes(&record.value), headers))
}

/// The worker is there already: what is declared is changed, broken and mended.
fn a_failed_task_and_drift_are_told(world: &World, worker: &Worker) {
    let name = format!("{}.outbox", world.context.name);
    let again = world.context.topology(worker.spina(), "plan").run();
    assert_eq!(again.status.code(), Some(0), "{again:?}");

    let file = world.context.topology_dir.join(&world.context.name).join("connectors.yaml");
    let declared = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, declared.replace("retriable.restart.connector.wait.ms: 1000", "poll.interval.ms: 250"))
        .unwrap();
    let planned = world.context.topology(worker.spina(), "plan").run();
    assert_eq!(planned.status.code(), Some(2));
    for line in [format!("~ connector {name}"), "+ poll.interval.ms = 250".into(), "- retriable.restart".into()] {
        assert!(planned.stdout.contains(&line), "{planned:?}");
    }
    let listed: Value = worker.spina().args(["connect", "list"]).json();
    assert!(listed["connectors"].as_array().unwrap().iter().any(|it| it["name"] == name.as_str()), "{listed}");
    let status = worker.spina().args(["connect", "status", &name]).succeeds();
    assert!(status.contains("source RUNNING"), "{status}");

    std::fs::write(&file, declared.replace("tasks.max: 1", "tasks.max: many")).unwrap();
    let refused = world.context.topology(worker.spina(), "plan").run();
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    assert!(refused.stderr.contains("connectors.yaml:7:") && refused.stderr.contains("`tasks.max`"), "{refused:?}");
    worker.spina().args(["connect", "delete", &name]).succeeds();
}
