//! Nasty case 9: the log is not the one that archive and snapshots were made from. Nothing is served, the streams are
//! named, no version is given a second time.

use serde_json::{Value, json};
use spina_log::{Admin, LogConfig};
use spina_tests::database::Database;
use spina_tests::spina::Spina;
use spina_tests::world::World;
use spina_tests::{eventually, history};

use crate::kept;
use crate::samples::{departed, scheduled};

/// Waits until readiness gives a reason with these words, and sees that nothing can be appended.
async fn is_refused(world: &World, stream: &str, words: &[&str]) {
    let http = world.http();
    eventually(&format!("not ready because of {words:?}"), async || {
        let report = http.get("/health/ready").await.ok()?;
        let reasons = report.body.to_string();
        (report.status == 503 && words.iter().all(|word| reasons.contains(word))).then_some(())
    })
    .await;
    let answer = http.append(&world.context.name, stream, "any", json!([departed()])).await;
    assert_eq!((answer.status, answer.error_code()), (503, "state.unavailable"), "{answer:?}");
}

async fn forget(database: &Database, world: &World, tables: &[&str]) {
    for table in tables {
        let sql = format!("DELETE FROM spina.{table} WHERE context = $1");
        database.execute(&sql, &[&world.context.name]).await.unwrap();
    }
}

async fn restart(world: &mut World) {
    world.event_store.kill();
    world.event_store.start_again();
}

#[tokio::test(flavor = "multi_thread")]
async fn nasty_09_archive_or_snapshot_newer_than_the_log() {
    let mut world = World::with_event_store("lost").await;
    let (context, topic) = (world.context.name.clone(), world.context.events_topic());
    let stream = "flight-LOST1-20130101-EWR";
    let append = async |world: &World, expected: Value| {
        world.http().append(&context, stream, expected, json!([scheduled(), departed()])).await
    };
    assert_eq!(append(&world, json!("no_stream")).await.status, 201);
    world.spina().args(["snapshot", stream]).succeeds();
    kept::assert_kept(&world.stack, &world.context).await;
    let database = Database::connect(&world.stack).await;

    // The log is lost and begun anew.
    world.event_store.kill();
    let admin = Admin::connect(&LogConfig::new(&world.stack.kafka, "spina-tests")).await.unwrap();
    assert!(admin.delete(&topic).await.unwrap());
    eventually("the topic is made anew", async || {
        let ran = Spina::of(&world.stack)
            .args(["topology", "apply", "--topology-dir"])
            .arg(&world.context.topology_dir)
            .arg("--schemas-dir")
            .arg(&world.context.schemas_dir)
            .run();
        ran.status.success().then_some(())
    })
    .await;
    world.event_store.start_again();
    is_refused(&world, stream, &["is not the archive's", "lost or replaced", stream, "at version 2"]).await;

    // Without the archive the snapshot still knows.
    forget(&database, &world, &["events", "streams", "watermarks"]).await;
    restart(&mut world).await;
    is_refused(&world, stream, &["is not the archive's", stream]).await;
    assert_eq!(history::events(&world.stack.kafka, &topic).await.len(), 0, "no version is given a second time");

    // The loss is accepted: the context begins anew.
    forget(&database, &world, &["snapshots"]).await;
    world.event_store.ready().await;
    assert_eq!(append(&world, json!("no_stream")).await.body["version"], 2);
    kept::assert_kept(&world.stack, &world.context).await;

    // Another log, as long as the archive's.
    let sql = "UPDATE spina.events SET event_id = 'another' WHERE context = $1 AND version = 2";
    assert_eq!(database.execute(sql, &[&context]).await.unwrap(), 1);
    restart(&mut world).await;
    is_refused(&world, stream, &["is not the archive's", "the archive event another", stream]).await;
}
