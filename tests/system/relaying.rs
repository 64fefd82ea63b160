//! An outbox without Kafka Connect: `spina outbox` carries its rows, whatever is killed.

use spina_tests::world::World;
use spina_tests::{PATIENCE, eventually};

use crate::outbox::{Application, assert_one_event_each};

/// Rows inserted in each round.
const ROWS: usize = 200;
/// Rounds; something is killed in each.
const ROUNDS: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn each_row_is_one_event_in_order_while_relays_and_the_event_store_are_killed() {
    let mut world = World::with_event_store("relay").await;
    let application = Application::install(&world).await;
    let mut carrying = application.relay(&world).spawn();
    for round in 0..ROUNDS {
        // One that waits for the other to end.
        let standby = application.relay(&world).spawn();
        application.insert(round * ROWS, (round + 1) * ROWS).await;
        match round % 3 {
            0 => drop(std::mem::replace(&mut carrying, standby)),
            1 => {
                world.event_store.kill();
                world.event_store.start_again();
            }
            _ => application.cut_off_relays().await,
        }
    }
    assert_one_event_each(&mut world, ROUNDS * ROWS, PATIENCE).await;

    let left = format!("SELECT count(*) FROM {}", application.table);
    eventually("what was carried is deleted", async || {
        (application.database.query_one(&left, &[]).await.unwrap().get::<_, i64>(0) == 0).then_some(())
    })
    .await;
    assert!(carrying.runs(), "it waits for more");
    eventually("it has the table, and another is refused", async || {
        let second = application.relay(&world).arg("--once").run();
        second.stderr.contains("another relay carries").then(|| assert_eq!(second.status.code(), Some(3)))
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_carried_is_told() {
    let world = World::shared().await;
    let application = Application::install(world).await;
    let Application { database, table, .. } = &application;
    let refused = |exit: i32, words: &str| {
        let ran = application.relay(world).arg("--once").run();
        assert_eq!(ran.status.code(), Some(exit), "{ran:?}");
        assert!(ran.stderr.contains(words), "{words}: {ran:?}");
    };
    let large = format!(
        "INSERT INTO {table} VALUES (gen_random_uuid(), 'flight', 'flight-1', 'FlightCancelled', \
         to_jsonb(repeat('x', 1048576)), NULL)"
    );
    database.batch_execute(&large).await.unwrap();
    refused(3, "are the most");
    database.batch_execute(&format!("ALTER TABLE {table} DROP COLUMN position")).await.unwrap();
    refused(3, "the layout is docs/connect/outbox.sql");
    database.batch_execute(&format!("DROP TABLE {table}")).await.unwrap();
    refused(5, "there is no table");
}
