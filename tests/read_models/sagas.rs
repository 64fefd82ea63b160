//! Sagas as they were last seen, and what their owners remembered.

use std::time::{Duration, Instant};

use serde_json::json;
use spina_core::Timestamp;
use spina_store::saga_snapshots::SagaSnapshot;
use spina_store::sagas::{SagaQuery, SagaRow};
use spina_store::{Store, StoreConfig};

/// How many there are, and how many of them are stuck.
const SAGAS: usize = 100_000;
const STUCK: usize = 20;
/// Longest that a list of them may take, the best of some times: others use the machine too.
const LONGEST: Duration = Duration::from_millis(100);
const TIMES: usize = 10;

async fn store() -> Store {
    let url = std::env::var("SPINA_TEST_POSTGRES").expect("SPINA_TEST_POSTGRES is a database's URL");
    Store::connect(&StoreConfig::new(url, "spina-tests")).await.unwrap()
}

fn row(definition: &str, number: usize) -> SagaRow {
    let status = if number % (SAGAS / STUCK) == 7 { "stuck" } else { "completed" };
    SagaRow {
        id: format!("saga-{definition}-{number:06}"),
        definition: definition.to_owned(),
        version: 1,
        status: status.to_owned(),
        events: 9,
        changed_at: Timestamp::default(),
        state: json!({ "steps": { "hold": { "phase": "done", "round": 1 }, "confirm": { "phase": "done", "round": 1 } } }),
    }
}

/// The best of some times.
async fn best(store: &Store, query: &SagaQuery) -> (Duration, Vec<SagaRow>) {
    let mut best = (Duration::MAX, Vec::new());
    for _ in 0..TIMES {
        let begun = Instant::now();
        let rows = store.sagas(query).await.unwrap();
        if begun.elapsed() < best.0 {
            best = (begun.elapsed(), rows);
        }
    }
    best
}

#[tokio::test]
async fn the_stuck_ones_of_100_000_sagas_are_found_by_an_index() {
    let store = store().await;
    let definition = format!("d{}", &uuid::Uuid::new_v4().simple().to_string()[..6]);
    let rows: Vec<SagaRow> = (0..SAGAS).map(|number| row(&definition, number)).collect();
    for part in rows.chunks(5_000) {
        store.show_sagas(part).await.unwrap();
    }
    let mine = SagaQuery { definition: Some(definition.clone()), limit: 100, ..SagaQuery::default() };
    let stuck = SagaQuery { status: Some("stuck".to_owned()), ..mine.clone() };
    let stuck_of_any = SagaQuery { definition: None, limit: 1_000, ..stuck.clone() };
    let last = format!("saga-{definition}-{:06}", SAGAS - 11);
    let end = SagaQuery { after: Some(last), ..mine.clone() };
    for (query, found) in [(&mine, 100), (&stuck, STUCK), (&end, 10)] {
        let (took, rows) = best(&store, query).await;
        assert_eq!(rows.len(), found, "{query:?}");
        assert!(took <= LONGEST, "{query:?} took {took:?}");
    }
    let (took, rows) = best(&store, &stuck_of_any).await;
    assert!(rows.iter().filter(|row| row.definition == definition).count() == STUCK, "{took:?}");
    assert!(took <= LONGEST, "the stuck ones of all definitions took {took:?}");
}

#[tokio::test]
async fn the_latest_snapshot_of_a_partition_is_kept_until_it_is_forgotten() {
    let store = store().await;
    // No cluster of tests has so many partitions.
    let partition = 1_000_000 + i32::from(u16::from_le_bytes(uuid::Uuid::new_v4().as_bytes()[..2].try_into().unwrap()));
    let snapshot = |next_offset: i64| SagaSnapshot {
        partition,
        next_offset,
        last: format!("saga-x/{next_offset}"),
        running: b"[]".to_vec(),
        ended: vec![7; 32],
    };
    assert_eq!(store.saga_snapshot(partition, 1).await.unwrap(), None);
    for offset in [10, 30, 20] {
        store.keep_saga_snapshot(1, &snapshot(offset)).await.unwrap();
    }
    assert_eq!(store.saga_snapshot(partition, 1).await.unwrap(), Some(snapshot(30)), "not one that is older");
    assert_eq!(store.saga_snapshot(partition, 2).await.unwrap(), None, "not one of another build");
    store.forget_saga_snapshot(partition).await.unwrap();
    store.keep_saga_snapshot(1, &snapshot(5)).await.unwrap();
    assert_eq!(store.saga_snapshot(partition, 1).await.unwrap(), Some(snapshot(5)));
}
