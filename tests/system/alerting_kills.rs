//! The storms of February 2013 come out the same however often the correlator is killed while they are told.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use spina_tests::fleet::{PARTITIONS, stream_in};
use spina_tests::http::Http;
use spina_tests::stack::root;
use spina_tests::world::World;

use crate::alerting::{correlator, declare_alerts, incidents, until, written};

/// How often the correlator is killed; `SPINA_TEST_KILLS=20` asks for more.
fn kills() -> usize {
    std::env::var("SPINA_TEST_KILLS").map_or(3, |kills| kills.parse().unwrap())
}

/// The cancellations as lines of an import, in the order of their time.
fn cancellations() -> Vec<String> {
    let text = fs::read_to_string(root().join("tests/data/storms-2013-02.csv")).unwrap();
    let line = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        cancelled(fields[1], fields[0], [fields[2], fields[3], fields[4]])
    };
    text.lines().skip(1).map(line).collect()
}

fn cancelled(stream: &str, time: &str, [carrier, origin, dest]: [&str; 3]) -> String {
    let data = json!({ "carrier": carrier, "origin": origin, "dest": dest, "day": &time[..10] });
    json!({ "stream": stream, "type": "FlightCancelled", "time": time, "data": data }).to_string()
}

fn import(world: &World, part: usize, lines: &[String]) {
    let file = world.stack.folder(&world.context.name).join(format!("cancellations-{part}.ndjson"));
    fs::write(&file, lines.join("\n")).unwrap();
    world.spina().args(["import", "--context", &world.context.name]).arg(file).succeeds();
}

/// What must be the same: who, where, when, how many.
fn outlines(all: &[Value], context: &str) -> BTreeMap<String, Value> {
    let ours =
        |incident: &&Value| incident["rule"].as_str().is_some_and(|rule| rule.starts_with(&format!("{context}/")));
    let outline = |incident: &Value| {
        let fields = ["rule", "group", "opened_at", "began_at", "resolved_at", "count"];
        let outline = fields.iter().map(|field| ((*field).to_owned(), incident[field].clone())).collect();
        (incident["id"].as_str().unwrap().to_owned(), Value::Object(outline))
    };
    all.iter().filter(ours).map(outline).collect()
}

#[tokio::test]
#[allow(clippy::print_stdout, reason = "a test may talk")]
async fn incidents_are_those_of_the_back_test_however_often_the_correlator_is_killed() {
    let mut world = World::with_event_store("kills").await;
    declare_alerts(&world.stack, &world.context);
    let context = world.context.name.clone();
    let rules = world.context.topology_dir.join(&context).join("correlation.yaml");
    // However slow the machine is: a partition that was not read yet is waited for.
    fs::write(&rules, fs::read_to_string(&rules).unwrap().replace("idle: 1m", "idle: 1d")).unwrap();
    let lines = cancellations();
    let parts: Vec<&[String]> = lines.chunks(lines.len() / kills() + 1).collect();
    let mut service = correlator(&world.stack, &world.context).await;
    let mut chance: u64 = 2_013;
    for (number, part) in parts.iter().enumerate() {
        import(&world, number, part);
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // A kill at no particular time: nothing is waited for here.
        tokio::time::sleep(Duration::from_millis((chance >> 33) % 700)).await;
        service.kill();
        service.start_again();
        service.ready().await;
    }
    // Much later something happens in every partition, so what is open ends.
    let later: Vec<String> = (0..PARTITIONS)
        .map(|partition| cancelled(&stream_in(partition), "2013-03-01T12:00:00Z", ["UA", "EWR", "IAH"]))
        .collect();
    import(&world, parts.len(), &later);

    let http = Http::new(&service.url);
    let tried = http.post("/v1/rules/backtest", &json!({ "context": context })).await;
    assert_eq!((tried.status, &tried.body["signals"]), (200, &json!(lines.len() + later.len())), "{tried:?}");
    let expected = outlines(tried.body["found"].as_array().unwrap(), &context);
    let storms = expected.values().filter(|outline| outline["rule"].as_str().unwrap().ends_with("/storm")).count();
    assert_eq!(storms, 3, "one for each airport: {expected:?}");
    let ours = format!("/v1/incidents?filter=rule%3D~%22{context}%2F.*%22");
    until(&http, &ours, |body| outlines(incidents(body), &context) == expected).await;
    for incident in expected.keys() {
        let told = written(&world.stack, incident).await;
        let opened = told.iter().filter(|name| *name == "spina.IncidentOpened").count();
        assert_eq!(opened, 1, "{incident}: {told:?}");
    }
    println!(
        "{} cancellations, {} kills, {} incidents, the same as in the back-test",
        lines.len(),
        parts.len(),
        expected.len()
    );
    service.stop().await;
    world.event_store.stop().await;
}
