//! Child rows go with their parent: through batches, rebuilds, swaps and comparisons.

use serde_json::{Map, Value};
use spina_core::change::{Action, ChildChange};
use spina_core::{Cell, CellType, Change, ChildTable, Fold, KeyColumn, ModelShape, Op};
use spina_store::read_model::{Applied, Slot, Swap, SwapBack, View};

use crate::support::{Books, Dice, inputs, shape, upsert};

/// Orders with their lines and notes.
fn orders() -> ModelShape {
    let child = |name: &str, columns: &[(&str, CellType, Fold)]| {
        let mut shape = shape(columns);
        shape.key.push(KeyColumn { name: "line".into(), cell: CellType::Long });
        ChildTable { name: name.into(), shape }
    };
    let lines = child("lines", &[("price", CellType::Long, Fold::Set), ("pieces", CellType::Long, Fold::Add)]);
    let notes = child("notes", &[("n", CellType::Long, Fold::Add)]);
    ModelShape { children: vec![lines, notes], ..shape(&[("n", CellType::Long, Fold::Add)]) }
}

fn child(id: i64, table: usize, line: i64, upsert: Option<Vec<(usize, Op)>>) -> Change {
    let change = ChildChange { table, key: vec![Cell::Long(line)], upsert };
    Change { key: vec![Cell::Long(id)], action: Action::Child(change) }
}

fn line(id: i64, number: i64) -> Change {
    child(id, 0, number, Some(vec![(0, Op::Set(Cell::Long(number))), (1, Op::Add(1))]))
}

fn delete(id: i64) -> Change {
    Change { key: vec![Cell::Long(id)], action: Action::Delete }
}

async fn children(books: &Books, name: &str) -> Vec<Map<String, Value>> {
    let view = View::of_children(&books.name, books.shape.child(name).unwrap());
    books.list_of(&view, &[], "").await
}

/// The keys of the orders, and of their lines.
async fn keys(books: &Books) -> (Vec<i64>, Vec<(i64, i64)>) {
    let number = |row: &Map<String, Value>, column: &str| row[column].as_i64().unwrap();
    let lines = children(books, "lines").await;
    let rows = books.all().await;
    let rows = rows.iter().map(|row| number(row, "id")).collect();
    (rows, lines.iter().map(|row| (number(row, "id"), number(row, "line"))).collect())
}

async fn tables(books: &Books) -> Vec<String> {
    const TABLES: &str = "SELECT tablename::text FROM pg_tables WHERE schemaname = $1 ORDER BY 1";
    let client = books.store.client().await.unwrap();
    let found = client.query(TABLES, &[&books.name.context.as_str()]).await.unwrap();
    found.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn children_come_with_their_parent_and_go_with_it() {
    let books = Books::of(orders()).await;
    let mut lease = books.take().await;
    let mut number = 0;
    let mut apply = async |changes| {
        number += 1;
        assert_eq!(books.apply(Slot::Live, &mut lease, [number, 0], changes).await, Applied::Committed);
    };
    apply(vec![line(1, 7), line(1, 8), line(2, 7), child(1, 1, 7, Some(vec![]))]).await;
    assert_eq!(keys(&books).await, (vec![1, 2], vec![(1, 7), (1, 8), (2, 7)]), "parents are there as well");
    apply(vec![child(1, 0, 7, None), line(2, 7), upsert(2, vec![(0, Op::Add(5))])]).await;
    assert_eq!(keys(&books).await, (vec![1, 2], vec![(1, 8), (2, 7)]));
    assert_eq!(children(&books, "notes").await.len(), 1, "another table has its own rows");
    assert_eq!(children(&books, "lines").await[1]["pieces"], 2);
    apply(vec![delete(2), delete(1), line(2, 9)]).await;
    assert_eq!(keys(&books).await, (vec![2], vec![(2, 9)]), "what follows the delete starts from nothing");
    assert!(children(&books, "notes").await.is_empty());
    assert_eq!(books.all().await[0]["n"], 0);
    apply(vec![child(3, 0, 1, None)]).await;
    assert_eq!(keys(&books).await.0, [2], "a child that is not there brings no parent");
}

#[tokio::test]
async fn batches_of_any_size_give_the_same_children() {
    let mut dice = Dice(17);
    let mut small = |sides| i64::try_from(dice.roll(sides)).unwrap();
    let random = |_| {
        let (id, number, what) = (small(8), small(6), small(20));
        match what {
            0 => delete(id),
            1..4 => child(id, 0, number, None),
            4..7 => child(id, 1, number, Some(vec![(0, Op::Add(1))])),
            7..9 => upsert(id, vec![(0, Op::Add(1))]),
            _ => child(id, 0, number, Some(vec![(0, Op::Set(Cell::Long(what))), (1, Op::Add(number))])),
        }
    };
    let changes: Vec<Change> = (0..600).map(random).collect();
    let mut found = Vec::new();
    for batch_len in [1, 7, 100, 600] {
        let books = Books::of(orders()).await;
        let mut lease = books.take().await;
        for (number, part) in changes.chunks(batch_len).enumerate() {
            let next = [i64::try_from(number).unwrap() + 1, 0];
            assert_eq!(books.apply(Slot::Live, &mut lease, next, part.to_vec()).await, Applied::Committed);
        }
        found.push((books.all().await, children(&books, "lines").await, children(&books, "notes").await));
    }
    assert!(found[0].1.len() > 10 && !found[0].2.is_empty());
    assert!(found.iter().all(|one| *one == found[0]));
}

#[tokio::test]
async fn a_refused_child_leaves_nothing_of_the_batch() {
    let books = Books::of(orders()).await;
    let mut lease = books.take().await;
    let most = |pieces| child(1, 0, 1, Some(vec![(1, Op::Add(pieces))]));
    books.apply(Slot::Live, &mut lease, [1, 0], vec![most(i64::MAX)]).await;
    let mut batch = spina_core::Batch::default();
    [upsert(2, vec![]), most(1)].into_iter().for_each(|change| batch.add(change).unwrap());
    let refused = books.store.apply(&books.name, Slot::Live, &books.shape, &lease, &[2, 0], &batch.into()).await;
    assert!(refused.unwrap_err().is_refused_value());
    assert_eq!(keys(&books).await, (vec![1], vec![(1, 1)]));
    assert_eq!(books.take().await.next_offsets, [1, 0]);
}

#[tokio::test]
async fn children_are_compared_switched_rolled_back_and_dropped_with_their_parents() {
    let books = Books::of(orders()).await;
    let mut live = books.take().await;
    books.apply(Slot::Live, &mut live, [1, 0], vec![line(1, 7), line(1, 8)]).await;
    let mut rebuild = books.store.begin_rebuild(&books.name, &books.shape, "new", &inputs()).await.unwrap();
    let other = child(1, 0, 8, Some(vec![(0, Op::Set(Cell::Long(0))), (1, Op::Add(1))]));
    books.apply(Slot::Rebuild, &mut rebuild, [1, 0], vec![other, line(1, 9), line(2, 1)]).await;
    assert_eq!(keys(&books).await, (vec![1], vec![(1, 7), (1, 8)]), "the live tables are as they were");
    let found = books.store.compare_rebuilt(&books.name, &books.shape, &rebuild).await.unwrap().unwrap();
    assert_eq!((found.added, found.removed, found.changed), (1, 0, 0));
    let lines = &found.children["lines"];
    assert_eq!((lines.added, lines.removed, lines.changed, lines.samples.len()), (2, 1, 1, 4), "{lines:?}");
    assert_eq!(found.children["notes"].samples, []);
    let swap = books.store.swap_rebuilt(&books.name, &rebuild).await.unwrap();
    assert!(matches!(swap, Swap::Done(_)));
    let rebuilt = (vec![1, 2], vec![(1, 8), (1, 9), (2, 1)]);
    assert_eq!(keys(&books).await, rebuilt);
    let all = ["model", "model__lines", "model__lines__old", "model__notes", "model__notes__old", "model__old"];
    assert_eq!(tables(&books).await, all);
    assert_eq!(books.store.comparison(&books.name, Slot::Live).await.unwrap(), Some(found));
    assert_eq!(books.store.swap_back(&books.name).await.unwrap(), SwapBack::Done);
    assert_eq!(keys(&books).await, (vec![1], vec![(1, 7), (1, 8)]));
    assert_eq!(books.store.swap_back(&books.name).await.unwrap(), SwapBack::Done);
    assert_eq!(keys(&books).await, rebuilt);
    books.store.drop_table(&books.name, Slot::Old).await.unwrap();
    assert_eq!(tables(&books).await, ["model", "model__lines", "model__notes"]);
}

#[tokio::test]
async fn another_definition_has_other_children() {
    let mut books = Books::of(orders()).await;
    let mut live = books.take().await;
    books.apply(Slot::Live, &mut live, [1, 0], vec![line(1, 7), child(1, 1, 1, Some(vec![]))]).await;
    books.shape.children.remove(1);
    books.shape.children[0].shape.columns.remove(0);
    let mut rebuild = books.store.begin_rebuild(&books.name, &books.shape, "new", &inputs()).await.unwrap();
    let now = child(1, 0, 7, Some(vec![(0, Op::Add(1))]));
    books.apply(Slot::Rebuild, &mut rebuild, [1, 0], vec![now]).await;
    let found = books.store.compare_rebuilt(&books.name, &books.shape, &rebuild).await.unwrap().unwrap();
    assert_eq!(found.columns_removed, ["notes"]);
    assert_eq!(
        (&found.children["lines"].columns_removed, found.children["lines"].changed),
        (&vec!["price".to_owned()], 0)
    );
    let swap = books.store.swap_rebuilt(&books.name, &rebuild).await.unwrap();
    assert!(matches!(swap, Swap::Done(_)));
    assert_eq!(keys(&books).await, (vec![1], vec![(1, 7)]));
    assert_eq!(books.store.swap_back(&books.name).await.unwrap(), SwapBack::Done);
    let all = ["model", "model__lines", "model__lines__old", "model__notes", "model__old"];
    assert_eq!(tables(&books).await, all);
}

#[tokio::test]
async fn a_dropped_table_of_children_starts_the_model_over() {
    let books = Books::of(orders()).await;
    let mut lease = books.take().await;
    books.apply(Slot::Live, &mut lease, [4, 0], vec![line(1, 7)]).await;
    assert_eq!(books.take().await.next_offsets, [4, 0]);
    let client = books.store.client().await.unwrap();
    client.batch_execute(&format!("DROP TABLE \"{}\".model__lines", books.name.context)).await.unwrap();
    assert_eq!(books.take().await.next_offsets, [0, 0]);
    assert_eq!(keys(&books).await, (vec![], vec![]));
}
