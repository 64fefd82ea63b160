//! A where clause finds what a naive filter finds, whatever the columns, the values and the conditions are; and nothing
//! that a sender writes becomes SQL.

use spina_core::{Cell, CellType, Fold, Op, Timestamp};
use spina_store::read_model::{BadQuery, ListQuery, Slot};

use crate::support::{Books, Dice, at, shape, text, upsert};

/// Rows, one of four columns of each is null.
const ROWS: usize = 120;
/// Random where clauses.
const CLAUSES: usize = 600;
/// Columns of the model, each with values to choose from. Column names are what SQL would rather keep to itself.
const COLUMNS: [(&str, CellType, &[&str]); 8] = [
    ("where", CellType::Bool, &["true", "false"]),
    ("select", CellType::Long, &["0", "-1", "9223372036854775807", "-9223372036854775808", "42"]),
    ("order", CellType::Double, &["0", "-0.5", "1e300", "-1e-300", "0.1"]),
    ("table", CellType::Text, &INJECTIONS),
    (
        "user",
        CellType::Uuid,
        &[
            "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
        ],
    ),
    ("limit", CellType::Decimal, &["0", "-12.50", "12.5", "100000000000000000000", "0.001"]),
    ("from", CellType::Date, &["2013-02-28", "1969-12-31", "9999-12-31"]),
    (
        "group",
        CellType::Timestamp,
        &["2013-01-01T00:00:00Z", "1969-12-31T23:59:59.999999Z", "2013-01-01T00:00:00.000001Z"],
    ),
];
/// Texts that would be harm, were they ever read as SQL; and a few that are only awkward.
const INJECTIONS: [&str; 14] = [
    "",
    "'",
    "' OR '1'='1",
    "'; DROP TABLE spina.checkpoints; --",
    "x' UNION SELECT version() --",
    "\\'; SELECT pg_sleep(60); --",
    "\" OR 1=1 --",
    "$1",
    "$1::text) OR (true",
    "%",
    "a%",
    "_",
    "NULL",
    "ä:eq:\u{1F600}",
];
const OPERATORS: [&str; 8] = ["eq", "ne", "lt", "le", "gt", "ge", "null", "prefix"];

fn pick<'a>(dice: &mut Dice, from: &[&'a str]) -> &'a str {
    from[usize::try_from(dice.roll(from.len() as u64)).unwrap()]
}

fn cell(of: CellType, written: &str) -> Cell {
    match of {
        CellType::Bool => Cell::Bool(written.parse().unwrap()),
        CellType::Long => Cell::Long(written.parse().unwrap()),
        CellType::Double => Cell::Double(written.parse().unwrap()),
        CellType::Timestamp => Cell::Time(written.parse().unwrap()),
        CellType::Text | CellType::Uuid | CellType::Decimal | CellType::Date | CellType::Json => text(written),
    }
}

/// What every row has, written as text.
type Written = Vec<Option<&'static str>>;

async fn filled(dice: &mut Dice) -> (Books, Vec<Written>) {
    let books = Books::of(shape(&COLUMNS.map(|(name, of, _)| (name, of, Fold::Set)))).await;
    let mut lease = books.take().await;
    let (mut rows, mut changes) = (Vec::new(), Vec::new());
    for id in 0..ROWS {
        let row: Written = COLUMNS.iter().map(|(.., from)| (dice.roll(4) > 0).then(|| pick(dice, from))).collect();
        let cells =
            COLUMNS.iter().zip(&row).map(|((_, of, _), value)| value.map_or(Cell::Null, |value| cell(*of, value)));
        let ops = cells.enumerate().map(|(at, cell)| (at, Op::Set(cell))).collect();
        changes.push(upsert(i64::try_from(id).unwrap(), ops));
        rows.push(row);
    }
    books.apply(Slot::Live, &mut lease, [1, 0], changes).await;
    (books, rows)
}

/// A decimal as a whole number of thousandths: none of the values has more places.
fn thousandths(decimal: &str) -> i128 {
    let (whole, part) = decimal.split_once('.').unwrap_or((decimal, ""));
    format!("{whole}{part:0<3}").parse().unwrap()
}

fn holds(of: CellType, value: Option<&str>, operator: &str, than: &str) -> bool {
    if operator == "null" {
        return value.is_none() == (than == "true");
    }
    let Some(value) = value else { return false };
    if operator == "prefix" {
        return value.starts_with(than);
    }
    let time = |written: &str| -> Timestamp { written.parse().unwrap() };
    let order = match of {
        CellType::Bool => value.parse::<bool>().unwrap().cmp(&than.parse().unwrap()),
        CellType::Long => value.parse::<i64>().unwrap().cmp(&than.parse().unwrap()),
        CellType::Double => value.parse::<f64>().unwrap().partial_cmp(&than.parse().unwrap()).unwrap(),
        CellType::Decimal => thousandths(value).cmp(&thousandths(than)),
        CellType::Timestamp => time(value).cmp(&time(than)),
        // Of these the order of the texts is the order of the values.
        CellType::Text | CellType::Uuid | CellType::Date | CellType::Json => value.cmp(than),
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
async fn a_random_where_clause_finds_what_a_naive_filter_finds() {
    let mut dice = Dice(11);
    let (books, rows) = filled(&mut dice).await;
    let (mut some, mut none) = (0, 0);
    for _ in 0..CLAUSES {
        let (mut texts, mut conditions) = (Vec::new(), Vec::new());
        for _ in 0..=dice.roll(3) {
            let at = usize::try_from(dice.roll(COLUMNS.len() as u64)).unwrap();
            let (name, of, from) = COLUMNS[at];
            let known = if of == CellType::Text { OPERATORS.len() } else { OPERATORS.len() - 1 };
            let operator = pick(&mut dice, &OPERATORS[..known]);
            let value = if operator == "null" { pick(&mut dice, &["true", "false"]) } else { pick(&mut dice, from) };
            texts.push(format!("{name}:{operator}:{value}"));
            conditions.push((at, of, operator, value));
        }
        let all_hold =
            |row: &Written| conditions.iter().all(|(at, of, operator, than)| holds(*of, row[*at], operator, than));
        let expected: Vec<_> = (0_i64..).zip(&rows).filter(|(_, row)| all_hold(row)).map(|(id, _)| id).collect();
        let found = books.list(&texts, "").await;
        let found: Vec<_> = found.iter().map(|row| row["id"].as_i64().unwrap()).collect();
        assert_eq!(found, expected, "{texts:?}");
        *if expected.is_empty() { &mut none } else { &mut some } += 1;
    }
    assert!(some > CLAUSES / 4 && none > CLAUSES / 20, "the clauses say something: {some} find rows, {none} none");
}

#[tokio::test]
async fn injections_are_values_or_refused_and_never_sql() {
    let mut dice = Dice(13);
    let (books, rows) = filled(&mut dice).await;
    let refused = |filter: String, order: &str| -> BadQuery {
        let filters: Vec<String> = Some(filter).filter(|filter| !filter.is_empty()).into_iter().collect();
        ListQuery::parse(&books.view(), &filters, order, 10, None).expect_err("this is no query")
    };
    for injection in INJECTIONS.iter().filter(|injection| !injection.is_empty()) {
        for (name, of, _) in COLUMNS {
            for operator in ["eq", "ge"].iter().filter(|_| of != CellType::Text) {
                refused(format!("{name}:{operator}:{injection}"), "");
            }
            refused(format!("{name}:{injection}:0"), "");
            refused(format!("{name}{injection}:eq:0"), "");
            refused(String::new(), &format!("{name}:{injection}"));
        }
        refused(format!("{injection}:eq:0"), "");
        refused(String::new(), injection);
        // As a value of a text it is found where it stands, and nowhere else.
        let found = books.list(&[format!("table:eq:{injection}")], "").await;
        let at = COLUMNS.iter().position(|(name, ..)| *name == "table").unwrap();
        assert_eq!(found.len(), rows.iter().filter(|row| row[at] == Some(injection)).count(), "{injection}");
        let cursor = ListQuery::parse(&books.view(), &[], "", 10, Some(injection));
        assert!(cursor.is_err(), "a cursor is not to be made up: {injection}");
    }
    assert_eq!(books.all().await.len(), ROWS, "all is as it was");
    let late = books.list(&[format!("group:le:{}", at(0))], "").await;
    assert!(late.len() < ROWS);
}
