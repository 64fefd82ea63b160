//! Nasty case 13: every kind of bad input is rejected with its cause, stores nothing, and holds nobody up.

use std::process::Command;

use reqwest::Client;
use serde_json::{Value, json};
use spina_codec::Headers;
use spina_log::{LogConfig, Publisher};
use spina_tests::history;
use spina_tests::registry::Registry;
use spina_tests::world::World;

use crate::replies::{brief, replies, replies_where};
use crate::samples::{framed_cancelled, new_stream, scheduled};

#[tokio::test]
async fn nasty_13_bad_commands_are_rejected_with_their_cause_and_stall_nothing() {
    let world = World::shared().await;
    let (context, stream) = (&world.context, new_stream());
    let registry = Registry::before(&world.stack).await;
    let subject = |name: &str| format!("{}-{}.{name}", context.commands_topic(), context.name);
    let (id, _) = registry.latest(&subject("FlightCancelled")).await;
    let (other_id, _) = registry.latest(&subject("FlightDeparted")).await;
    let deep = registry.register(&subject("Deep"), &deep(&context.name)).await;
    let recursive = registry.register(&subject("Tree"), &recursive(&context.name)).await;
    let good = framed_cancelled(id);

    let with_id = |id: u32, avro: &[u8]| [&[0], id.to_be_bytes().as_slice(), avro].concat();
    let mut bad: Vec<(Vec<u8>, &str)> = (1..good.len()).map(|end| (good[..end].to_vec(), "malformed")).collect();
    bad.push((b"".to_vec(), "malformed"));
    bad.push(([good.as_slice(), b"junk"].concat(), "malformed"));
    bad.push((with_id(other_id, &good[5..]), "malformed"));
    bad.push((with_id(4_000_000_000, &good[5..]), "unknown_schema"));
    bad.push((with_id(deep, &[0x7f; 4_000]), "unknown_schema"));
    bad.push((with_id(recursive, &[2; 4_000]), "unknown_schema"));
    for (value, _) in &bad {
        produce(world, &stream, Some(value)).await;
    }
    // A tombstone.
    produce(world, &stream, None).await;
    bad.push((Vec::new(), "malformed"));
    produce(world, &stream, Some(&good)).await;

    let told = replies(world, &stream, bad.len() + 1).await;
    for ((value, code), reply) in bad.iter().zip(&told) {
        let code = format!("rejected validation.{code}");
        assert_eq!(brief(reply), code, "{} bytes: {reply}", value.len());
        assert!(reply["message"].as_str().is_some_and(|message| !message.is_empty()), "{reply}");
    }
    assert_eq!(brief(&told[bad.len()]), "accepted", "{}", told[bad.len()]);
    only_one_event(world, &stream).await;
}

#[tokio::test]
async fn nasty_13_a_command_without_key_is_rejected_and_stalls_nothing() {
    let world = World::shared().await;
    let registry = Registry::before(&world.stack).await;
    let subject = format!("{}-{}.FlightCancelled", world.context.commands_topic(), world.context.name);
    let good = framed_cancelled(registry.latest(&subject).await.0);
    let stream = new_stream();
    let file = world.stack.folder(&stream).join("command.bin");
    std::fs::write(&file, &good).unwrap();
    let id = format!("keyless-{stream}");
    // One in each partition: no key says where it belongs.
    for partition in ["0", "1", "2", "3"] {
        let mut kcat = Command::new("kcat");
        kcat.args(["-P", "-b", &world.stack.kafka, "-t", &world.context.commands_topic(), "-p", partition]);
        let ran = kcat.args(["-H", &format!("ce_id={id}-{partition}")]).arg(&file).output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
    }
    produce(world, &stream, Some(&good)).await;
    assert_eq!(brief(&replies(world, &stream, 1).await[0]), "accepted");
    let ours = |_key: &[u8], reply: &Value| reply["request_id"].as_str().is_some_and(|told| told.starts_with(&id));
    for reply in replies_where(world, 4, ours).await {
        assert_eq!(brief(&reply), "rejected validation.stream", "{reply}");
    }
    only_one_event(world, &stream).await;
}

#[tokio::test]
async fn nasty_13_bad_requests_are_rejected_with_their_cause_and_the_process_lives() {
    let world = World::shared().await;
    let (http, context, stream) = (world.http(), &world.context.name, new_stream());
    let url = format!("{}/v1/{context}/streams/{stream}/events", world.event_store.url);
    let good = json!({"events": [scheduled()]}).to_string();
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
    let mut bodies: Vec<Vec<u8>> = (0..good.len()).step_by(3).map(|end| good.as_bytes()[..end].to_vec()).collect();
    bodies.push(format!("{good}junk").into_bytes());
    bodies.push(deep("[", "]").into_bytes());
    bodies.push(deep("{\"a\":", "}").into_bytes());
    bodies.push(good.replace("\"UA\"", &deep("[", "]")).into_bytes());
    bodies.push(good.replace("\"UA\"", "null").into_bytes());
    bodies.push(b"null".to_vec());
    bodies.push(vec![0xff, 0xfe, 0x00]);
    let client = Client::builder().no_proxy().build().unwrap();
    for body in bodies {
        let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
        let sent = client.post(&url).header("content-type", "application/json").body(body).send().await.unwrap();
        let status = sent.status().as_u16();
        let answer: Value = serde_json::from_str(&sent.text().await.unwrap()).unwrap();
        assert!(matches!(status, 400 | 413 | 422), "{shown}: {status} {answer}");
        assert!(answer["error_code"].as_str().is_some_and(|code| code.starts_with("validation.")), "{shown}: {answer}");
    }
    let appended = http.append(context, &stream, "no_stream", json!([scheduled()])).await;
    assert_eq!(appended.status, 201, "{appended:?}");
    only_one_event(world, &stream).await;
}

/// Arrays in arrays, deeper than a schema may be.
fn deep(namespace: &str) -> Value {
    let items = (0..40).fold(json!("int"), |inner, _| json!({"type": "array", "items": inner}));
    json!({"type": "record", "name": "Deep", "namespace": namespace, "fields": [{"name": "x", "type": items}]})
}

/// A schema that contains itself: data could be as deep as it likes.
fn recursive(namespace: &str) -> Value {
    let next = json!({"name": "next", "type": ["null", "Tree"]});
    json!({"type": "record", "name": "Tree", "namespace": namespace, "fields": [next]})
}

async fn produce(world: &World, stream: &str, value: Option<&[u8]>) {
    let publisher = Publisher::new(&LogConfig::new(&world.stack.kafka, "spina-tests")).unwrap();
    let (topic, headers) = (world.context.commands_topic(), Headers::default());
    publisher.publish_keyed(&topic, stream.as_bytes(), value, &headers).await.unwrap();
}

async fn only_one_event(world: &World, stream: &str) {
    let events = history::events(&world.stack.kafka, &world.context.events_topic()).await;
    assert_eq!(events.iter().filter(|event| event.stream.as_str() == stream).count(), 1);
    let read = world.http().get(&format!("/v1/{}/streams/{stream}/events", world.context.name)).await.unwrap();
    assert_eq!(read.body["version"], 1, "{read:?}");
}
