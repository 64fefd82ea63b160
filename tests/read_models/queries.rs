//! Rows are found by filters, in order, page by page.

use serde_json::{Map, Value, json};
use spina_core::{Cell, CellType, Fold, Op};
use spina_store::read_model::{ListQuery, Slot};

use crate::support::{Books, Dice, shape, text, upsert};

const NAMES: [&str; 6] = ["", "Ada", "Adam", "ada", "Zoë", "O'Brien; DROP TABLE x"];

/// Forty people, some without a name or an age.
async fn people() -> Books {
    let books = Books::of(shape(&[("name", CellType::Text, Fold::Set), ("age", CellType::Long, Fold::Set)])).await;
    let mut lease = books.take().await;
    let mut dice = Dice(3);
    let mut changes = Vec::new();
    for id in 0..40 {
        let name = NAMES.get(usize::try_from(dice.roll(7)).unwrap()).map_or(Cell::Null, |name| text(name));
        let age = i64::try_from(dice.roll(5)).unwrap();
        let age = if age == 4 { Cell::Null } else { Cell::Long(age) };
        changes.push(upsert(id, vec![(0, Op::Set(name)), (1, Op::Set(age))]));
    }
    books.apply(Slot::Live, &mut lease, [1, 0], changes).await;
    books
}

fn naive(row: &Map<String, Value>, field: &str, operator: &str, value: &str) -> bool {
    let cell = &row[field];
    if operator == "null" {
        return cell.is_null() == (value == "true");
    }
    let order = match cell {
        Value::Null => return false,
        Value::String(text) if operator == "prefix" => return text.starts_with(value),
        Value::String(text) => text.as_str().cmp(value),
        number => number.as_i64().unwrap().cmp(&value.parse().unwrap()),
    };
    match operator {
        "eq" => order.is_eq(),
        "ne" => order.is_ne(),
        "lt" => order.is_lt(),
        "le" => order.is_le(),
        "gt" => order.is_gt(),
        _ => order.is_ge(),
    }
}

#[tokio::test]
async fn filters_find_what_a_naive_filter_finds() {
    let books = people().await;
    let all = books.all().await;
    let mut tried = 0;
    for operator in ["eq", "ne", "lt", "le", "gt", "ge", "prefix", "null"] {
        for (field, values) in [("name", &NAMES[..]), ("age", &["0", "2", "9", "-1"]), ("id", &["0", "17"])] {
            let values = if operator == "null" { &["true", "false"][..] } else { values };
            for value in values.iter().filter(|_| operator != "prefix" || field == "name") {
                let found = books.list(&[format!("{field}:{operator}:{value}")], "").await;
                let expected: Vec<_> = all.iter().filter(|row| naive(row, field, operator, value)).cloned().collect();
                assert_eq!(found, expected, "{field}:{operator}:{value}");
                tried += 1;
            }
        }
    }
    assert!(tried > 80);
    let both = books.list(&["age:ge:2".into(), "name:prefix:A".into()], "").await;
    assert!(both.iter().all(|row| naive(row, "age", "ge", "2") && naive(row, "name", "prefix", "A")));
}

#[tokio::test]
async fn pages_follow_the_order_without_gap_or_repetition() {
    let books = people().await;
    for (order, field, descending) in
        [("name", "name", false), ("name:desc", "name", true), ("age:desc,name", "age", true), ("id:desc", "id", true)]
    {
        let rows = books.list(&[], order).await;
        let mut ids: Vec<_> = rows.iter().map(|row| row["id"].as_i64().unwrap()).collect();
        for pair in rows.windows(2) {
            assert!(in_order(&pair[0][field], &pair[1][field], descending), "{order}: {pair:?}");
        }
        ids.sort_unstable();
        assert_eq!(ids, (0..40).collect::<Vec<_>>(), "{order}");
    }
}

fn in_order(first: &Value, second: &Value, descending: bool) -> bool {
    let order = match (first, second) {
        (_, Value::Null) => return true,
        (Value::Null, _) => return false,
        (Value::String(first), Value::String(second)) => first.cmp(second),
        (first, second) => first.as_i64().cmp(&second.as_i64()),
    };
    if descending { order.is_ge() } else { order.is_le() }
}

#[tokio::test]
async fn nonsense_is_told_before_any_sql_runs() {
    let books = people().await;
    let parse = |filter: &str, order: &str, limit, cursor: Option<&str>| {
        let filters: Vec<String> = (!filter.is_empty()).then(|| filter.to_owned()).into_iter().collect();
        ListQuery::parse(&books.view(), &filters, order, limit, cursor).unwrap_err().to_string()
    };
    for (filter, order, words) in [
        ("nme:eq:x", "", "unknown field `nme`, the model has id, name, age"),
        ("name", "", "field:operator:value"),
        ("name:like:x", "", "unknown operator `like`"),
        ("age:prefix:1", "", "unknown operator `prefix`"),
        ("age:eq:1 OR 1=1", "", "is not a long"),
        ("name:eq:a\0b", "", "is not a text"),
        ("name\" = '' OR 1=1 --:eq:x", "", "unknown field"),
        ("", "age:up", "`up` is not asc or desc"),
        ("", "nme", "unknown field"),
        ("", "age,age", "twice"),
    ] {
        let message = parse(filter, order, 10, None);
        assert!(message.contains(words), "{filter} {order}: {message}");
    }
    assert!(parse("", "", 0, None).contains("1 to 1000"));
    assert!(parse("", "", 1001, None).contains("1 to 1000"));
    assert!(parse("", "", 10, Some("!!")).contains("cursor"));
    let query = ListQuery::parse(&books.view(), &[], "name", 5, None).unwrap();
    let cursor = books.store.rows(&books.view(), &query).await.unwrap().cursor.unwrap();
    assert!(parse("", "age", 10, Some(&cursor)).contains("cursor"));
    assert_eq!(json!(books.all().await.len()), json!(40));
}
