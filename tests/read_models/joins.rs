//! Joins are made when somebody reads: conditions, orders and pages over joined columns find what a naive join finds.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use spina_core::{Cell, CellType, Fold, Join, JoinedColumn, ModelShape, Op};
use spina_store::read_model::{ListQuery, ModelName, Slot, Taking, View};

use crate::support::{Books, Dice, inputs, shape, text, upsert};

const ROWS: i64 = 60;
const OTHERS: i64 = 12;
const QUERIES: usize = 150;

/// Orders of customers; some name none, some one that is not there.
struct Shop {
    orders: Books,
    customers: Books,
    join: Join,
}

/// The customer of each order, and city and moves of each customer.
type Written = (BTreeMap<i64, Option<i64>>, BTreeMap<i64, (Option<&'static str>, i64)>);

impl Shop {
    async fn filled(dice: &mut Dice) -> (Self, Written) {
        let orders = Books::of(shape(&[("customer", CellType::Long, Fold::Set)])).await;
        let columns = [("city", CellType::Text, Fold::Set), ("moves", CellType::Long, Fold::Add)];
        let name = ModelName { model: "customer".to_owned(), ..orders.name.clone() };
        let customers = Books { store: orders.store.clone(), name, shape: shape(&columns) };
        let column = |name: &str, of: &str| JoinedColumn { name: name.into(), of: of.into() };
        let join = Join {
            model: "customer".into(),
            on: vec![("id".into(), "customer".into())],
            columns: vec![column("customer_city", "city"), column("customer_moves", "moves")],
        };
        let shop = Self { orders, customers, join };
        let mut roll = |sides: u64| i64::try_from(dice.roll(sides)).unwrap();
        let customers: BTreeMap<_, _> = (0..OTHERS)
            .map(|id| {
                (id, ([None, Some("Rome"), Some("Oslo"), Some("'; --")][usize::try_from(roll(4)).unwrap()], roll(5)))
            })
            .collect();
        let orders: BTreeMap<_, _> =
            (0..ROWS).map(|id| (id, Some(roll(16)).filter(|customer| *customer < 14))).collect();
        let long = |value: Option<i64>| value.map_or(Cell::Null, Cell::Long);
        let changes = orders.iter().map(|(id, of)| upsert(*id, vec![(0, Op::Set(long(*of)))])).collect();
        shop.orders.apply(Slot::Live, &mut shop.orders.take().await, [1, 0], changes).await;
        let ops = |(city, moves): &(Option<&str>, i64)| {
            vec![(0, Op::Set(city.map_or(Cell::Null, text))), (1, Op::Add(*moves))]
        };
        let changes = customers.iter().map(|(id, of)| upsert(*id, ops(of))).collect();
        shop.customers.apply(Slot::Live, &mut shop.customers.take().await, [1, 0], changes).await;
        (shop, (orders, customers))
    }

    fn view(&self) -> View {
        self.view_of(&self.customers.shape)
    }

    fn view_of(&self, customers: &ModelShape) -> View {
        self.orders.view().join(&self.customers.name, customers, &self.join)
    }
}

fn row(id: i64, (orders, customers): &Written) -> Map<String, Value> {
    let of = orders[&id];
    let found = of.and_then(|of| customers.get(&of));
    Map::from_iter([
        ("id".to_owned(), id.into()),
        ("customer".to_owned(), of.into()),
        ("customer_city".to_owned(), found.and_then(|(city, _)| *city).into()),
        ("customer_moves".to_owned(), found.map(|(_, moves)| *moves).into()),
    ])
}

#[tokio::test]
async fn conditions_and_orders_over_joined_columns_find_what_a_naive_join_finds() {
    let mut dice = Dice(23);
    let (shop, written) = Shop::filled(&mut dice).await;
    let view = shop.view();
    let all: Vec<_> = (0..ROWS).map(|id| row(id, &written)).collect();
    assert_eq!(shop.orders.list_of(&view, &[], "").await, all);
    assert!(all.iter().any(|row| row["customer_city"].is_null() && !row["customer_moves"].is_null()));
    for (id, expected) in (0..ROWS).zip(&all) {
        assert_eq!(shop.orders.store.row(&view, &[Cell::Long(id)]).await.unwrap().as_ref(), Some(expected));
    }
    let mut found_some = 0;
    for _ in 0..QUERIES {
        let moves = i64::try_from(dice.roll(5)).unwrap();
        let city = ["Rome", "Oslo", "'; --", "Paris"][usize::try_from(dice.roll(4)).unwrap()];
        type Holds = Box<dyn Fn(&Map<String, Value>) -> bool>;
        let conditions: [(String, Holds); 4] = [
            (format!("customer_moves:gt:{moves}"), Box::new(move |row| row["customer_moves"].as_i64() > Some(moves))),
            (format!("customer_city:eq:{city}"), Box::new(move |row| row["customer_city"] == city)),
            ("customer_city:null:true".to_owned(), Box::new(|row| row["customer_city"].is_null())),
            ("id:ge:20".to_owned(), Box::new(|row| row["id"].as_i64() >= Some(20))),
        ];
        let chosen: Vec<_> = conditions.iter().filter(|_| dice.roll(3) == 0).collect();
        let mut expected: Vec<_> =
            all.iter().filter(|row| chosen.iter().all(|(_, holds)| holds(row))).cloned().collect();
        let descending = dice.roll(2) == 0;
        // Nulls come last in both directions; the key decides ties.
        expected.sort_by_key(|row| {
            let moves = row["customer_moves"].as_i64();
            (moves.is_none(), moves.map(|moves| if descending { -moves } else { moves }), row["id"].as_i64())
        });
        let filters: Vec<String> = chosen.iter().map(|(text, _)| text.clone()).collect();
        let order = format!("customer_moves:{}", if descending { "desc" } else { "asc" });
        assert_eq!(shop.orders.list_of(&view, &filters, &order).await, expected, "{filters:?} {order}");
        found_some += usize::from(!expected.is_empty());
    }
    assert!(found_some > QUERIES / 3);
}

#[tokio::test]
async fn a_join_shows_the_other_row_as_it_is_now_and_needs_no_rebuild() {
    let (shop, (orders, _)) = Shop::filled(&mut Dice(29)).await;
    let (order, customer) = orders.iter().find_map(|(order, of)| Some((*order, (*of)?))).unwrap();
    let city = async |view: &View| shop.orders.store.row(view, &[Cell::Long(order)]).await.unwrap().unwrap();
    let mut lease = shop.customers.take().await;
    let moved = upsert(customer, vec![(0, Op::Set(text("Bonn")))]);
    shop.customers.apply(Slot::Live, &mut lease, [2, 0], vec![moved]).await;
    assert_eq!(city(&shop.view()).await["customer_city"], "Bonn");
    let gone = spina_core::Change { key: vec![Cell::Long(customer)], action: spina_core::change::Action::Delete };
    shop.customers.apply(Slot::Live, &mut lease, [3, 0], vec![gone]).await;
    assert_eq!(city(&shop.view()).await["customer_city"], Value::Null);

    // The other model waits for a rebuild, and its table has no cities yet: the rest is read as it stands.
    let poorer = shape(&[("moves", CellType::Long, Fold::Add)]);
    let view = shop.view_of(&poorer);
    assert_eq!(city(&view).await.keys().collect::<Vec<_>>(), ["customer", "customer_moves", "id"]);
    let refused = ListQuery::parse(&view, &["customer_city:eq:Rome".to_owned()], "", 10, None).unwrap_err();
    assert!(refused.to_string().contains("unknown field `customer_city`"), "{refused}");
}

#[tokio::test]
async fn a_join_is_indexed_once_and_a_rebuilt_table_anew() {
    let (shop, _) = Shop::filled(&mut Dice(31)).await;
    let Books { store, name, shape, .. } = &shop.orders;
    let by_key = Join { on: vec![("id".into(), "id".into())], ..shop.join.clone() };
    let joins = [shop.join.clone(), by_key, shop.join.clone()];
    assert_eq!(store.index_joins(name, &joins).await.unwrap(), 1);
    assert_eq!(store.index_joins(name, &joins).await.unwrap(), 0);
    let rebuild = store.begin_rebuild(name, shape, "new", &inputs()).await.unwrap();
    let mut lease = rebuild.clone();
    shop.orders.apply(Slot::Rebuild, &mut lease, [1, 0], vec![upsert(1, vec![])]).await;
    store.swap_rebuilt(name, &lease).await.unwrap();
    assert_eq!(store.index_joins(name, &joins).await.unwrap(), 1);
    assert!(matches!(shop.orders.take_with("new").await, Taking::Taken(_)));
}
