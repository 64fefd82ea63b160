//! Rows and checkpoint change together or not at all.

use serde_json::{Value, json};
use spina_core::change::Action;
use spina_core::{Cell, CellType, Change, Fold, Op};
use spina_store::read_model::{Applied, Slot};

use crate::support::{Books, Dice, at, shape, text, upsert};

#[tokio::test]
async fn every_type_survives_the_database() {
    let columns = [
        ("yes", CellType::Bool, Cell::Bool(true), json!(true)),
        ("long", CellType::Long, Cell::Long(i64::MIN), json!(i64::MIN)),
        ("double", CellType::Double, Cell::Double(0.1), json!(0.1)),
        ("text", CellType::Text, text("ä\u{1F600}'\"\\"), json!("ä\u{1F600}'\"\\")),
        (
            "uuid",
            CellType::Uuid,
            text("6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
            json!("6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
        ),
        ("decimal", CellType::Decimal, text("-12.50"), json!("-12.50")),
        ("date", CellType::Date, text("2013-02-28"), json!("2013-02-28")),
        ("time", CellType::Timestamp, Cell::Time(at(-1)), json!("1969-12-31T23:59:59.999999Z")),
        ("json", CellType::Json, Cell::Json("{\"a\":[1,null]}".into()), json!({"a": [1, null]})),
        ("order", CellType::Text, Cell::Null, Value::Null),
    ];
    let definition: Vec<_> = columns.iter().map(|(name, cell, ..)| (*name, *cell, Fold::Set)).collect();
    let books = Books::of(shape(&definition)).await;
    let mut lease = books.take().await;
    let ops = columns.iter().enumerate().map(|(at, (_, _, cell, _))| (at, Op::Set(cell.clone()))).collect();
    books.apply(Slot::Live, &mut lease, [1, 0], vec![upsert(7, ops)]).await;
    let row = books.store.row(&books.view(), &[Cell::Long(7)]).await.unwrap().unwrap();
    for (name, _, _, value) in &columns {
        assert_eq!(&row[*name], value, "{name}");
    }
    assert_eq!(books.store.row(&books.view(), &[Cell::Long(8)]).await.unwrap(), None);
}

#[tokio::test]
async fn batches_of_any_size_give_the_same_rows() {
    let definition = [
        ("set", CellType::Long, Fold::Set),
        ("other", CellType::Text, Fold::Set),
        ("n", CellType::Long, Fold::Add),
        ("least", CellType::Long, Fold::Min),
        ("most", CellType::Text, Fold::Max),
        ("mean", CellType::Long, Fold::Mean),
        ("last", CellType::Text, Fold::Last),
    ];
    let mut dice = Dice(7);
    let changes: Vec<Change> = (0..600).map(|number| random_change(&mut dice, number)).collect();
    let mut tables = Vec::new();
    for batch_len in [1, 7, 100, 600] {
        let books = Books::of(shape(&definition)).await;
        let mut lease = books.take().await;
        for (number, part) in changes.chunks(batch_len).enumerate() {
            let next = [i64::try_from(number).unwrap() + 1, 0];
            assert_eq!(books.apply(Slot::Live, &mut lease, next, part.to_vec()).await, Applied::Committed);
        }
        tables.push(books.all().await);
    }
    assert!(tables[0].len() > 10 && tables[0].iter().any(|row| row["mean"].is_number()));
    assert!(tables.iter().all(|table| *table == tables[0]));
}

fn random_change(dice: &mut Dice, number: u64) -> Change {
    let key = vec![Cell::Long(i64::try_from(dice.roll(20)).unwrap())];
    if dice.roll(25) == 0 {
        return Change { key, action: Action::Delete };
    }
    let value = i64::try_from(dice.roll(100)).unwrap() - 50;
    let all = [
        Op::Set(if value < -40 { Cell::Null } else { Cell::Long(value) }),
        Op::Set(text(&value.to_string())),
        Op::Add(value),
        Op::Min(Cell::Long(value)),
        Op::Max(text(&value.to_string())),
        Op::Mean { sum: value, count: 1 },
        Op::Last { value: text(&number.to_string()), at: at(value), tie: format!("{}", dice.roll(1000)) },
    ];
    let ops = all.into_iter().enumerate().filter(|_| dice.roll(2) == 0).collect();
    Change { key, action: Action::Upsert(ops) }
}

#[tokio::test]
async fn untouched_columns_have_their_first_value() {
    let definition =
        [("n", CellType::Long, Fold::Add), ("mean", CellType::Long, Fold::Mean), ("x", CellType::Long, Fold::Max)];
    let books = Books::of(shape(&definition)).await;
    let mut lease = books.take().await;
    books.apply(Slot::Live, &mut lease, [1, 0], vec![upsert(1, vec![])]).await;
    let expected = json!({"id": 1, "n": 0, "mean": null, "x": null});
    assert_eq!(Value::from(books.all().await.remove(0)), expected);
}

#[tokio::test]
async fn a_refused_batch_leaves_nothing() {
    let books = Books::of(shape(&[("n", CellType::Long, Fold::Add)])).await;
    let mut lease = books.take().await;
    books.apply(Slot::Live, &mut lease, [1, 0], vec![upsert(1, vec![(0, Op::Add(i64::MAX))])]).await;
    let mut batch = spina_core::Batch::default();
    batch.add(upsert(2, vec![(0, Op::Add(1))])).unwrap();
    batch.add(upsert(1, vec![(0, Op::Add(1))])).unwrap();
    let refused = books.store.apply(&books.name, Slot::Live, &books.shape, &lease, &[2, 0], &batch.into()).await;
    let error = refused.unwrap_err();
    assert!(!error.is_transient() && error.to_string().contains("bigint out of range"), "{error}");
    assert_eq!(books.all().await.len(), 1);
    assert_eq!(books.take().await.next_offsets, [1, 0]);
}
