//! Plain JSON from a file, by Kafka Connect's own connector, becomes events as `context.yaml` says.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use spina_tests::connect::Worker;
use spina_tests::context::Context;
use spina_tests::service::Service;
use spina_tests::stack::{Stack, root};
use spina_tests::tools::kcat_read;
use spina_tests::world::World;
use spina_tests::{eventually_within, history};

/// The worker scans its plugins and its tasks join their groups before anything moves.
const PATIENCE: Duration = Duration::from_secs(180);
/// Lines of each half of the file that become events.
const LINES: usize = 150;
/// Streams of the notices.
const STREAMS: usize = 10;

/// The flights with an intake, and the example's source of it.
fn declare(stack: &Stack) -> (Context, PathBuf) {
    let context = Context::create(stack, "intake");
    let folder = context.topology_dir.join(&context.name);
    let intake = format!(
        "intake:\n  {0}.notices:\n    type: FlightCancelled\n    when: data.kind == 'cancelled'\n    stream: \"'flight-' + \
         data.flight\"\n    fields: {{ dest: string(data.to), day: \"'2013-01-01'\" }}\n",
        context.name
    );
    let mut file = File::options().append(true).open(folder.join("context.yaml")).unwrap();
    file.write_all(intake.as_bytes()).unwrap();
    let notices = stack.folder(&context.name).join("notices.ndjson");
    let example = fs::read_to_string(root().join("docs/connect/files.yaml")).unwrap();
    let own = example
        .replace("/var/spool/notices.ndjson", &notices.display().to_string())
        .replace("/var/spool/events.txt", &notices.with_extension("txt").display().to_string())
        .replace("airport.notices", &format!("{}.notices", context.name))
        .replace("flights.events.v1", &context.events_topic());
    fs::write(folder.join("connectors.yaml"), own).unwrap();
    (context, notices)
}

fn stream(number: usize) -> String {
    format!("flight-IN{}", number % STREAMS)
}

/// A cancellation, one that is something else, and at the hundreds one that is no JSON.
fn lines(from: usize, to: usize) -> String {
    let cancelled = |number: usize| {
        let flight = stream(number).replace("flight-", "");
        json!({ "kind": "cancelled", "flight": flight, "carrier": "IN", "origin": "EWR", "to": number, "gate": "C3" })
    };
    let delayed = json!({ "kind": "delayed", "flight": "IN1" });
    let garbage = |number: usize| if number.is_multiple_of(100) { "garbage\n" } else { "" };
    (from..to).map(|number| format!("{}\n{delayed}\n{}", cancelled(number), garbage(number))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_of_a_file_is_one_event_in_order_though_the_projector_is_killed() {
    let stack = Stack::get();
    let worker = Worker::up(&stack);
    let (context, notices) = declare(&stack);
    fs::write(&notices, lines(0, LINES)).unwrap();
    context.topology(worker.spina(), "apply").succeeds();
    let mut event_store = Service::start(&stack, "event-store", &context);
    let projector = Service::start(&stack, "projector", &context);
    event_store.ready().await;
    let mut world = World { stack, context, event_store, projector: Some(projector) };

    let events = async |world: &World| history::events(&world.stack.kafka, &world.context.events_topic()).await;
    eventually_within(PATIENCE, "some lines are events", async || (!events(&world).await.is_empty()).then_some(()))
        .await;
    let projector = world.projector.as_mut().unwrap();
    projector.kill();
    let mut file = File::options().append(true).open(&notices).unwrap();
    file.write_all(lines(LINES, 2 * LINES).as_bytes()).unwrap();
    projector.start_again();
    let found = eventually_within(PATIENCE, "every line is an event", async || {
        let found = events(&world).await;
        (found.len() >= 2 * LINES).then_some(found)
    })
    .await;
    assert_eq!(found.len(), 2 * LINES, "each once");
    history::assert_sound(&found);

    let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
    (0..2 * LINES).for_each(|number| expected.entry(stream(number)).or_default().push(number.to_string()));
    for (stream, numbers) in expected {
        let path = format!("/v1/{}/streams/{stream}/events?limit=1000", world.context.name);
        let read = world.http().get(&path).await.unwrap().body;
        let read = read["events"].as_array().unwrap();
        let seen: Vec<&str> = read.iter().map(|event| event["data"]["dest"].as_str().unwrap()).collect();
        assert_eq!(seen, numbers, "{stream}");
        assert_eq!(read[0]["data"]["carrier"], "IN", "what is not named is passed on");
    }
    let dead = kcat_read(&world.stack, &format!("{}.notices.dlq", world.context.name));
    assert_eq!(dead.len(), 3, "{dead:?}");
    assert!(
        dead.iter().all(|record| record.value == b"garbage" && record.headers.contains("no JSON object")),
        "{dead:?}"
    );

    let written = notices.with_extension("txt");
    eventually_within(PATIENCE, "every event is a line of the other file", async || {
        let text = fs::read_to_string(&written).ok()?;
        (text.lines().count() == 2 * LINES && text.contains("carrier=IN")).then_some(())
    })
    .await;
    for connector in ["notices", "lines"] {
        worker.spina().args(["connect", "delete", &format!("{}.{connector}", world.context.name)]).succeeds();
    }
}
