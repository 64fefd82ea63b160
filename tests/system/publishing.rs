//! Published topics: each event once and in the order of its stream, whatever is killed, and nothing private in it.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use spina_tests::context::Context;
use spina_tests::service::Service;
use spina_tests::spina::Spina;
use spina_tests::stack::Stack;
use spina_tests::tools::{Seen, kafka_java, kcat_read};
use spina_tests::world::World;
use spina_tests::{eventually, eventually_within};

use crate::samples::new_stream;

/// How often the projector is killed; 20 in the long run.
fn kills() -> usize {
    std::env::var("SPINA_TEST_KILLS").map_or(3, |kills| kills.parse().unwrap())
}

/// Events that are published between two kills.
const BETWEEN: usize = 40;
const STREAMS: usize = 8;
/// A killed member's partitions come back when its session is over, and a JVM starts on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

const PUBLISH: &str = "
publish:
  cancellations.v1:
    event: FlightCancelled
    record: Cancellation
    when: data.carrier != 'ZZ'
    fields: { airport: data.origin, number: int(data.dest) }
    mask: { carrier: 1 }
";

/// A context that publishes its cancelled flights.
fn declare(stack: &Stack) -> Context {
    let context = Context::create(stack, "publishing");
    let file = context.topology_dir.join(&context.name).join("context.yaml");
    fs::write(&file, fs::read_to_string(&file).unwrap() + PUBLISH).unwrap();
    let folder = context.schemas_dir.join(format!("{}-public", context.name));
    fs::create_dir_all(&folder).unwrap();
    let schema = json!({
        "type": "record", "name": "Cancellation", "namespace": format!("{}_public", context.name),
        "doc": "A flight that does not depart.",
        "fields": [
            { "name": "carrier", "type": "string" },
            { "name": "airport", "type": "string" },
            { "name": "number", "type": "int" },
        ],
    });
    fs::write(folder.join("Cancellation.avsc"), schema.to_string()).unwrap();
    context.topology(Spina::of(stack), "apply").succeeds();
    context
}

fn cancelled(carrier: &str, number: &str) -> Value {
    json!({ "type": "FlightCancelled",
            "data": { "carrier": carrier, "origin": "EWR", "dest": number, "day": "2013-01-01" } })
}

/// What a value says: carrier, airport, number. Read without any library.
fn fields(seen: &Seen) -> (String, String, i64) {
    let mut rest = &seen.value[5..];
    (text(&mut rest), text(&mut rest), number(&mut rest))
}

fn text(rest: &mut &[u8]) -> String {
    let length = usize::try_from(number(rest)).unwrap();
    let (text, after) = rest.split_at(length);
    *rest = after;
    String::from_utf8(text.to_vec()).unwrap()
}

/// A whole number that is not negative: zigzag, the lower seven bits first.
fn number(rest: &mut &[u8]) -> i64 {
    let (mut zigzag, mut shift) = (0_u64, 0);
    loop {
        let (byte, after) = rest.split_first().unwrap();
        *rest = after;
        zigzag |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return i64::try_from(zigzag / 2).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_is_published_once_and_in_order_whatever_is_killed() {
    let stack = Stack::get();
    let context = declare(&stack);
    let mut event_store = Service::start(&stack, "event-store", &context);
    event_store.ready().await;
    let mut projector = Service::start(&stack, "projector", &context);
    let world = World { stack, context, event_store, projector: None };
    let (http, topic) = (world.http(), format!("{}.cancellations.v1", world.context.name));
    let streams: Vec<String> = (0..STREAMS).map(|_| new_stream()).collect();
    let expected = (kills() + 1) * BETWEEN;

    // A Java consumer group reads along.
    let (stack, read) = (world.stack.clone(), topic.clone());
    let java = tokio::task::spawn_blocking(move || consume(&stack, &read, expected));

    for round in 0..=kills() {
        for number in round * BETWEEN..(round + 1) * BETWEEN {
            let stream = &streams[number % STREAMS];
            let hidden = cancelled("ZZ", &number.to_string());
            let events = json!([cancelled("UA", &number.to_string()), hidden]);
            let appended = http.append(&world.context.name, stream, "any", events).await;
            assert_eq!(appended.status, 201, "{appended:?}");
            if number % BETWEEN == BETWEEN / 2 && round < kills() {
                projector.kill();
                projector.start_again();
            }
        }
        if round % 2 == 1 {
            // The next kill hits one that serves.
            let wanted = (round + 1) * BETWEEN;
            eventually_within(PATIENCE, "what was appended is published", async || {
                (kcat_read(&world.stack, &topic).len() >= wanted).then_some(())
            })
            .await;
        }
    }
    let published = eventually_within(PATIENCE, "everything is published", async || {
        let published = kcat_read(&world.stack, &topic);
        (published.len() >= expected).then_some(published)
    })
    .await;
    assert_eq!(published.len(), expected, "each once");
    for (index, stream) in streams.iter().enumerate() {
        let of_stream: Vec<&Seen> = published.iter().filter(|record| record.key == *stream).collect();
        let numbers: Vec<i64> = of_stream.iter().map(|record| fields(record).2).collect();
        let appended: Vec<i64> = (index..expected).step_by(STREAMS).map(|n| i64::try_from(n).unwrap()).collect();
        assert_eq!(numbers, appended, "{stream}");
        for record in of_stream {
            assert_eq!(fields(record).0, "***A", "the carrier is masked");
            assert_eq!(fields(record).1, "EWR");
            let of_type = format!("{}_public.Cancellation", world.context.name);
            assert_eq!(record.header("ce_type"), Some(of_type.as_str()));
            assert_eq!(record.header("spina-epoch"), None, "{record:?}");
        }
    }

    let printed = java.await.unwrap();
    let seen: Vec<&str> = printed.lines().filter_map(id).collect();
    let distinct: BTreeSet<&str> = seen.iter().copied().collect();
    assert_eq!((seen.len(), distinct.len()), (expected, expected), "Java sees each once:\n{printed}");
    for stream in &streams {
        let of_stream = published.iter().filter(|record| record.key == *stream);
        let ours: Vec<&str> = of_stream.filter_map(|record| record.header("ce_id")).collect();
        let javas: Vec<&str> = printed.lines().filter(|line| line.ends_with(stream.as_str())).filter_map(id).collect();
        assert_eq!(javas, ours, "Java sees the order of {stream}");
    }

    cannot_be_published_is_told(&world, &topic, &streams[0]).await;
}

/// An event on which an expression fails holds nobody up: it is among the dead letters with the reason, once.
async fn cannot_be_published_is_told(world: &World, topic: &str, stream: &str) {
    let before = kcat_read(&world.stack, topic).len();
    let events = json!([cancelled("UA", "LAX"), cancelled("UA", "7")]);
    let appended = world.http().append(&world.context.name, stream, "any", events).await;
    assert_eq!(appended.status, 201, "{appended:?}");
    eventually("the one behind it is published", async || {
        (kcat_read(&world.stack, topic).len() == before + 1).then_some(())
    })
    .await;
    let dead = kcat_read(&world.stack, &format!("{topic}.dlq"));
    assert_eq!(dead.len(), 1, "{dead:?}");
    assert_eq!(dead[0].key, stream);
    assert!(dead[0].headers.contains("spina-error=") && dead[0].headers.contains("int(data.dest)"), "{dead:?}");
}

/// The event's id in a line of that.
fn id(line: &str) -> Option<&str> {
    line.split("ce_id:").nth(1)?.split([',', '\t']).next()
}

/// What Java's console consumer prints as a member of a group: headers and key of each record.
fn consume(stack: &Stack, topic: &str, records: usize) -> String {
    let consumer = "org.apache.kafka.tools.consumer.ConsoleConsumer";
    let (records, group) = (records.to_string(), format!("java.{topic}"));
    let arguments = ["--topic", topic, "--group", &group, "--from-beginning", "--isolation-level", "read_committed"];
    let shown = ["print.key=true", "print.headers=true", "print.value=false"]
        .map(|property| ["--formatter-property", property]);
    let end = ["--max-messages", &records, "--timeout-ms", "180000"];
    kafka_java(stack, consumer, &[&arguments[..], &shown.concat(), &end].concat())
}
