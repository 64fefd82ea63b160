//! An outbox without Kafka Connect: `spina outbox` carries its rows, whatever is killed.

use spina_tests::world::World;
use spina_tests::{PATIENCE, eventually};

use crate::outbox::{Application, assert_one_event_each};

/// A figure of the long run, or the short one's.
fn asked(name: &str, otherwise: usize) -> usize {
    std::env::var(name).map_or(otherwise, |figure| figure.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_row_is_one_event_in_order_while_relays_and_the_event_store_are_killed() {
    let mut world = World::with_event_store("relay").await;
    let application = Application::install(&world).await;
    let mut carrying = application.relay(&world).spawn();
    // Something is killed in each round; `SPINA_TEST_OUTBOX=20000 SPINA_TEST_KILLS=20` is the long run.
    let rounds = asked("SPINA_TEST_KILLS", 6);
    let in_round = asked("SPINA_TEST_OUTBOX", 1_200) / rounds;
    for round in 0..rounds {
        // One that waits for the other to end.
        let standby = application.relay(&world).spawn();
        application.insert(round * in_round, (round + 1) * in_round).await;
        match round % 3 {
            0 => drop(std::mem::replace(&mut carrying, standby)),
            1 => {
                world.event_store.kill();
                world.event_store.start_again();
            }
            _ => application.cut_off_relays().await,
        }
    }
    assert_one_event_each(&mut world, rounds * in_round, PATIENCE).await;

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
