//! Nasty cases 15 and 16: a projector whose commits lose their answers, one frozen inside its transaction. The rows are exact
//! all the same.

use serde_json::{Value, json};
use spina_tests::database::{Database, DatabaseProxy};
use spina_tests::eventually;
use spina_tests::http::Http;
use spina_tests::service::Service;
use spina_tests::world::World;

use crate::parcels::{append, caught_up, letters, moved, parcels, rows, weighed};

/// Streams of the test.
const PARCELS: usize = 60;
/// Commits whose answers are lost.
const ANSWERS_LOST: usize = 4;

/// Two events for each parcel.
async fn fill(world: &World) {
    let one = async |number: usize| {
        append(world, &format!("parcel-{number}"), vec![weighed("EWR", 1, 1), weighed("LGA", 2, 1)]).await;
    };
    futures::future::join_all((0..PARCELS).map(one)).await;
}

async fn assert_exact(world: &World, rounds: usize) {
    caught_up(world, "depot_load").await;
    caught_up(world, "parcel_status").await;
    let (loads, parcels) = (rows(world, "depot_load").await, rows(world, "parcel_status").await);
    let expected = PARCELS * rounds;
    assert_eq!((&loads["EWR"]["grams"], &loads["LGA"]["grams"]), (&json!(expected), &json!(2 * expected)));
    assert_eq!(parcels.len(), PARCELS);
    assert!(parcels.values().all(|row| row["events"] == json!(2 * rounds)), "{parcels:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nasty_16_a_projector_frozen_in_its_transaction_applies_nothing_twice() {
    let mut world = parcels("frozen").await;
    fill(&world).await;
    assert_exact(&world, 1).await;
    // Its next batch takes the checkpoint's lock, then waits for the table: there it freezes.
    let (database, table) = (Database::connect(&world.stack).await, format!("\"{}\".depot_load", world.context.name));
    database.batch_execute(&format!("BEGIN; LOCK TABLE {table} IN SHARE MODE")).await.unwrap();
    fill(&world).await;
    let watcher = Database::connect(&world.stack).await;
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'INSERT INTO %depot_load%'";
    eventually("a batch is inside its transaction", async || {
        let row = watcher.query_one(waits, &[]).await.ok()?;
        (row.get::<_, i64>(0) > 0).then_some(())
    })
    .await;
    let frozen = world.projector.take().unwrap();
    frozen.freeze(true);
    database.batch_execute("COMMIT").await.unwrap();
    // The server forgets the frozen one's transaction after 10 s; only then can a successor go on.
    let mut successor = Service::start(&world.stack, "projector", &world.context);
    successor.ready().await;
    world.projector = Some(successor);
    assert_exact(&world, 2).await;
    frozen.freeze(false);
    let http = Http::new(&frozen.url);
    let state = eventually("the frozen one knows that it was superseded", async || {
        let seen = http.get(&format!("/v1/projections/{}/depot_load", world.context.name)).await.ok()?;
        (seen.body["state"] == "superseded").then_some(seen.body)
    });
    assert_eq!(state.await["model"], Value::from("depot_load"));
    fill(&world).await;
    assert_exact(&world, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nasty_15_commits_of_the_projector_that_lose_their_answers_count_once() {
    let mut world = parcels("unsaid").await;
    let proxy = DatabaseProxy::start(&world.stack).await;
    let projector = world.projector.as_mut().unwrap();
    projector.kill();
    projector.set("SPINA_POSTGRES_URL", Some(&proxy.url));
    projector.start_again();
    projector.ready().await;
    fill(&world).await;
    assert_exact(&world, 1).await;
    proxy.lose_answers(ANSWERS_LOST);
    for _ in 1..4 {
        fill(&world).await;
    }
    eventually("the answers are lost", async || {
        // Whatever commits next loses its answer: batches do.
        append(&world, "parcel-other", vec![moved("BOS")]).await;
        (proxy.answers_to_lose() == 0).then_some(())
    })
    .await;
    caught_up(&world, "depot_load").await;
    let loads = rows(&world, "depot_load").await;
    assert_eq!((&loads["EWR"]["grams"], &loads["LGA"]["grams"]), (&json!(4 * PARCELS), &json!(8 * PARCELS)));

    // So does the answer to a person: nobody is told, and nothing is done twice.
    append(&world, "parcel-ill", vec![weighed("BOS", 5, 0), moved("EWR"), moved("LGA")]).await;
    caught_up(&world, "parcel_status").await;
    let id = letters(&world, "parcel_status")[0]["id"].to_string();
    proxy.lose_answers(1);
    let unsure = world.spina().args(["dead-letter", "skip", &id]).run();
    assert!(!unsure.status.success(), "{unsure:?}");
    eventually("the letters are settled", async || {
        let left = letters(&world, "parcel_status");
        if let Some(next) = left.first() {
            world.spina().args(["dead-letter", "retry", &next["id"].to_string()]).run();
        }
        left.is_empty().then_some(())
    })
    .await;
    assert_eq!(rows(&world, "parcel_status").await["parcel-ill"]["events"], 2);
}
