//! Programs that speak Kafka and know nothing of Spina read its topics and publish to them.

use reqwest::Client;
use serde_json::{Value, json};
use spina_tests::history;
use spina_tests::tools::{Seen, kafka_java, kcat_produce, kcat_read};
use spina_tests::world::World;

use crate::replies::{brief, replies};
use crate::samples::{departed, framed_cancelled, new_stream, scheduled};

#[tokio::test]
async fn kcat_reads_events_with_key_headers_and_schema_id() {
    let world = World::shared().await;
    let (context, stream) = (&world.context, new_stream());
    let appended = world.http().append(&context.name, &stream, "no_stream", json!([scheduled(), departed()])).await;
    assert_eq!(appended.status, 201, "{appended:?}");

    let seen = kcat_read(&world.stack, &context.events_topic());
    let of_stream: Vec<&Seen> = seen.iter().filter(|record| record.key == stream).collect();
    assert_eq!(of_stream.len(), 2);
    for (record, (version, name)) in of_stream.iter().zip([("1", "FlightScheduled"), ("2", "FlightDeparted")]) {
        assert_eq!(record.header("ce_sequence"), Some(version));
        assert_eq!(record.header("ce_type"), Some(format!("{}.flight.{name}", context.name).as_str()));
        assert_eq!(record.header("ce_subject"), Some(stream.as_str()));
        assert_eq!(record.header("ce_specversion"), Some("1.0"));
        assert!(record.header("ce_id").is_some_and(|id| !id.is_empty()) && record.header("ce_time").is_some());
        assert_eq!(record.value[0], 0, "the frame's magic byte");
        let schema_id = u32::from_be_bytes(record.value[1..5].try_into().unwrap());
        assert_eq!(schema_id, schema(world, &context.events_topic(), name).await);
    }
    assert_eq!(of_stream[0].header("ce_time"), Some("2012-12-31T10:15:00Z"));
}

#[tokio::test]
async fn javas_console_consumer_reads_them_too() {
    let world = World::shared().await;
    let (topic, stream) = (world.context.events_topic(), new_stream());
    let appended = world.http().append(&world.context.name, &stream, "no_stream", json!([scheduled()])).await;
    assert_eq!(appended.status, 201, "{appended:?}");

    let events = history::events(&world.stack.kafka, &topic).await.len().to_string();
    let consumer = "org.apache.kafka.tools.consumer.ConsoleConsumer";
    let arguments = ["--topic", &topic, "--from-beginning", "--isolation-level", "read_committed"];
    let shown = ["--formatter-property", "print.key=true", "--formatter-property", "print.headers=true"];
    let end = ["--max-messages", &events, "--timeout-ms", "30000"];
    let printed = kafka_java(&world.stack, consumer, &[&arguments[..], &shown, &end].concat());
    let line = printed.lines().find(|line| line.contains(&stream)).expect("the event is printed");
    assert!(line.contains("ce_sequence:1") && line.contains("FlightScheduled"), "{line}");
}

#[tokio::test]
async fn a_plain_producer_publishes_and_gets_a_reply() {
    let world = World::shared().await;
    let (context, stream) = (&world.context, new_stream());
    let event = framed_cancelled(schema(world, &context.commands_topic(), "FlightCancelled").await);

    let id = format!("command-{stream}");
    let headers =
        [("ce_id", id.as_str()), ("ce_time", "2013-01-01T09:00:00Z"), ("spina-expected-version", "no_stream")];
    produce(world, &stream, &headers, &event, &[]);
    // The same command again, as a producer that restarts would send it.
    produce(world, &stream, &headers, &event, &[]);
    let accepted = replies(world, &stream, 2).await;
    assert_eq!(accepted.len(), 2);
    for reply in &accepted {
        assert_eq!((&reply["outcome"], &reply["version"]), (&json!("accepted"), &json!(1)), "{reply}");
        assert_eq!(reply["request_id"], json!(id));
    }

    let stale = [("ce_id", "another"), ("spina-expected-version", "no_stream")];
    produce(world, &stream, &stale, &event, &[]);
    let conflict = replies(world, &stream, 3).await.pop().unwrap();
    assert_eq!((&conflict["outcome"], &conflict["error_code"]), (&json!("conflict"), &json!("state.conflict")));

    let path = format!("/v1/{}/streams/{stream}/events", context.name);
    let read = world.http().get(&path).await.unwrap().body;
    assert_eq!(read["version"], 1, "{read}");
    assert_eq!(
        read["events"][0]["data"],
        json!({"carrier": "UA", "origin": "EWR", "dest": "IAH", "day": "2013-01-01"})
    );
    assert_eq!(read["events"][0]["time"], "2013-01-01T09:00:00Z");
}

#[tokio::test]
async fn json_with_the_name_of_its_type_will_do() {
    let world = World::shared().await;
    let (context, stream) = (&world.context, new_stream());
    let fields = r#"{"carrier": "UA", "origin": "EWR", "dest": "IAH", "day": "2013-01-01"}"#;
    let id = format!("outbox-{stream}");
    let named = [("ce_id", id.as_str()), ("ce_type", "FlightCancelled")];
    let mut verdicts = Vec::new();
    for (headers, value, verdict) in [
        (&named[..], fields, "accepted"),
        (&named[..], fields, "accepted"),
        (&[][..], fields, "rejected validation.unknown_type"),
        (&[("ce_type", "FlightLost")][..], fields, "rejected validation.unknown_type"),
        (&[("ce_type", "FlightCancelled")][..], r#"{"carrier": 7"#, "rejected validation.malformed"),
        (&[("ce_type", "FlightCancelled")][..], r#"{"carrier": 7}"#, "rejected validation.type"),
    ] {
        produce(world, &stream, headers, value.as_bytes(), &[]);
        verdicts.push(verdict);
    }
    let replies: Vec<String> = replies(world, &stream, verdicts.len()).await.iter().map(brief).collect();
    assert_eq!(replies, verdicts);
    let read = world.http().get(&format!("/v1/{}/streams/{stream}/events", context.name)).await.unwrap().body;
    assert_eq!(read["version"], 1, "the second was a repeat: {read}");
    assert_eq!(read["events"][0]["data"], serde_json::from_str::<Value>(fields).unwrap());
}

#[tokio::test]
async fn garbage_is_answered_and_holds_nobody_up() {
    let world = World::shared().await;
    let (context, stream) = (&world.context, new_stream());
    let schema_id = schema(world, &context.commands_topic(), "FlightCancelled").await;
    let good = framed_cancelled(schema_id);
    let truncated = &good[..good.len() - 1];
    let trailing = [good.as_slice(), b"more"].concat();
    let of_no_schema = framed_cancelled(4_000_000_000);

    // All of one partition: what came before did not stall it, or the last one would not be answered.
    let frames = [(b"garbage".as_slice(), "malformed"), (truncated, "malformed"), (&trailing, "malformed")];
    let mut codes = Vec::new();
    for (frame, code) in frames.into_iter().chain([(of_no_schema.as_slice(), "unknown_schema")]) {
        produce(world, &stream, &[], frame, &[]);
        codes.push(format!("rejected validation.{code}"));
    }
    produce(world, &stream, &[("spina-expected-version", "soon")], &good, &[]);
    codes.push("rejected validation.header".to_owned());
    produce(world, &stream, &[], &good, &[]);
    codes.push("accepted".to_owned());

    let replies: Vec<String> = replies(world, &stream, codes.len()).await.iter().map(brief).collect();
    assert_eq!(replies, codes);
    let read = world.http().get(&format!("/v1/{}/streams/{stream}/events", context.name)).await.unwrap();
    assert_eq!(read.body["version"], 1, "{read:?}");
}

#[tokio::test]
async fn a_stream_has_one_partition_and_a_command_on_another_is_refused() {
    let world = World::shared().await;
    let (context, stream) = (&world.context, new_stream());
    let event = framed_cancelled(schema(world, &context.commands_topic(), "FlightCancelled").await);
    for partition in ["0", "1", "2", "3"] {
        produce(world, &stream, &[], &event, &["-p", partition]);
    }
    let replies = replies(world, &stream, 4).await;
    let refused: Vec<&Value> = replies.iter().filter(|reply| reply["outcome"] == "rejected").collect();
    assert_eq!(refused.len(), 3, "{replies:?}");
    assert!(refused.iter().all(|reply| reply["error_code"] == "validation.partition"), "{replies:?}");
    let events = history::events(&world.stack.kafka, &context.events_topic()).await;
    assert_eq!(events.iter().filter(|event| event.stream.as_str() == stream).count(), 1);
}

/// Produces a record to the commands topic with `kcat`.
pub fn produce(world: &World, stream: &str, headers: &[(&str, &str)], value: &[u8], more: &[&str]) {
    let file = world.stack.folder(stream).join("command.bin");
    std::fs::write(&file, value).unwrap();
    kcat_produce(&world.stack, &world.context.commands_topic(), stream, headers, &file, more);
}

/// The id under which a topic's schema is registered, as the registry tells anybody.
pub async fn schema(world: &World, topic: &str, name: &str) -> u32 {
    let url = format!("{}/subjects/{topic}-{}.{name}/versions/latest", world.stack.registry, world.context.name);
    let client = Client::builder().no_proxy().build().unwrap();
    let text = client.get(&url).send().await.unwrap().text().await.unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    u32::try_from(document["id"].as_u64().unwrap_or_else(|| panic!("{url}: {document}"))).unwrap()
}
