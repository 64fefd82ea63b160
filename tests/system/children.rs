//! Child rows over HTTP: they come with their parent and go with it, through poison, rebuilds and kills.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use spina_tests::context::Context;
use spina_tests::eventually;
use spina_tests::service::Service;
use spina_tests::stack::{Stack, root};
use spina_tests::world::World;

use crate::parcels::{append, caught_up, projector, rebuild};

/// How often the projector is killed while orders come in.
const KILLS: usize = 4;
const ORDERS: usize = 30;

/// Event-store and projector with orders.
pub async fn orders(prefix: &str) -> World {
    let stack = Stack::get();
    let context = Context::like(&stack, prefix, &root().join("tests/contexts/orders"), "orders");
    let mut event_store = Service::start(&stack, "event-store", &context);
    let mut projector = Service::start(&stack, "projector", &context);
    event_store.ready().await;
    projector.ready().await;
    World { stack, context, event_store, projector: Some(projector) }
}

pub fn event(name: &str, data: Value) -> Value {
    json!({ "type": name, "data": data })
}

pub fn placed(customer: &str) -> Value {
    event("OrderPlaced", json!({ "customer": customer }))
}

fn added(sku: &str, quantity: i64, cents: i64) -> Value {
    event("LineAdded", json!({ "sku": sku, "quantity": quantity, "cents": cents }))
}

fn removed(sku: &str) -> Value {
    event("LineRemoved", json!({ "sku": sku }))
}

fn cancelled() -> Value {
    event("OrderCancelled", json!({}))
}

/// What a path of the models answers: status and body.
pub async fn read(world: &World, path: &str) -> (u16, Value) {
    let answer = projector(world).get(&format!("/v1/{}/models/{path}", world.context.name)).await.unwrap();
    (answer.status, answer.body)
}

async fn lines(world: &World, order: &str) -> Vec<(String, i64)> {
    let (status, page) = read(world, &format!("order/{order}/lines?limit=1000")).await;
    assert_eq!(status, 200, "{page}");
    let line = |row: &Value| (row["sku"].as_str().unwrap().to_owned(), row["quantity"].as_i64().unwrap());
    page["rows"].as_array().unwrap().iter().map(line).collect()
}

#[tokio::test]
async fn children_are_read_under_their_parent_and_go_with_it() {
    let world = orders("lines").await;
    let events = vec![placed("customer-1"), added("nail", 100, 200), added("saw", 1, 3000), added("nail", 50, 150)];
    append(&world, "order-1", events).await;
    append(&world, "order-2", vec![placed("customer-1")]).await;
    let later = world.http().append(&world.context.name, "order-1", "any", json!([added("glue", 2, 500)])).await;
    let token = later.body["token"].as_str().unwrap();
    let (status, page) = read(&world, &format!("order/order-1/lines?after={token}")).await;
    let row =
        |sku: &str, each, quantity| json!({"order": "order-1", "sku": sku, "cents_each": each, "quantity": quantity});
    assert_eq!((status, &page["rows"]), (200, &json!([row("glue", 250, 2), row("nail", 3, 150), row("saw", 3000, 1)])));
    let (_, page) = read(&world, "order/order-1/lines?where=quantity:gt:1&order=cents_each:desc&limit=1").await;
    assert_eq!(page["rows"], json!([row("glue", 250, 2)]));
    let cursor = page["cursor"].as_str().unwrap();
    let path = format!("order/order-1/lines?where=quantity:gt:1&order=cents_each:desc&limit=1&cursor={cursor}");
    assert_eq!(read(&world, &path).await.1["rows"], json!([row("nail", 3, 150)]));
    assert_eq!(read(&world, "order/order-2/lines").await, (200, json!({"rows": []})));
    for (path, status) in [
        ("order/order-9/lines", 404),
        ("order/order-1/notes", 404),
        ("customer/order-1/lines", 404),
        ("order/order-1/lines?where=nme:eq:x", 400),
        ("order/order-1/lines?page=2", 400),
    ] {
        assert_eq!(read(&world, path).await.0, status, "{path}");
    }
    let listed = world.spina().args(["model", "list", "order", "--of", "order-1", "--children", "lines"]).json();
    assert_eq!(listed["rows"].as_array().map(Vec::len), Some(3), "{listed}");
    let described = projector(&world).get("/openapi.json").await.unwrap().body;
    let path = format!("/v1/{}/models/order/{{key}}/lines", world.context.name);
    assert_eq!(described["paths"][path]["get"]["description"], "What is ordered, by article.");

    append(&world, "order-1", vec![removed("nail")]).await;
    append(&world, "order-2", vec![added("saw", 3, 9000), cancelled(), added("glue", 1, 1)]).await;
    caught_up(&world, "order").await;
    assert_eq!(lines(&world, "order-1").await, [("glue".to_owned(), 2), ("saw".to_owned(), 1)]);
    assert_eq!(lines(&world, "order-2").await, [("glue".to_owned(), 1)], "what was before the delete is gone");
    append(&world, "order-2", vec![cancelled()]).await;
    caught_up(&world, "order").await;
    assert_eq!(read(&world, "order/order-2/lines").await.0, 404);
}

#[tokio::test]
async fn poison_of_a_child_parks_parent_and_children_and_an_edit_lets_both_go_on() {
    let world = orders("linepoison").await;
    append(&world, "order-ill", vec![placed("customer-1"), added("nail", 0, 100), added("saw", 1, 3000)]).await;
    append(&world, "order-well", vec![placed("customer-1"), added("nail", 1, 1)]).await;
    let seen = caught_up(&world, "order").await;
    assert_eq!((&seen["parked_keys"], &seen["parked_events"]), (&json!(1), &json!(2)));
    assert_eq!(read(&world, "order/order-ill").await.1["lines_added"], 0, "nothing of the event is taken");
    assert_eq!(lines(&world, "order-ill").await, []);
    assert_eq!(lines(&world, "order-well").await, [("nail".to_owned(), 1)]);
    let letters = crate::parcels::letters(&world, "order");
    let fields = json!({"sku": "nail", "quantity": 5, "cents": 100}).to_string();
    let edited = world.spina().args(["dead-letter", "edit", &letters[0]["id"].to_string(), "--data", &fields]).json();
    assert_eq!(edited["applied"], 2, "{edited}");
    let all = [("nail".to_owned(), 5), ("saw".to_owned(), 1)];
    assert_eq!(lines(&world, "order-ill").await, all);
    assert_eq!(rebuild(&world, "order")["rebuild"]["state"], "done");
    assert_eq!(lines(&world, "order-ill").await, all);
    let diff = world.spina().args(["projection", "diff", "order"]).json();
    assert_eq!(diff["children"]["lines"]["samples"], json!([]), "{diff}");
}

#[tokio::test]
async fn children_and_parents_are_exact_though_the_projector_is_killed_and_rebuilds() {
    let mut world = orders("linekill").await;
    let mut expected: BTreeMap<String, BTreeMap<String, i64>> = BTreeMap::new();
    for round in 0..=KILLS {
        for number in 0..ORDERS {
            let order = format!("order-{number}");
            let sku = |at: usize| format!("sku-{}", (round * 7 + number + at) % 5);
            let mut events = vec![placed("customer-1"), added(&sku(0), 2, 4), added(&sku(1), 1, 4), removed(&sku(2))];
            let lines = expected.entry(order.clone()).or_default();
            *lines.entry(sku(0)).or_default() += 2;
            *lines.entry(sku(1)).or_default() += 1;
            lines.remove(&sku(2));
            if (round + number) % 4 == 0 {
                events.extend([cancelled(), added(&sku(3), 9, 9)]);
                *lines = BTreeMap::from([(sku(3), 9)]);
            }
            append(&world, &order, events).await;
            if number == ORDERS / 2 && round < KILLS {
                // In the middle of its work, half of the times while it rebuilds the model as well.
                if round % 2 == 1 {
                    world.spina().args(["projection", "rebuild", "order", "--no-wait"]).succeeds();
                }
                let projector = world.projector.as_mut().unwrap();
                projector.kill();
                projector.start_again();
                projector.ready().await;
            }
        }
    }
    eventually("no rebuild is under way", async || {
        let path = format!("/v1/projections/{}/order", world.context.name);
        let state = projector(&world).get(&path).await.ok()?.body["rebuild"]["state"].clone();
        (state == "done" || state.is_null()).then_some(())
    })
    .await;
    caught_up(&world, "order").await;
    for (order, expected) in &expected {
        let found: BTreeMap<String, i64> = lines(&world, order).await.into_iter().collect();
        assert_eq!(found, *expected, "{order}");
    }
    assert_eq!(rebuild(&world, "order")["rebuild"]["state"], "done");
    let diff = world.spina().args(["projection", "diff", "order"]).json();
    let counts = |of: &Value| ["added", "removed", "changed"].map(|field| of[field].clone());
    let nothing = [json!(0), json!(0), json!(0)];
    assert_eq!((counts(&diff), counts(&diff["children"]["lines"])), (nothing.clone(), nothing), "{diff}");
}
