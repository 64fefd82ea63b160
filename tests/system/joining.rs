//! Joins over HTTP: always what both models have now, whatever order the events came in.

use serde_json::{Value, json};

use crate::children::{event, orders, placed, read};
use crate::parcels::{append, caught_up, projector, rebuild};

fn moved(city: &str) -> Value {
    event("CustomerMoved", json!({ "city": city }))
}

#[tokio::test]
async fn columns_of_another_models_row_are_read_with_a_row_and_are_never_stale() {
    let mut world = orders("join").await;
    append(&world, "order-1", vec![placed("customer-1")]).await;
    append(&world, "order-2", vec![placed("customer-2")]).await;
    append(&world, "customer-1", vec![moved("Rome")]).await;
    caught_up(&world, "order").await;
    caught_up(&world, "customer").await;
    let row = |order: &str, customer: &str, city: Value, moves: Value| json!({"order": order, "customer": customer, "lines_added": 0, "customer_city": city, "customer_moves": moves});
    let (first, nobody) =
        (row("order-1", "customer-1", json!("Rome"), json!(1)), row("order-2", "customer-2", Value::Null, Value::Null));
    assert_eq!(read(&world, "order/order-1").await, (200, first.clone()));
    assert_eq!(read(&world, "order").await.1["rows"], json!([first.clone(), nobody.clone()]));
    for (query, expected) in [
        ("where=customer_city:eq:Rome", json!([first])),
        ("where=customer_city:null:true", json!([nobody])),
        ("where=customer_moves:ge:1&where=order:eq:order-2", json!([])),
        ("order=customer_city", json!([first, nobody])),
    ] {
        assert_eq!(read(&world, &format!("order?{query}")).await.1["rows"], expected, "{query}");
    }
    let (status, refused) = read(&world, "order?where=city:eq:Rome").await;
    assert!(status == 400 && refused.to_string().contains("customer_city"), "{refused}");
    let described = projector(&world).get("/openapi.json").await.unwrap().body;
    let schema = &described["components"]["schemas"][format!("{}.order", world.context.name)];
    assert_eq!(schema["properties"]["customer_city"]["type"], json!(["string", "null"]));

    // A token of the other model's event: the answer includes it, each time, and the tag follows.
    let path = format!("/v1/{}/models/order/order-1", world.context.name);
    for number in 0..50 {
        let city = format!("city-{number}");
        let appended = world.http().append(&world.context.name, "customer-1", "any", json!([moved(&city)])).await;
        let token = appended.body["token"].as_str().unwrap().to_owned();
        let answer = projector(&world).get(&format!("{path}?after={token}")).await.unwrap();
        assert_eq!((answer.status, answer.body["customer_city"].as_str()), (200, Some(city.as_str())), "{answer:?}");
    }

    // The order of the events does not matter, nor does a rebuild of either: a join is no part of the table.
    append(&world, "customer-2", vec![moved("Oslo")]).await;
    caught_up(&world, "customer").await;
    let before = read(&world, "order").await;
    assert_eq!(before.1["rows"][1]["customer_city"], "Oslo");
    for model in ["order", "customer"] {
        assert_eq!(rebuild(&world, model)["rebuild"]["state"], "done");
        assert_eq!(read(&world, "order").await, before);
    }

    // Another join needs no rebuild: the definition is read anew, and the rows have it.
    let file = world.context.topology_dir.join(&world.context.name).join("projections.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("customer_city: city, ", "lives_in: city, ")).unwrap();
    let service = world.projector.as_mut().unwrap();
    service.kill();
    service.start_again();
    service.ready().await;
    assert_eq!(caught_up(&world, "order").await["state"], "running");
    assert_eq!(read(&world, "order/order-2").await.1["lives_in"], "Oslo");
}
