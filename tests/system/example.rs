//! The example of a decider and an upcaster in Rust, run as its README says: programs of the user's own around the stock
//! services.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use spina_tests::context::Context;
use spina_tests::eventually;
use spina_tests::http::{Answer, Http};
use spina_tests::service::Service;
use spina_tests::stack::{Stack, root};
use spina_tests::world::World;

use crate::kafka_clients::{produce, schema};
use crate::replies::replies;

async fn send(http: &Http, key: &str, stream: &str, command: &str, cents: i64) -> Answer {
    let body = json!({ "stream": stream, "type": command, "data": { "cents": cents } });
    http.post_with_key("/v1/bank/commands", Some(key), &body).await
}

#[tokio::test]
async fn a_decider_and_an_upcaster_of_the_users_own_run_in_a_stock_pipeline() {
    let stack = Stack::get();
    let example = copy(&stack);
    without_currency(&example);
    let context = Context::of(&stack, &example, "bank");
    let mut event_store = Service::start(&stack, "account", &context);
    event_store.ready().await;
    let mut world = World { stack, context, event_store, projector: None };
    let (http, stream) = (world.http(), format!("account-{}", uuid::Uuid::new_v4().simple()));
    let key = |n: u32| format!("{stream}/{n}");

    let paid = send(&http, &key(1), &stream, "PayIn", 900).await;
    assert_eq!((paid.status, &paid.body["events"][0]["type"]), (201, &json!("bank.account.PaidIn")), "{paid:?}");

    // The bank begins to say what it counts in.
    world.event_store.stop().await;
    copy_all(&root().join("examples/account"), &example);
    Context::of(&world.stack, &example, "bank");
    world.event_store.start_again();
    world.event_store.ready().await;
    let drawn = send(&http, &key(2), &stream, "DrawOut", 600).await;
    assert_eq!((drawn.status, &drawn.body["version"]), (201, &json!(2)), "{drawn:?}");
    let overdrawn = send(&http, &key(3), &stream, "DrawOut", 600).await;
    assert_eq!((overdrawn.status, overdrawn.error_code()), (422, "account.overdrawn"), "{overdrawn:?}");
    assert_eq!(overdrawn.body["message"], "300 are left");

    world.event_store.kill();
    world.event_store.start_again();
    world.event_store.ready().await;
    assert_eq!(send(&http, &key(2), &stream, "DrawOut", 600).await, drawn, "the same answer over a kill");
    let state = http.get(&format!("/v1/bank/streams/{stream}")).await.unwrap().body;
    assert_eq!((&state["version"], &state["state"]), (&json!(2), &json!({"cents": 300})), "{state}");

    // 100 cents through the commands topic: zigzag 200 in Avro's variable length.
    let schema_id = schema(&world, "bank.commands.v1", "DrawOut").await;
    let record = [vec![0], schema_id.to_be_bytes().to_vec(), vec![0xc8, 0x01]].concat();
    (4..8).for_each(|n| produce(&world, &stream, &[("ce_id", key(n).as_str())], &record, &[]));
    let outcomes: Vec<Value> = replies(&world, &stream, 4).await.iter().map(|reply| reply["outcome"].clone()).collect();
    assert_eq!(outcomes, ["accepted", "accepted", "accepted", "rejected"]);

    let paid = send(&http, &key(9), &stream, "PayIn", 40).await;
    assert_eq!(paid.status, 201, "{paid:?}");
    let read = http.get(&format!("/v1/bank/streams/{stream}/events")).await.unwrap().body;
    let currency = |event: usize| read["events"][event]["data"]["currency"].clone();
    let (oldest, latest) = (currency(0), currency(read["events"].as_array().unwrap().len() - 1));
    assert_eq!((oldest, latest), (json!("DEM"), json!("EUR")), "{read}");
    let projector = world.projector.insert(Service::start(&world.stack, "account-projector", &world.context));
    projector.ready().await;
    let rows = eventually("the read model has both currencies", async || {
        let printed = world
            .spina()
            .args(["model", "list", "paid_in", "--all", "--context", "bank", "--output", "ndjson"])
            .succeeds();
        let rows: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (rows.len() == 2).then_some(rows)
    });
    for row in rows.await {
        let cents = if row["currency"] == "DEM" { 900 } else { 40 };
        assert_eq!(row["cents"], json!(cents), "{row}");
    }
}

/// The example in a folder of the test's own.
fn copy(stack: &Stack) -> PathBuf {
    let folder = stack.folder("account");
    copy_all(&root().join("examples/account"), &folder);
    folder
}

fn copy_all(from: &Path, to: &Path) {
    for part in ["topology", "schemas"] {
        assert!(Command::new("cp").arg("-R").arg(from.join(part)).arg(to).status().unwrap().success());
    }
}

/// Takes it back to its first release.
fn without_currency(example: &Path) {
    let bank = example.join("schemas/bank");
    fs::copy(bank.join("released/PaidIn.1.avsc"), bank.join("PaidIn.avsc")).unwrap();
    fs::remove_dir_all(bank.join("released")).unwrap();
    fs::remove_file(example.join("topology/bank/projections.yaml")).unwrap();
}
