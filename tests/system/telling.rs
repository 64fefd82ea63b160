//! Topics of read models: the last record of each key is the row, whatever is killed, rebuilt or shut out.

use std::fs;
use std::time::Duration;

use futures::future::join_all;
use spina_core::ContextName;
use spina_log::{LaneFactory, Lanes, LogConfig, NewRecord, Window, names};
use spina_tests::context::Context;
use spina_tests::spina::Spina;
use spina_tests::world::World;
use spina_tests::{eventually, history, model_topic};

use crate::parcels::{append, caught_up, moved, parcels, rebuild, rows, weighed};

/// Streams of the test.
const PARCELS: usize = 60;
/// How often the projector is killed; the long version says more.
const KILLS: usize = 4;

/// Rewrites the read models, makes the servers as they say, and starts the projector anew.
async fn redefine(world: &mut World, from: &str, to: &str) {
    rewrite(&world.context, from, to);
    world.context.topology(Spina::of(&world.stack), "apply").succeeds();
    let projector = world.projector.as_mut().unwrap();
    projector.kill();
    projector.start_again();
    projector.ready().await;
}

fn rewrite(context: &Context, from: &str, to: &str) {
    let file = context.topology_dir.join(&context.name).join("projections.yaml");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(&file, text.replace(from, to)).unwrap();
}

/// Both models have topics; a parcel that is moved to `gone` goes.
async fn told(prefix: &str) -> World {
    let mut world = parcels(prefix).await;
    let gone = "ParcelMoved: { when: \"data.depot == 'gone'\", delete: true }";
    rewrite(&world.context, "ParcelMoved: { set: { depot: data.depot }, count: [events] }", gone);
    redefine(&mut world, "    key:", "    topic: true\n    key:").await;
    rebuild(&world, "parcel_status");
    world
}

fn topic(world: &World, model: &str) -> String {
    names::model_topic(&context_name(world), model)
}

fn context_name(world: &World) -> ContextName {
    world.context.name.parse().unwrap()
}

/// Waits until the topic says what the table does.
async fn assert_told(world: &World, model: &str) {
    caught_up(world, model).await;
    let (topic, mut differ) = (topic(world, model), None);
    let same = tokio::time::timeout(spina_tests::PATIENCE, async {
        loop {
            let (told, rows) = (model_topic::rows(&world.stack, &topic).await, rows(world, model).await);
            if told == rows {
                break;
            }
            differ = Some((told, rows));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    assert!(same.await.is_ok(), "{model}: {differ:#?}");
}

async fn fill(world: &World, round: usize) {
    let one = async |number: usize| {
        let mut events = vec![weighed("EWR", 1, 1), weighed("LGA", 2, 1)];
        events.extend((number % 3 == round % 3).then(|| moved("gone")));
        append(world, &format!("parcel-{number}"), events).await;
    };
    join_all((0..PARCELS).map(one)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_record_of_each_key_is_its_row_however_often_the_projector_is_killed() {
    let kills = std::env::var("SPINA_TEST_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(KILLS);
    let mut world = told("told").await;
    for round in 0..kills {
        let mut projector = world.projector.take().unwrap();
        let killing = async {
            // Somewhere in what the fill leads to, another place each round.
            let pause = Duration::from_millis(u64::try_from(50 + round * 37 % 400).unwrap());
            tokio::time::sleep(pause).await;
            projector.kill();
            projector.start_again();
        };
        tokio::join!(fill(&world, round), killing);
        projector.ready().await;
        world.projector = Some(projector);
    }
    for model in ["parcel_status", "depot_load"] {
        assert_told(&world, model).await;
    }
    let gone = (0..PARCELS).filter(|number| number % 3 == (kills - 1) % 3).count();
    assert_eq!(rows(&world, "parcel_status").await.len(), PARCELS - gone);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_former_projector_has_in_its_hands_never_follows_what_its_successor_told() {
    let mut world = told("shutout").await;
    append(&world, "parcel-1", vec![weighed("EWR", 1, 1)]).await;
    assert_told(&world, "parcel_status").await;
    let topic = topic(&world, "parcel_status");
    let outdated = history::committed(&world.stack.kafka, &topic).await.pop().unwrap();
    // This test is the former projector: it holds the model's lane, and has read a row that will change.
    world.projector.as_mut().unwrap().kill();
    let lanes = LaneFactory::connect(&LogConfig::new(&world.stack.kafka, "spina-tests")).await.unwrap();
    let former = lanes.open(&names::model_transactional_id(&context_name(&world), "parcel_status")).await.unwrap();
    append(&world, "parcel-1", vec![weighed("EWR", 8, 1)]).await;
    world.projector.as_mut().unwrap().start_again();
    world.projector.as_mut().unwrap().ready().await;
    assert_told(&world, "parcel_status").await;
    let record = NewRecord {
        topic: topic.as_str().into(),
        partition: outdated.partition,
        key: outdated.key.unwrap(),
        value: outdated.value,
        headers: outdated.headers,
        timestamp_ms: None,
    };
    let said = match former.stage(Window { records: vec![record], consumed: None }).await {
        Ok(_) => former.commit().await.err(),
        Err(error) => Some(error),
    };
    assert!(said.is_some(), "the former projector may not speak any more");
    assert_eq!(rows(&world, "parcel_status").await["parcel-1"]["grams_per_piece"], 8);
    assert_told(&world, "parcel_status").await;
    append(&world, "parcel-1", vec![weighed("EWR", 9, 1)]).await;
    assert_told(&world, "parcel_status").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_tells_what_it_changes_and_not_before_it_is_live() {
    let mut world = parcels("retold").await;
    let grams = |number: usize| i64::try_from(number % 4).unwrap();
    let weigh = async |number: usize| {
        append(&world, &format!("parcel-{number}"), vec![weighed("EWR", grams(number), 1)]).await;
    };
    join_all((0..PARCELS).map(weigh)).await;
    caught_up(&world, "parcel_status").await;
    // A topic that comes later has every row.
    redefine(&mut world, "  parcel_status:\n", "  parcel_status:\n    topic: true\n").await;
    assert_told(&world, "parcel_status").await;
    assert_eq!(model_topic::rows(&world.stack, &topic(&world, "parcel_status")).await.len(), PARCELS);

    // Other rows for a quarter of them, none for another.
    let told = async |world: &World| history::committed(&world.stack.kafka, &topic(world, "parcel_status")).await.len();
    let first = told(&world).await;
    let other = "{ when: data.grams != 3, set: { grams_per_piece: \"data.grams == 2 ? 20 : data.grams / data.pieces\" }, count: [events] }";
    redefine(&mut world, "{ set: { grams_per_piece: data.grams / data.pieces }, count: [events] }", other).await;
    assert_eq!(told(&world).await, first, "nothing is told of a table that is not live");
    assert_eq!(rebuild(&world, "parcel_status")["rebuild"]["state"], "done");
    assert_told(&world, "parcel_status").await;
    assert_eq!(rows(&world, "parcel_status").await.len(), PARCELS * 3 / 4);
    assert_eq!(told(&world).await, first + PARCELS / 2, "only what differs is told");
    // The same definition once more: nothing differs.
    assert_eq!(rebuild(&world, "parcel_status")["rebuild"]["state"], "done");
    append(&world, "parcel-0", vec![weighed("EWR", 1, 1)]).await;
    assert_told(&world, "parcel_status").await;
    assert_eq!(told(&world).await, first + PARCELS / 2 + 1);
    // Back by one: the former table has not the last event yet, and takes it.
    world.spina().args(["projection", "roll-back", "parcel_status"]).succeeds();
    assert_told(&world, "parcel_status").await;
    let settled = eventually("the former table has the last event", async || {
        (rows(&world, "parcel_status").await["parcel-0"]["events"] == 2).then_some(())
    });
    settled.await;
    assert_told(&world, "parcel_status").await;
}
