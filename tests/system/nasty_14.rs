//! Nasty case 14: the registry is silent, gone, or says another schema for an id.

use serde_json::{Value, json};
use spina_tests::context::Context;
use spina_tests::http::Http;
use spina_tests::registry::Registry;
use spina_tests::service::Service;
use spina_tests::stack::Stack;
use spina_tests::tools::kcat_produce;
use spina_tests::world::World;
use spina_tests::{eventually, history};

use crate::replies::{brief, replies};
use crate::samples::{framed_cancelled, new_stream, scheduled};

/// An event-store that knows the registry through a proxy only; the world's own address of it is the real one.
async fn world(prefix: &str) -> (World, Registry) {
    let stack = Stack::get();
    let context = Context::create(&stack, prefix);
    let registry = Registry::before(&stack).await;
    let mut before = stack.clone();
    before.registry = registry.url.clone();
    let mut event_store = Service::start(&before, "event-store", &context);
    event_store.ready().await;
    (World { stack, context, event_store, projector: None }, registry)
}

fn subject(world: &World, name: &str) -> String {
    format!("{}-{}.{name}", world.context.commands_topic(), world.context.name)
}

/// A schema that means the same under an id that the event-store has not met.
async fn reworded(world: &World, registry: &Registry, wording: &str) -> u32 {
    let subject = subject(world, "FlightCancelled");
    let (known, mut schema) = registry.latest(&subject).await;
    schema["doc"] = json!(wording);
    let id = registry.register(&subject, &schema).await;
    assert_ne!(id, known);
    id
}

fn produce(world: &World, stream: &str, request: &str, value: &[u8]) {
    let file = world.stack.folder(stream).join("command.bin");
    std::fs::write(&file, value).unwrap();
    kcat_produce(&world.stack, &world.context.commands_topic(), stream, &[("ce_id", request)], &file, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nasty_14_appends_of_known_types_go_on_while_the_registry_is_silent_or_gone() {
    let (world, registry) = world("silent").await;
    let (known, _) = registry.latest(&subject(&world, "FlightCancelled")).await;
    for (silence, wording) in [(true, "said under silence"), (false, "said when it was gone")] {
        let unknown = reworded(&world, &registry, wording).await;
        if silence {
            registry.holds()
        } else {
            registry.refuses()
        }
        let (stream, other) = (new_stream(), new_stream());
        produce(&world, &stream, &format!("{stream}-1"), &framed_cancelled(unknown));
        produce(&world, &stream, &format!("{stream}-2"), &framed_cancelled(known));
        let appended = world.http().append(&world.context.name, &other, "no_stream", json!([scheduled()])).await;
        assert_eq!(appended.status, 201, "{appended:?}");
        let told = replies(&world, &stream, 2).await;
        assert_eq!(told.iter().map(brief).collect::<Vec<_>>(), ["rejected state.unavailable", "accepted"], "{told:?}");
        assert!(told[0]["message"].as_str().unwrap().contains("the registry has not answered"), "{}", told[0]);

        // The publisher sends the refused command again, under the same id, until the registry is back and that is noticed.
        registry.passes();
        let mut sent = 2;
        eventually("the refused command is accepted", async || {
            produce(&world, &stream, &format!("{stream}-1"), &framed_cancelled(unknown));
            sent += 1;
            let told = replies(&world, &stream, sent).await;
            match brief(&told[sent - 1]).as_str() {
                "accepted" => Some(()),
                "rejected state.unavailable" => None,
                other => panic!("{other}: {told:?}"),
            }
        })
        .await;
        let read = world.http().get(&format!("/v1/{}/streams/{stream}/events", world.context.name)).await.unwrap();
        assert_eq!(read.body["version"], 2, "{read:?}");
    }
    history::assert_sound(&history::events(&world.stack.kafka, &world.context.events_topic()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn nasty_14_another_schema_for_a_known_id_is_not_believed() {
    let (mut world, registry) = world("lies").await;
    let (known, schema) = registry.latest(&subject(&world, "FlightCancelled")).await;
    let (_, other) = registry.latest(&subject(&world, "FlightDiverted")).await;
    let unknown = reworded(&world, &registry, "another id").await;
    let exploded = json!({"type": "record", "name": "FlightExploded", "namespace": world.context.name, "fields": []});
    registry.lies_about_id(known, &exploded);
    registry.lies_about_id(unknown, &exploded);
    let stream = new_stream();
    produce(&world, &stream, "known", &framed_cancelled(known));
    produce(&world, &stream, "unknown", &framed_cancelled(unknown));
    let told: Vec<String> = replies(&world, &stream, 2).await.iter().map(brief).collect();
    assert_eq!(told, ["accepted", "rejected validation.unknown_type"]);

    // A registry in which one id stands for two schemas is refused as a whole, before anything is served.
    let events = format!("{}-{}.FlightDiverted", world.context.events_topic(), world.context.name);
    registry.lies_about_latest(&events, known, &other);
    world.event_store.kill();
    world.event_store.start_again();
    let http = Http::new(&world.event_store.url);
    let reason = eventually("the event-store says why it does not serve", async || {
        let answer = http.get("/health/ready").await.ok()?;
        let text = answer.body.to_string();
        text.contains("ids never change their meaning").then_some(text)
    });
    assert!(reason.await.contains(&world.context.name));
    let refused = http.append(&world.context.name, &stream, "any", json!([scheduled()])).await;
    assert_eq!((refused.status, refused.error_code()), (503, "state.unavailable"), "{refused:?}");

    registry.is_honest();
    world.event_store.ready().await;
    assert_eq!(schema["name"], "FlightCancelled");
    let read = world.http().get(&format!("/v1/{}/streams/{stream}/events", world.context.name)).await.unwrap();
    assert_eq!((read.status, &read.body["version"]), (200, &Value::from(1)), "{read:?}");
}
