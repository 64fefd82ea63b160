//! A replay into a read model makes the rows anew that its events touch, and no other; nothing counts twice, whatever is
//! killed meanwhile.

use std::fs;

use serde_json::{Value, json};
use spina_codec::frame;
use spina_codec::shape::Shape;
use spina_log::Fetched;
use spina_log::names::JOBS_TOPIC;
use spina_tests::database::Database;
use spina_tests::eventually;
use spina_tests::history::committed;
use spina_tests::stack::root;
use spina_tests::world::World;

use crate::parcels::{append, caught_up, moved, parcels, rows, weighed};

const PARCELS: usize = 30;
/// Events a second: so few that there is time to kill.
const RATE: &str = "20";

fn replay(world: &World, more: &[&str]) -> Value {
    let spina = world.spina().args(["replay", "--context", &world.context.name, "--by", "ann", "--reason", "drift"]);
    spina.args(more).json()
}

/// What the projector said at the end of a job.
fn said(job: &Value) -> &Value {
    assert_eq!(job["state"], "done", "{job}");
    &job["log"].as_array().unwrap().last().unwrap()["reason"]
}

/// Who did what with a job, and why, is in the topic, in order.
async fn assert_told(world: &World, id: &str) {
    let shape = Shape::compile(&fs::read_to_string(root().join("schemas/spina/JobChanged.avsc")).unwrap()).unwrap();
    let said = |record: &Fetched| {
        let (_, avro) = frame::split(record.value.as_deref().unwrap()).unwrap();
        let told = shape.decode(avro).unwrap();
        [&told["verb"], &told["by"], &told["reason"]].map(|field| field.as_str().unwrap().to_owned())
    };
    let told = eventually("the job's end is told", async || {
        let records = committed(&world.stack.kafka, JOBS_TOPIC).await;
        let ours = records.iter().filter(|record| record.key.as_deref() == Some(id.as_bytes()));
        let told: Vec<_> = ours.map(said).collect();
        (told.len() > 1).then_some(told)
    })
    .await;
    let ends = ["done", "projector", "28 of 30 rows were replaced"];
    assert_eq!(told, [["ask", "ann", "drift"], ends].map(|said| said.map(str::to_owned)));
}

async fn plant(world: &World) {
    let sql = format!("UPDATE \"{}\".parcel_status SET events = 70 WHERE stream <> 'parcel-9'", world.context.name);
    let changed = Database::connect(&world.stack).await.execute(&sql, &[]).await.unwrap();
    assert_eq!(changed, PARCELS as u64 - 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_into_a_model_remakes_the_rows_that_its_events_touch() {
    let mut world = parcels("remade").await;
    for number in 0..PARCELS {
        append(&world, &format!("parcel-{number}"), vec![weighed("EWR", 1, 1), moved("JFK")]).await;
    }
    caught_up(&world, "parcel_status").await;
    let right = rows(&world, "parcel_status").await;
    plant(&world).await;

    let one = ["--into", "projection:parcel_status", "--stream", "parcel-3"];
    assert_eq!(said(&replay(&world, &[&one[..], &["--dry-run"]].concat())), "1 of 1 rows would be replaced");
    assert_eq!(rows(&world, "parcel_status").await["parcel-3"]["events"], 70);
    let job = replay(&world, &one);
    assert_eq!((said(&job), &job["matched"]), (&json!("1 of 1 rows were replaced"), &json!(2)));
    let found = rows(&world, "parcel_status").await;
    assert_eq!((&found["parcel-3"], &found["parcel-4"]["events"]), (&right["parcel-3"], &json!(70)));

    // All of one type, at a slow pace, and the projector killed meanwhile: its successor gathers anew.
    let all = ["--into", "projection:parcel_status", "--type", "ParcelMoved", "--rate", RATE, "--no-wait"];
    let id = replay(&world, &all)["id"].as_str().unwrap().to_owned();
    let show = |world: &World| {
        let ran = world.spina().args(["job", "show", &id]).run();
        serde_json::from_str::<Value>(&ran.stdout).ok()
    };
    eventually("some events were looked at", async || (show(&world)?["matched"].as_i64()? > 3).then_some(())).await;
    let projector = world.projector.as_mut().unwrap();
    projector.kill();
    projector.start_again();
    projector.ready().await;
    let done = eventually("the job ends", async || show(&world).filter(|job| job["state"] != "running")).await;
    assert_eq!((said(&done), &done["matched"]), (&json!("28 of 30 rows were replaced"), &json!(PARCELS)));
    assert_eq!(rows(&world, "parcel_status").await, right);
    assert_told(&world, &id).await;

    let asks = json!({ "context": world.context.name, "projection": "none", "topic": null });
    let refused = crate::parcels::projector(&world).post("/v1/jobs", &asks).await;
    assert_eq!(refused.status, 404, "{refused:?}");
}
