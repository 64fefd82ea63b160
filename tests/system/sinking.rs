//! A read model as a table of another database: Debezium's JDBC sink reads the model's topic, with nothing of ours in it.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;
use spina_tests::connect::Worker;
use spina_tests::context::Context;
use spina_tests::database::Database;
use spina_tests::eventually_within;
use spina_tests::http::Http;
use spina_tests::service::Service;
use spina_tests::spina::Spina;
use spina_tests::stack::{Stack, root};
use spina_tests::world::World;

use crate::imports;
use crate::samples::{cancelled, departed, scheduled};

/// Events that are imported; the whole year's 1,002,073 in the long run.
fn events() -> usize {
    std::env::var("SPINA_TEST_EVENTS").map_or(6_000, |events| events.parse().unwrap())
}

/// The worker scans its plugins and its tasks join their groups before anything moves; then it writes what was imported, row
/// by row.
fn patience() -> Duration {
    Duration::from_secs(180) + Duration::from_millis(u64::try_from(events()).unwrap())
}

/// The models that have a sink, and the key of each.
const MODELS: [(&str, &str); 2] = [("carrier_punctuality", "carrier"), ("flight_status", "stream")];

/// The flights, with topics for two models; a cancelled flight goes.
fn declare(stack: &Stack) -> Context {
    let context = Context::create(stack, "sink");
    let topics = MODELS.map(|(model, _)| (format!("  {model}:\n"), format!("  {model}:\n    topic: true\n")));
    let deleted = ("set: { status: \"'cancelled'\", version: event.version }", "delete: true");
    rewrite(&context, &topics[0].0, &topics[0].1);
    rewrite(&context, &topics[1].0, &topics[1].1);
    rewrite(&context, deleted.0, deleted.1);
    // The example's sink, once for each model.
    let example = fs::read_to_string(root().join("docs/connect/sinks.yaml")).unwrap();
    let (head, sink) = example.split_once("connectors:\n").unwrap();
    let sinks = MODELS.map(|(model, _)| {
        let (topic, own) = (model.replace('_', "-"), sink.replace("carrier_punctuality", model));
        own.replace("carrier-punctuality", &topic).replace("flights.", &format!("{}.", context.name))
    });
    let sinks = sinks.concat().replace("/reports", &format!("/{}", database(&context)));
    fs::write(file(&context, "connectors.yaml"), format!("{head}connectors:\n{sinks}")).unwrap();
    context
}

fn file(context: &Context, name: &str) -> std::path::PathBuf {
    context.topology_dir.join(&context.name).join(name)
}

fn database(context: &Context) -> String {
    format!("reports_{}", context.name)
}

fn rewrite(context: &Context, from: &str, to: &str) {
    let file = file(context, "projections.yaml");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(&file, text.replacen(from, to, 1)).unwrap();
}

/// The other database.
async fn reports(stack: &Stack, context: &Context) -> Database {
    let name = database(context);
    Database::connect(stack).await.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
    let (address, _) = stack.postgres.rsplit_once('/').unwrap();
    Database::connect_to(&format!("{address}/{name}")).await
}

/// The rows of a table as JSON, in the order of their key, with instants written as the projector writes them.
async fn rows(database: &Database, table: &str, key: &str) -> Option<Vec<Value>> {
    let sql = format!("SELECT to_jsonb(t)::text FROM {table} AS t ORDER BY {key} COLLATE \"C\"");
    let rows = database.query(&sql, &[]).await.ok()?;
    Some(rows.iter().map(|row| plain(serde_json::from_str(row.get(0)).unwrap())).collect())
}

/// A row without the columns that only the folds need; instants without their zone, which is UTC in both.
fn plain(row: Value) -> Value {
    let Value::Object(row) = row else { unreachable!("a row is an object") };
    let visible = row.into_iter().filter(|(column, _)| !column.contains("__"));
    let cut = |value: Value| match value {
        Value::String(text) if text.contains('T') => Value::from(text.trim_end_matches("+00:00").to_owned()),
        other => other,
    };
    visible.map(|(column, value)| (column, cut(value))).collect()
}

/// Waits until both tables of the other database are what the read models are.
#[allow(clippy::print_stdout, reason = "a test may talk")]
async fn assert_same(world: &World, sunk: &Database) {
    let ours = Database::connect(&world.stack).await;
    ours.batch_execute("SET timezone = 'UTC'").await.unwrap();
    for (model, key) in MODELS {
        let table = format!("\"{}\".{model}", world.context.name);
        eventually_within(patience(), &format!("the sink of {model} has its rows"), async || {
            let begun = Instant::now();
            let (expected, found) = (rows(&ours, &table, key).await?, rows(sunk, model, key).await?);
            if !expected.is_empty() && expected == found {
                println!("{model}: {} rows, the same in the sink", expected.len());
                return Some(());
            }
            // A large table is not read all the time: that would hold up whoever fills it.
            tokio::time::sleep(begun.elapsed() * 2).await;
            None
        })
        .await;
    }
}

async fn caught_up(world: &World) {
    let http = Http::new(&world.projector.as_ref().unwrap().url);
    eventually_within(patience(), "the projections have caught up", async || {
        let seen = http.get("/v1/projections").await.ok()?.body;
        let done = |projection: &Value| projection["caught_up"] == true;
        seen["projections"].as_array()?.iter().all(done).then_some(())
    })
    .await;
}

async fn append(world: &World, stream: &str, events: Vec<Value>) {
    let answer = world.http().append(&world.context.name, stream, "any", Value::from(events)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_models_rows_are_a_table_of_another_database_row_by_row() {
    let lines = imports::first(events());
    let stack = Stack::get();
    let worker = Worker::up(&stack);
    let context = declare(&stack);
    let sunk = reports(&stack, &context).await;
    context.topology(worker.spina(), "apply").succeeds();
    let mut event_store = Service::start(&stack, "event-store", &context);
    let mut projector = Service::start(&stack, "projector", &context);
    event_store.ready().await;
    projector.ready().await;
    let mut world = World { stack, context, event_store, projector: Some(projector) };

    world.spina().args(["import", "--context", &world.context.name]).arg(imports::file(&world, &lines)).succeeds();
    caught_up(&world).await;
    assert_same(&world, &sunk).await;

    // A row that goes.
    append(&world, "flight-sunk", vec![scheduled(), departed()]).await;
    caught_up(&world).await;
    assert_same(&world, &sunk).await;
    let count = "SELECT count(*) FROM flight_status WHERE stream = 'flight-sunk'";
    assert_eq!(sunk.query_one(count, &[]).await.unwrap().get::<_, i64>(0), 1);
    append(&world, "flight-sunk", vec![cancelled()]).await;
    caught_up(&world).await;
    assert_same(&world, &sunk).await;
    assert_eq!(sunk.query_one(count, &[]).await.unwrap().get::<_, i64>(0), 0);

    // A column that comes.
    rewrite(
        &world.context,
        "          status: \"'departed'\"\n",
        "          status: \"'departed'\"\n          seen_at: data.origin\n",
    );
    world.context.topology(Spina::of(&world.stack), "apply").succeeds();
    let projector = world.projector.as_mut().unwrap();
    projector.kill();
    projector.start_again();
    projector.ready().await;
    let model = format!("{}/flight_status", world.context.name);
    let rebuilt = world.spina().args(["projection", "rebuild", &model]).json();
    assert_eq!(rebuilt["rebuild"]["state"], "done", "{rebuilt}");
    append(&world, "flight-seen", vec![scheduled(), departed()]).await;
    caught_up(&world).await;
    assert_same(&world, &sunk).await;
    let seen = sunk.query_one("SELECT seen_at FROM flight_status WHERE stream = 'flight-seen'", &[]).await.unwrap();
    assert_eq!(seen.get::<_, &str>(0), "EWR");
    for (model, _) in MODELS {
        worker
            .spina()
            .args(["connect", "delete", &format!("{}.{}", world.context.name, model.replace('_', "-"))])
            .succeeds();
    }
}
