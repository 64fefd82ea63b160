//! Kafka Connect with nothing of ours in it: an application's outbox becomes events through Debezium, whatever is killed.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use spina_tests::connect::Worker;
use spina_tests::context::Context;
use spina_tests::database::Database;
use spina_tests::stack::root;
use spina_tests::world::World;
use spina_tests::{eventually_within, history};
use std::time::Duration;

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

/// Rows are spread over so many streams.
const STREAMS: usize = 50;

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

/// The application: its table, and rows in it.
struct Application {
    database: Database,
    table: String,
    /// What Debezium reads it by.
    slot: String,
}

impl Application {
    async fn install(world: &World) -> Self {
        let table = format!("public.outbox_{}", world.context.name);
        let database = Database::connect(&world.stack).await;
        let layout = std::fs::read_to_string(root().join("docs/connect/outbox.sql")).unwrap();
        database.batch_execute(&layout.replace("public.outbox", &table)).await.unwrap();
        Self { database, table, slot: format!("{}_outbox", world.context.name) }
    }

    /// Inserts rows `from..to`, a few in each transaction; the number of a row is its distance.
    async fn insert(&self, from: usize, to: usize) {
        for begin in (from..to).step_by(10) {
            let values: Vec<String> = (begin..to.min(begin + 10)).map(row).collect();
            let sql = format!("INSERT INTO {} VALUES {}", self.table, values.join(","));
            self.database.batch_execute(&sql).await.unwrap();
        }
    }

    /// Ends every connection that reads the table's changes.
    async fn cut_off_readers(&self) {
        let sql = "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots \
                   WHERE active_pid IS NOT NULL AND slot_name = $1";
        self.database.execute(sql, &[&self.slot]).await.unwrap();
    }
}

fn stream(row: usize) -> String {
    format!("flight-OB{}-20140101-JFK", row % STREAMS)
}

fn row(number: usize) -> String {
    let id = uuid::Uuid::from_u128(number as u128 + 1);
    let payload = json!({ "carrier": "OB", "origin": "JFK", "dest": format!("{number}"), "day": "2014-01-01" });
    format!("('{id}', 'flight', '{}', 'FlightCancelled', '{payload}', NULL)", stream(number))
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

    let events = eventually_within(PATIENCE, "every row is an event", async || {
        let events = history::events(&world.stack.kafka, &world.context.events_topic()).await;
        (events.len() >= rows).then_some(events)
    })
    .await;
    assert_eq!(events.len(), rows, "each once");
    history::assert_sound(&events);
    world.event_store.ready().await;
    let expected: BTreeMap<String, Vec<String>> = (0..rows).fold(BTreeMap::new(), |mut streams, number| {
        streams.entry(stream(number)).or_insert_with(Vec::new).push(number.to_string());
        streams
    });
    for (stream, numbers) in expected {
        let path = format!("/v1/{}/streams/{stream}/events?limit=1000", world.context.name);
        let read = world.http().get(&path).await.unwrap().body;
        let seen: Vec<&str> =
            read["events"].as_array().unwrap().iter().map(|event| event["data"]["dest"].as_str().unwrap()).collect();
        assert_eq!(seen, numbers, "{stream}");
    }
    a_failed_task_and_drift_are_told(&world, &worker);
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
