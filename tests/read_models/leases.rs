//! A model has one owner at a time, and the last one to take it wins.

use spina_core::{CellType, Fold, ModelShape, Op};
use spina_store::read_model::{Applied, Input, Inputs, Resumed, RowBatch, Slot, Swap, SwapBack, Taking};

use crate::support::{Books, at, inputs, shape, upsert};

fn counter() -> ModelShape {
    shape(&[("n", CellType::Long, Fold::Add)])
}

fn one(id: i64) -> Vec<spina_core::Change> {
    vec![upsert(id, vec![(0, Op::Add(1))])]
}

#[tokio::test]
async fn a_model_is_taken_from_the_start_and_then_from_its_checkpoint() {
    let books = Books::of(counter()).await;
    let mut lease = books.take().await;
    assert_eq!(lease.next_offsets, [0, 0]);
    books.apply(Slot::Live, &mut lease, [5, 3], one(1)).await;
    assert_eq!(books.take().await.next_offsets, [5, 3]);
    let row = books.store.models(&books.name.context).await.unwrap().remove(0);
    assert_eq!((row.slot, row.next_offsets.as_slice(), row.paused), (Slot::Live, &[5, 3][..], false));
    assert_eq!(row.shape, books.shape);
}

#[tokio::test]
async fn a_former_writer_can_write_nothing() {
    let books = Books::of(counter()).await;
    let mut former = books.take().await;
    let mut current = books.take().await;
    assert_eq!(books.apply(Slot::Live, &mut former, [1, 0], one(1)).await, Applied::LeaseLost);
    assert_eq!(books.apply(Slot::Live, &mut current, [1, 0], one(1)).await, Applied::Committed);
    assert!(books.all().await[0]["n"] == 1);
    let generation = former.generation;
    let resumed = books.store.resume_model(&books.name, Slot::Live, generation).await.unwrap();
    assert_eq!(resumed, Resumed::Superseded);
}

#[tokio::test]
async fn a_batch_whose_answer_was_lost_is_not_applied_twice() {
    let books = Books::of(counter()).await;
    let mut lease = books.take().await;
    let unaware = lease.clone();
    books.apply(Slot::Live, &mut lease, [1, 0], one(1)).await;
    assert_eq!(books.apply(Slot::Live, &mut unaware.clone(), [1, 0], one(1)).await, Applied::LeaseLost);
    let Resumed::Going(lease) = books.store.resume_model(&books.name, Slot::Live, unaware.generation).await.unwrap()
    else {
        panic!("the model is still ours");
    };
    assert_eq!(lease.next_offsets, [1, 0]);
    assert!(books.all().await[0]["n"] == 1);
}

#[tokio::test]
async fn another_definition_touches_nothing() {
    let books = Books::of(counter()).await;
    let mut lease = books.take().await;
    books.apply(Slot::Live, &mut lease, [4, 0], one(1)).await;
    let changed = Taking::DefinitionChanged { shape: books.shape.clone(), next_offsets: vec![4, 0] };
    assert_eq!(books.take_with("another").await, changed);
    assert_eq!(books.apply(Slot::Live, &mut lease, [5, 0], one(1)).await, Applied::Committed);
}

#[tokio::test]
async fn a_dropped_table_starts_over() {
    let books = Books::of(counter()).await;
    let mut lease = books.take().await;
    books.apply(Slot::Live, &mut lease, [4, 0], one(1)).await;
    let client = books.store.client().await.unwrap();
    client.batch_execute(&format!("DROP TABLE \"{}\".model", books.name.context)).await.unwrap();
    assert_eq!(books.take().await.next_offsets, [0, 0]);
    assert!(books.all().await.is_empty());
}

#[tokio::test]
async fn a_rebuilt_table_takes_the_place_of_the_live_one_in_one_step() {
    let books = Books::of(counter()).await;
    let mut live = books.take().await;
    books.apply(Slot::Live, &mut live, [4, 2], one(1)).await;
    let mut rebuild = books.store.begin_rebuild(&books.name, &books.shape, "new", &inputs()).await.unwrap();
    books.apply(Slot::Rebuild, &mut rebuild, [4, 1], one(2)).await;
    let behind = books.store.swap_rebuilt(&books.name, &rebuild).await.unwrap();
    assert_eq!(behind, Swap::Behind { live: vec![4, 2] });
    assert!(books.all().await[0]["id"] == 1);
    books.apply(Slot::Rebuild, &mut rebuild, [4, 2], one(2)).await;
    let Swap::Done(mut lease) = books.store.swap_rebuilt(&books.name, &rebuild).await.unwrap() else {
        panic!("the rebuilt table is not behind");
    };
    assert!(books.all().await[0]["id"] == 2 && books.all().await[0]["n"] == 2);
    assert_eq!(books.apply(Slot::Live, &mut live, [5, 2], one(1)).await, Applied::LeaseLost);
    assert_eq!(books.apply(Slot::Rebuild, &mut rebuild, [5, 2], one(1)).await, Applied::LeaseLost);
    assert_eq!(books.apply(Slot::Live, &mut lease, [5, 2], one(1)).await, Applied::Committed);
    let client = books.store.client().await.unwrap();
    let kept = client.query(&format!("SELECT id FROM \"{}\".model__old", books.name.context), &[]).await.unwrap();
    assert_eq!(kept[0].get::<_, i64>(0), 1);
}

#[tokio::test]
async fn a_rebuild_can_be_begun_again_and_dropped() {
    let books = Books::of(counter()).await;
    books.take().await;
    let mut first = books.store.begin_rebuild(&books.name, &books.shape, "new", &inputs()).await.unwrap();
    books.apply(Slot::Rebuild, &mut first, [1, 0], one(1)).await;
    let second = books.store.begin_rebuild(&books.name, &books.shape, "new", &inputs()).await.unwrap();
    assert_eq!(second.next_offsets, [0, 0]);
    assert_eq!(books.apply(Slot::Rebuild, &mut first, [2, 0], one(1)).await, Applied::LeaseLost);
    books.store.drop_table(&books.name, Slot::Rebuild).await.unwrap();
    assert_eq!(books.store.swap_rebuilt(&books.name, &second).await.unwrap(), Swap::LeaseLost);
    assert_eq!(books.store.models(&books.name.context).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_former_table_comes_back_with_its_checkpoint_and_leads_forward_again() {
    let books = Books::of(counter()).await;
    assert_eq!(books.store.swap_back(&books.name).await.unwrap(), SwapBack::Nothing);
    let mut live = books.take().await;
    books.apply(Slot::Live, &mut live, [4, 2], one(1)).await;
    let mut rebuild = books.store.begin_rebuild(&books.name, &books.shape, "new", &inputs()).await.unwrap();
    books.apply(Slot::Rebuild, &mut rebuild, [5, 2], one(2)).await;
    let compared = books.store.compare_rebuilt(&books.name, &books.shape, &rebuild).await.unwrap().unwrap();
    assert_eq!((compared.added, compared.removed, compared.changed), (1, 1, 0));
    assert_eq!(compared.samples.len(), 2, "{compared:?}");
    let Swap::Done(mut rebuilt) = books.store.swap_rebuilt(&books.name, &rebuild).await.unwrap() else {
        panic!("the rebuilt table is not behind");
    };
    for (id, offsets) in [(1, [4, 2]), (2, [5, 2])] {
        assert_eq!(books.store.swap_back(&books.name).await.unwrap(), SwapBack::Done);
        assert_eq!(books.all().await[0]["id"], id);
        let row = books.store.models(&books.name.context).await.unwrap().remove(0);
        assert_eq!((row.slot, row.next_offsets), (Slot::Live, offsets.to_vec()));
    }
    assert_eq!(books.apply(Slot::Live, &mut rebuilt, [6, 2], one(2)).await, Applied::LeaseLost);
    let noted = books.store.comparison(&books.name, Slot::Live).await.unwrap();
    assert_eq!(noted, Some(compared));
    books.store.drop_table(&books.name, Slot::Old).await.unwrap();
    assert_eq!(books.store.swap_back(&books.name).await.unwrap(), SwapBack::Nothing);
}

/// Who waits for this connection, and who waits for those.
const WAITERS: &str = "WITH waits AS (SELECT DISTINCT pid FROM pg_locks WHERE NOT granted), \
    first AS (SELECT pid FROM waits WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))) \
    SELECT (SELECT count(*) FROM first) + (SELECT count(*) FROM waits AS other, first \
    WHERE first.pid = ANY (pg_blocking_pids(other.pid)))";

async fn waiters(connection: &tokio_postgres::Client, wanted: i64) {
    let waiting = async { while connection.query_one(WAITERS, &[]).await.unwrap().get::<_, i64>(0) < wanted {} };
    tokio::time::timeout(std::time::Duration::from_secs(60), waiting).await.expect("somebody waits");
}

#[tokio::test]
async fn whoever_takes_a_model_over_during_a_swap_gets_the_rebuilt_table() {
    let books = Books::of(counter()).await;
    let mut live = books.take().await;
    books.apply(Slot::Live, &mut live, [4, 2], one(1)).await;
    let mut rebuild = books.store.begin_rebuild(&books.name, &books.shape, "fingerprint", &inputs()).await.unwrap();
    books.apply(Slot::Rebuild, &mut rebuild, [4, 2], one(2)).await;

    // A reader holds the swap up after it has locked the books.
    let reader = books.store.client().await.unwrap();
    let read = format!("BEGIN; SELECT * FROM \"{}\".model", books.name.context);
    reader.batch_execute(&read).await.unwrap();
    let taking = async {
        waiters(&reader, 1).await;
        let both_wait = async {
            waiters(&reader, 2).await;
            reader.batch_execute("COMMIT").await.unwrap();
        };
        tokio::join!(books.take(), both_wait).0
    };
    let (swapped, lease) = tokio::join!(books.store.swap_rebuilt(&books.name, &rebuild), taking);
    assert!(matches!(swapped.unwrap(), Swap::Done(_)));
    assert_eq!(lease.next_offsets, [4, 2]);
    assert_eq!(books.all().await[0]["id"], 2);
}

#[tokio::test]
async fn what_is_filled_is_not_paused() {
    let books = Books::of(counter()).await;
    let mut live = books.take().await;
    books.store.set_model_paused(&books.name, Slot::Live, true).await.unwrap();
    let paused = async || books.store.models(&books.name.context).await.unwrap()[0].paused;
    assert!(paused().await);
    books.apply(Slot::Live, &mut live, [4, 2], one(1)).await;
    assert!(!paused().await);
}

fn topics(topics: &[(&str, usize)]) -> Inputs {
    let input = |(topic, partitions): &(&str, usize)| Input { topic: (*topic).to_owned(), partitions: *partitions };
    Inputs::of(topics.iter().map(input).collect())
}

#[tokio::test]
async fn a_checkpoint_over_several_topics_is_carried_to_other_topics_by_name() {
    let books = Books::of(counter()).await;
    let (two, three) = (topics(&[("a", 1), ("c", 1)]), topics(&[("a", 1), ("b", 1), ("c", 1)]));
    let take = async |fingerprint, inputs: &Inputs| {
        books.store.take_model(&books.name, Slot::Live, &books.shape, fingerprint, inputs).await.unwrap()
    };
    let Taking::Taken(mut lease) = take("three", &three).await else { panic!("it is new") };
    let batch = RowBatch::default().taken_until(vec![None, Some(at(7)), None]);
    let applied = books.store.apply(&books.name, Slot::Live, &books.shape, &lease, &[4, 5, 6], &batch).await.unwrap();
    assert_eq!(applied, Applied::Committed);
    let Taking::Taken(again) = take("three", &three).await else { panic!("it is the same") };
    assert_eq!((&again.next_offsets[..], again.event_times), (&[4, 5, 6][..], vec![None, Some(at(7)), None]));
    let changed = Taking::DefinitionChanged { shape: books.shape.clone(), next_offsets: vec![4, 6] };
    assert_eq!(take("two", &two).await, changed);
    let more = topics(&[("a", 2), ("b", 1), ("c", 1)]);
    assert_eq!(take("three", &more).await, Taking::PartitionsChanged { stored: 3 });

    // A table of other topics takes its place once it is as far with those that both have.
    lease = books.store.begin_rebuild(&books.name, &books.shape, "two", &two).await.unwrap();
    assert_eq!(lease.next_offsets, [0, 0]);
    assert_eq!(books.store.swap_rebuilt(&books.name, &lease).await.unwrap(), Swap::Behind { live: vec![4, 6] });
    let (name, shape) = (&books.name, &books.shape);
    books.store.apply(name, Slot::Rebuild, shape, &lease, &[4, 6], &RowBatch::default()).await.unwrap();
    let Swap::Done(live) = books.store.swap_rebuilt(name, &lease).await.unwrap() else { panic!("it is far enough") };
    assert_eq!(live.next_offsets, [4, 6]);
    assert_eq!(books.store.swap_back(name).await.unwrap(), SwapBack::Done);
    let changed = Taking::DefinitionChanged { shape: books.shape.clone(), next_offsets: vec![4, 6] };
    assert_eq!(take("two", &two).await, changed);
}
