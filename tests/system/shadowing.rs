//! Rebuilding a model beside the live one: readers notice nothing, kills cost nothing, and there is a way back.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::join_all;
use serde_json::{Value, json};
use spina_tests::eventually;
use spina_tests::http::Http;
use spina_tests::world::World;
use tokio::task::JoinSet;

use crate::parcels::{append, caught_up, moved, parcels, projector, rebuild, rows, weighed};

const PARCELS: usize = 200;
/// So small that a rebuild takes a while.
const BATCH: Option<&str> = Some("20");
/// Rebuilds beside a live import, each with a kill.
const REBUILDS: usize = 4;

async fn filled(prefix: &str) -> World {
    let mut world = parcels(prefix).await;
    // One client: to set up two hundred takes so long on a slow machine that the first ones' connections are closed again.
    let http = world.http();
    let appends = (0..PARCELS).map(async |number| {
        let mut events = vec![weighed("EWR", 100, 4)];
        events.extend((number % 3 == 0).then(|| moved("LGA")));
        let answer = http.append(&world.context.name, &format!("parcel-{number}"), "any", Value::from(events)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
    });
    join_all(appends).await;
    restart(&mut world, BATCH).await;
    caught_up(&world, "parcel_status").await;
    world
}

async fn restart(world: &mut World, batch: Option<&str>) {
    let projector = world.projector.as_mut().unwrap();
    projector.kill();
    projector.set("SPINA_BATCH_RECORDS_MAX", batch);
    projector.start_again();
    projector.ready().await;
}

/// The definition with other words.
async fn redefine(world: &mut World, from: &str, to: &str) {
    let file = world.context.topology_dir.join(&world.context.name).join("projections.yaml");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(&file, text.replace(from, to)).unwrap();
    restart(world, None).await;
}

async fn seen(world: &World) -> Value {
    let path = format!("/v1/projections/{}/parcel_status", world.context.name);
    eventually("the projector answers", async || Some(projector(world).get(&path).await.ok()?.body)).await
}

fn diff(world: &World) -> Value {
    world.spina().args(["projection", "diff", "parcel_status"]).json()
}

/// Reads all the time; every answer must have all the rows. How many answers there were.
fn reading_all_the_time(world: &World) -> (Arc<AtomicBool>, JoinSet<usize>) {
    let stop = Arc::new(AtomicBool::new(false));
    let (http, stopped) = (Http::new(&world.projector.as_ref().unwrap().url), Arc::clone(&stop));
    let path = format!("/v1/{}/models/parcel_status?limit=1000", world.context.name);
    let mut reading = JoinSet::new();
    reading.spawn(async move {
        let mut answers = 0;
        while !stopped.load(Ordering::SeqCst) {
            // Nobody answers while the process is down.
            let Ok(answer) = http.get(&path).await else { continue };
            if answer.status == 200 {
                assert_eq!(answer.body["rows"].as_array().map(Vec::len), Some(PARCELS), "a torn or empty table");
                answers += 1;
            }
        }
        answers
    });
    (stop, reading)
}

#[expect(clippy::print_stderr, reason = "a test that fails shows what it saw")]
#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_is_paused_killed_and_resumed_while_readers_notice_nothing() {
    let mut world = filled("shadow").await;
    let before = rows(&world, "parcel_status").await;
    let (stop, mut reading) = reading_all_the_time(&world);
    let spina = |world: &World, verb: &[&str]| world.spina().arg("projection").args(verb).run();
    let begun = spina(&world, &["rebuild", "parcel_status", "--no-wait"]);
    assert!(begun.status.success(), "{begun:?}");
    let paused = spina(&world, &["pause", "parcel_status", "--rebuild", "--timeout", "60"]);
    // On a fast machine it may be over before it can be paused. What the projector says counts, not whether its answer came.
    let state = eventually(&format!("the rebuild rests or is over, after {paused:?}"), async || {
        let state = seen(&world).await["rebuild"]["state"].clone();
        (state == "paused" || state == "done").then_some(state)
    })
    .await;
    if state == "paused" {
        restart(&mut world, BATCH).await;
        let resting = seen(&world).await;
        assert_eq!((&resting["state"], &resting["rebuild"]["state"]), (&json!("running"), &json!("paused")));
        assert!(spina(&world, &["rebuild", "parcel_status"]).stderr.contains("resume or cancel it"));
        let resumed = spina(&world, &["resume", "parcel_status", "--rebuild", "--timeout", "60"]);
        assert!(resumed.status.success(), "{resumed:?}");
    }
    world.projector.as_mut().unwrap().kill();
    world.projector.as_mut().unwrap().start_again();
    world.projector.as_mut().unwrap().ready().await;
    eventually("the rebuild is over", async || {
        let now = seen(&world).await;
        let over = now["rebuild"]["state"] == "done" || now["rebuild"]["state"].is_null();
        if !over {
            eprintln!("not yet: {now}");
        }
        over.then_some(())
    })
    .await;
    stop.store(true, Ordering::SeqCst);
    assert!(reading.join_next().await.unwrap().unwrap() > 0);
    assert_eq!(rows(&world, "parcel_status").await, before);
    let found = diff(&world);
    let nothing =
        json!({"added": 0, "removed": 0, "changed": 0, "columns_added": [], "columns_removed": [], "samples": []});
    assert_eq!(found, nothing, "the same definition gives the same rows");
}

/// Appends without end until told to stop; how many events each parcel got.
fn appending_all_the_time(world: &World) -> (Arc<AtomicBool>, JoinSet<Vec<usize>>) {
    let stop = Arc::new(AtomicBool::new(false));
    let (http, stopped, context) = (world.http(), Arc::clone(&stop), world.context.name.clone());
    let mut importing = JoinSet::new();
    importing.spawn(async move {
        let mut appended = vec![0; PARCELS];
        let mut number = 0;
        while !stopped.load(Ordering::SeqCst) {
            let parcel = number % PARCELS;
            let answer = http.append(&context, &format!("parcel-{parcel}"), "any", json!([moved("BOS")])).await;
            assert_eq!(answer.status, 201, "{answer:?}");
            appended[parcel] += 1;
            number += 1;
        }
        appended
    });
    (stop, importing)
}

/// Reads all the time; no answer may lack a row, or know less of a parcel than one before. How many answers there were.
fn watching(world: &World, stop: Arc<AtomicBool>) -> JoinSet<usize> {
    let http = Http::new(&world.projector.as_ref().unwrap().url);
    let path = format!("/v1/{}/models/parcel_status?limit=1000", world.context.name);
    let mut reading = JoinSet::new();
    reading.spawn(async move {
        let (mut answers, mut known) = (0, vec![0; PARCELS]);
        while !stop.load(Ordering::SeqCst) {
            // Nobody answers while the process is down.
            let Ok(answer) = http.get(&path).await else { continue };
            if answer.status != 200 {
                continue;
            }
            let rows = answer.body["rows"].as_array().unwrap();
            assert_eq!(rows.len(), PARCELS, "a torn or empty table");
            let events: Vec<u64> = rows.iter().map(|row| row["events"].as_u64().unwrap()).collect();
            let back = events.iter().zip(&known).position(|(now, before)| now < before);
            assert_eq!(back, None, "a row went back: {events:?} after {known:?}");
            (known, answers) = (events, answers + 1);
        }
        answers
    });
    reading
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_beside_a_live_import_is_killed_half_way_and_switches_in_one_step() {
    let mut world = filled("import").await;
    let (stop, mut importing) = appending_all_the_time(&world);
    let mut reading = watching(&world, Arc::clone(&stop));
    let mut interrupted = 0;
    for _ in 0..REBUILDS {
        world.spina().args(["projection", "rebuild", "parcel_status", "--no-wait"]).succeeds();
        let state = seen(&world).await["rebuild"]["state"].clone();
        interrupted += usize::from(state == "running" || state == "waiting");
        world.projector.as_mut().unwrap().kill();
        world.projector.as_mut().unwrap().start_again();
        world.projector.as_mut().unwrap().ready().await;
        eventually("the rebuild is over", async || {
            let rebuild = seen(&world).await["rebuild"]["state"].clone();
            (rebuild == "done" || rebuild.is_null()).then_some(())
        })
        .await;
        let found = diff(&world);
        let counts = ["added", "removed", "changed"].map(|field| found[field].clone());
        assert_eq!(counts, [json!(0), json!(0), json!(0)], "{found}");
    }
    stop.store(true, Ordering::SeqCst);
    let appended = importing.join_next().await.unwrap().unwrap();
    assert!(reading.join_next().await.unwrap().unwrap() > 0);
    assert!(interrupted > 0, "some rebuild was under way when the process was killed");
    caught_up(&world, "parcel_status").await;
    let found = rows(&world, "parcel_status").await;
    for (number, appended) in appended.iter().enumerate() {
        let expected = 1 + usize::from(number % 3 == 0) + appended;
        assert_eq!(found[&format!("parcel-{number}")]["events"], expected, "parcel-{number}");
    }
}

#[tokio::test]
async fn a_cancelled_rebuild_leaves_the_live_table_as_it_was() {
    let world = filled("cancel").await;
    let before = rows(&world, "parcel_status").await;
    world.spina().args(["projection", "rebuild", "parcel_status", "--no-wait"]).succeeds();
    let cancelled = world.spina().args(["projection", "cancel", "parcel_status"]).run();
    if cancelled.status.success() {
        assert_eq!(seen(&world).await["rebuild"]["state"], "cancelled");
    }
    assert_eq!(rows(&world, "parcel_status").await, before);
    let again = world.spina().args(["projection", "cancel", "parcel_status"]).run();
    assert!(!again.status.success() && again.stderr.contains("no rebuild is under way"), "{again:?}");
}

#[tokio::test]
async fn a_changed_definition_is_compared_switched_and_rolled_back() {
    let mut world = filled("differ").await;
    let before = rows(&world, "parcel_status").await;
    redefine(&mut world, "set: { depot: data.depot }, count: [events]", "count: [events, moves]").await;
    assert_eq!(seen(&world).await["state"], "rebuild_needed");
    // What is appended meanwhile makes no difference to the comparison: the live table does not have it.
    append(&world, "parcel-later", vec![weighed("EWR", 1, 1)]).await;
    assert_eq!(rebuild(&world, "parcel_status")["rebuild"]["state"], "done");
    let found = diff(&world);
    let counts = ["added", "removed", "changed"].map(|field| found[field].clone());
    assert_eq!(counts, [json!(0), json!(0), json!(0)], "{found}");
    assert_eq!((&found["columns_added"], &found["columns_removed"]), (&json!(["moves"]), &json!(["depot"])));
    caught_up(&world, "parcel_status").await;
    let after = rows(&world, "parcel_status").await;
    assert_eq!(
        (after.len(), &after["parcel-0"]["moves"], &after["parcel-1"]["moves"]),
        (PARCELS + 1, &json!(1), &json!(0))
    );

    redefine(&mut world, "data.grams / data.pieces", "data.grams / data.pieces + 1").await;
    assert_eq!(rebuild(&world, "parcel_status")["rebuild"]["state"], "done");
    let found = diff(&world);
    assert_eq!((&found["changed"], &found["added"]), (&json!(PARCELS + 1), &json!(0)), "{found}");
    let sample = &found["samples"][0];
    assert_eq!((&sample["live"]["grams_per_piece"], &sample["rebuilt"]["grams_per_piece"]), (&json!(25), &json!(26)));

    // Back: the table is the former one at once, and fills again once its definition is back.
    world.spina().args(["projection", "roll-back", "parcel_status"]).succeeds();
    assert_eq!(rows(&world, "parcel_status").await, after);
    assert_eq!(seen(&world).await["state"], "rebuild_needed");
    redefine(&mut world, "data.grams / data.pieces + 1", "data.grams / data.pieces").await;
    append(&world, "parcel-last", vec![weighed("EWR", 1, 1)]).await;
    caught_up(&world, "parcel_status").await;
    assert_eq!(rows(&world, "parcel_status").await.len(), PARCELS + 2);
    assert_ne!(before.len(), after.len());
    world.spina().args(["projection", "drop-old", "parcel_status"]).succeeds();
    let nothing = world.spina().args(["projection", "roll-back", "parcel_status"]).run();
    assert!(!nothing.status.success() && nothing.stderr.contains("no former table is kept"), "{nothing:?}");
    assert_eq!(caught_up(&world, "parcel_status").await["state"], "running");
}
