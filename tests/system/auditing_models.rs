//! `spina audit model` finds rows that are not what the log says and mends them, while the model goes on; it never finds any
//! where there are none.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use spina_tests::database::Database;
use spina_tests::world::World;

use crate::parcels::{append, caught_up, letters, moved, parcels, projector, rows, weighed};

const PARCELS: usize = 20;
/// Audits under load.
const AUDITS: usize = 4;

fn audit(world: &World, model: &str, more: &[&str]) -> (Option<i32>, Value) {
    let ran = world.spina().args(["audit", "model", model, "--output", "json"]).args(more).run();
    let report = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    (ran.status.code(), report)
}

fn assert_fits(world: &World, model: &str) -> Value {
    let (code, report) = audit(world, model, &[]);
    assert_eq!((code, &report["drift"], &report["unsure"]), (Some(0), &json!([]), &json!(0)), "{model}: {report}");
    report
}

async fn execute(world: &World, sql: &str) {
    let database = Database::connect(&world.stack).await;
    let sql = sql.replace("TABLE", &format!("\"{}\"", world.context.name));
    assert_eq!(database.execute(&sql, &[]).await.unwrap(), 1, "{sql}");
}

async fn metric(world: &World, name: &str) -> u64 {
    let metrics = projector(world).get("/metrics").await.unwrap();
    let text = metrics.body.as_str().unwrap();
    let lines = text.lines().filter(|line| line.starts_with(&format!("spina_projector_{name}{{")));
    let value = |line: &str| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64;
    lines.filter(|line| line.contains(&world.context.name)).map(value).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_finds_rows_that_drifted_and_mends_just_those() {
    let world = parcels("drift").await;
    for number in 0..PARCELS {
        append(&world, &format!("parcel-{number}"), vec![weighed("EWR", 500, 2), moved("JFK")]).await;
    }
    // What is parked is not drift.
    append(&world, "parcel-ill", vec![moved("BOS"), weighed("EWR", 1, 0), moved("LGA")]).await;
    for model in ["parcel_status", "depot_load"] {
        caught_up(&world, model).await;
        assert_fits(&world, model);
    }
    assert_eq!(assert_fits(&world, "parcel_status")["rows"], PARCELS + 1);
    let before = rows(&world, "parcel_status").await;

    // One row changed, one gone, one that no event made, and one that lacks what is parked of it anyway.
    execute(&world, "UPDATE TABLE.parcel_status SET events = 7 WHERE stream = 'parcel-3'").await;
    execute(&world, "DELETE FROM TABLE.parcel_status WHERE stream = 'parcel-4'").await;
    execute(&world, "INSERT INTO TABLE.parcel_status (stream, events) VALUES ('parcel-none', 1)").await;
    execute(&world, "UPDATE TABLE.parcel_status SET depot = 'LGA' WHERE stream = 'parcel-ill'").await;
    let (code, report) = audit(&world, "parcel_status", &[]);
    let mut found: Vec<(Value, Value)> = report["drift"]
        .as_array()
        .unwrap()
        .iter()
        .map(|drift| {
            let stream = if drift["table"].is_null() { &drift["log"]["stream"] } else { &drift["table"]["stream"] };
            (stream.clone(), json!([drift["table"]["events"], drift["log"]["events"]]))
        })
        .collect();
    found.sort_by_key(|(stream, _)| stream.to_string());
    let expected = [
        ("parcel-3", json!([7, 2])),
        ("parcel-4", json!([null, 2])),
        ("parcel-ill", json!([1, 1])),
        ("parcel-none", json!([1, null])),
    ];
    let expected = expected.map(|(stream, events)| (json!(stream), events));
    assert_eq!((code, found.as_slice(), &report["repaired"]), (Some(1), &expected[..], &json!(0)), "{report}");
    assert_eq!(metric(&world, "drifted_rows").await, 4);

    let (code, report) = audit(&world, "parcel_status", &["--repair"]);
    assert_eq!((code, &report["repaired"]), (Some(1), &json!(4)), "{report}");
    assert_fits(&world, "parcel_status");
    assert_eq!(rows(&world, "parcel_status").await, before);
    assert_eq!((metric(&world, "drifted_rows").await, metric(&world, "mended_rows_total").await), (0, 4));

    // What was parked is applied to the mended row, once.
    let letter = letters(&world, "parcel_status")[0]["id"].to_string();
    world.spina().args(["dead-letter", "skip", &letter]).succeeds();
    assert_eq!(rows(&world, "parcel_status").await["parcel-ill"]["depot"], "LGA");
    assert_fits(&world, "parcel_status");
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_there_are_no_false_alarms_and_what_is_mended_counts_once() {
    let world = parcels("busy").await;
    append(&world, "parcel-0", vec![weighed("EWR", 1, 1)]).await;
    caught_up(&world, "depot_load").await;
    let done = AtomicBool::new(false);
    let load = async {
        let mut rounds = 0;
        while !done.load(Ordering::Relaxed) {
            let one = async |number: usize| {
                append(&world, &format!("parcel-{number}"), vec![weighed("EWR", 1, 1), moved("JFK")]).await;
            };
            futures::future::join_all((0..PARCELS).map(one)).await;
            rounds += 1;
        }
        rounds
    };
    let audits = async {
        for _ in 0..AUDITS {
            for model in ["parcel_status", "depot_load"] {
                tokio::task::block_in_place(|| assert_fits(&world, model));
            }
            execute(&world, "UPDATE TABLE.depot_load SET grams = grams + 1000000 WHERE depot = 'EWR'").await;
            let (_, report) = tokio::task::block_in_place(|| audit(&world, "depot_load", &["--repair"]));
            assert_eq!(report["repaired"], 1, "{report}");
        }
        done.store(true, Ordering::Relaxed);
    };
    let (rounds, ()) = tokio::join!(load, audits);
    for model in ["parcel_status", "depot_load"] {
        caught_up(&world, model).await;
        assert_fits(&world, model);
    }
    assert_eq!(rows(&world, "depot_load").await["EWR"]["grams"], 1 + PARCELS * rounds);
    assert_eq!(rows(&world, "parcel_status").await["parcel-1"]["events"], 2 * rounds);
}
