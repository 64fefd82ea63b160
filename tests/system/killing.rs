//! `kill -9` in the middle of an import: of the client, the event-store, the projector, again and again. Nothing is lost,
//! nothing is there twice, every row is right.

use serde_json::Value;
use spina_tests::flights::Flights;
use spina_tests::spina::Running;
use spina_tests::world::World;
use spina_tests::{eventually, history};

use crate::{imports, models};

/// How often each of the two services is killed.
const KILLS: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn an_import_survives_kills_of_everything_that_takes_part() {
    let lines = imports::lines();
    let mut world = World::with_projector("killing").await;
    let file = imports::file(&world, &lines);
    let import =
        |world: &World| world.spina().args(["import", "--output", "json", "--context", &world.context.name]).arg(&file);
    let share = |of: usize| i64::try_from(lines.len() * of / (2 * KILLS + 2)).unwrap();

    let mut client = import(&world).spawn();
    appended(&world, &mut client, share(1) / 2).await;
    drop(client);

    let mut client = import(&world).spawn();
    for kill in 1..=2 * KILLS {
        appended(&world, &mut client, share(kill)).await;
        let victim = if kill % 2 == 0 { world.projector.as_mut().unwrap() } else { &mut world.event_store };
        victim.kill();
        victim.start_again();
    }
    let ran = client.ends().await;
    assert!(ran.status.success(), "{ran:?}\n{}", world.event_store.tail());

    let everything = lines.len() as u64;
    let counts: Value = serde_json::from_str(&ran.stdout).unwrap();
    let count = |name: &str| counts[name].as_u64().unwrap();
    assert_eq!((count("appended") + count("duplicates"), count("rejected")), (everything, 0), "{counts}");
    world.projector.as_mut().unwrap().ready().await;
    let projector = world.projector.as_ref().unwrap().url.clone();
    assert_all_is_right(&world, &projector, lines.len()).await;

    // The whole import once more adds nothing.
    let again = import(&world).succeeds();
    let again: Value = serde_json::from_str(&again).unwrap();
    assert_eq!((&again["appended"], &again["duplicates"]), (&Value::from(0), &Value::from(everything)), "{again}");
    assert_all_is_right(&world, &projector, lines.len()).await;
}

/// Waits until the log has about so many events, which must happen in the middle of the import.
async fn appended(world: &World, client: &mut Running, events: i64) {
    let topic = world.context.events_topic();
    eventually(&format!("{events} events are appended"), async || {
        assert!(client.runs(), "the import has ended before {events} events: {}", world.event_store.tail());
        (history::offsets(&world.stack.kafka, &topic).await >= events).then_some(())
    })
    .await;
}

/// The log is sound and complete, and the rows are those of the demo, which nobody has disturbed.
async fn assert_all_is_right(world: &World, projector: &str, events: usize) {
    let log = history::events(&world.stack.kafka, &world.context.events_topic()).await;
    history::assert_sound(&log);
    assert_eq!(log.len(), events);
    models::caught_up(projector).await;
    let expected = models::rows(|verb| Flights::get().spina(verb));
    models::assert_same(&models::rows(|verb| world.spina().args(verb)), &expected);
}
