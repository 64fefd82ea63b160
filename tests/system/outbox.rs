//! An application's outbox: its table, rows in it, and what must come of them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use spina_tests::database::Database;
use spina_tests::spina::Spina;
use spina_tests::stack::root;
use spina_tests::world::World;
use spina_tests::{eventually_within, history};

/// Rows are spread over so many streams.
const STREAMS: usize = 50;

/// The application: its table, and rows in it.
pub struct Application {
    pub database: Database,
    pub table: String,
    /// What Debezium reads it by.
    slot: String,
}

impl Application {
    pub async fn install(world: &World) -> Self {
        let table = format!("public.outbox_{}", world.context.name);
        let database = Database::connect(&world.stack).await;
        let layout = std::fs::read_to_string(root().join("docs/connect/outbox.sql")).unwrap();
        database.batch_execute(&layout.replace("public.outbox", &table)).await.unwrap();
        Self { database, table, slot: format!("{}_outbox", world.context.name) }
    }

    /// Inserts rows `from..to`, a few in each transaction; the number of a row is its distance.
    pub async fn insert(&self, from: usize, to: usize) {
        for begin in (from..to).step_by(10) {
            let values: Vec<String> = (begin..to.min(begin + 10)).map(row).collect();
            let sql = format!("INSERT INTO {} VALUES {}", self.table, values.join(","));
            self.database.batch_execute(&sql).await.unwrap();
        }
    }

    /// Ends every connection that reads the table's changes.
    pub async fn cut_off_readers(&self) {
        let sql = "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots \
                   WHERE active_pid IS NOT NULL AND slot_name = $1";
        self.database.execute(sql, &[&self.slot]).await.unwrap();
    }

    /// Ends every connection of `spina outbox`.
    pub async fn cut_off_relays(&self) {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'spina-outbox'";
        self.database.execute(sql, &[]).await.unwrap();
    }

    /// The command `spina outbox` for this table.
    pub fn relay(&self, world: &World) -> Spina {
        let spina = Spina::of(&world.stack).env("SPINA_OUTBOX_URL", &world.stack.postgres);
        spina.args(["outbox", &world.context.name, "--table", &self.table])
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

/// Each of so many rows is one event, and those of a stream are in the order of their rows.
pub async fn assert_one_event_each(world: &mut World, rows: usize, patience: Duration) {
    let events = eventually_within(patience, "every row is an event", async || {
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
}
