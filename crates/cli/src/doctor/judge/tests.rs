//! A healthy stack, broken in one place at a time.

use serde_json::json;
use spina_log::admin::{Cluster, PartitionEnds};

use super::*;

/// Breaks something.
type Break = Box<dyn Fn(&mut Observed)>;

fn well() -> Observed {
    let ends = |stable, high| PartitionEnds { partition: 0, earliest: 0, stable, high };
    let topic = |name: &str| Topic { name: name.to_owned(), ends: vec![ends(9, 9)], open: Vec::new() };
    let health = |name| Health { name, url: "http://x".into(), status: "ready".into(), reasons: Vec::new() };
    Observed {
        services: vec![health("event-store"), health("projector")],
        kafka: Ok(Cluster { id: "c".into(), brokers: 1, transaction_version: 2, min_insync_replicas: Some(1) }),
        registry: Ok(11),
        postgres: Some(Ok(())),
        topics: needed_topics(&"flights".parse().unwrap()).iter().map(|name| topic(name)).collect(),
        contexts: Ok(vec![json!({
            "name": "flights",
            "owned": [{ "partition": 0, "epoch": 3, "unarchived_events": 5, "next_offset": 9 }],
        })]),
        projections: Ok(vec![json!({
            "context": "flights", "model": "aircraft", "state": "running", "lag_records": 0, "last_error": null,
        })]),
    }
}

fn troubles(seen: &Observed) -> Vec<Finding> {
    findings(seen).into_iter().filter(|finding| finding.verdict != Verdict::Good).collect()
}

#[test]
fn a_healthy_stack_has_no_troubles_and_shows_its_owners() {
    assert_eq!(troubles(&well()), []);
    let told: Vec<String> = findings(&well()).iter().map(ToString::to_string).collect();
    let owner = "ok    flights.events.v1:0: owned, epoch 3; stable offset 9, end 9; 5 events not archived yet";
    assert!(told.iter().any(|line| line == owner), "{told:#?}");
}

#[test]
fn every_trouble_is_told_with_what_to_do() {
    let replies = names::replies_topic(&"flights".parse().unwrap());
    let cases: Vec<(&str, &str, Break)> = vec![
        ("kafka", "spina up", Box::new(|seen| seen.kafka = Err("refused".into()))),
        ("kafka", "upgrade", Box::new(|seen| seen.kafka.as_mut().unwrap().transaction_version = 0)),
        ("registry", "topology apply", Box::new(|seen| seen.registry = Ok(0))),
        ("postgres", "logs/postgres.log", Box::new(|seen| seen.postgres = Some(Err("no".into())))),
        ("projector", "spina up", Box::new(|seen| seen.services[1].status = "unreachable".into())),
        ("projector", "logs/projector.log", Box::new(|seen| seen.services[1].status = "not_ready".into())),
        (&replies, "topology apply", Box::new(|seen| _ = seen.topics.pop())),
        (
            "flights.events.v1:0",
            "taken over",
            Box::new(|seen| {
                seen.contexts.as_mut().unwrap()[0]["owned"] = json!([]);
            }),
        ),
        (
            "flights.events.v1:0",
            "archive",
            Box::new(|seen| {
                seen.contexts.as_mut().unwrap()[0]["owned"][0]["unarchived_events"] = json!(UNARCHIVED_MAX + 1);
            }),
        ),
        (
            "flights.events.v1:0",
            "tries again",
            Box::new(|seen| {
                seen.contexts.as_mut().unwrap()[0]["owned"] = json!([]);
                seen.services[0].reasons = vec!["partitions: flights/0 the log was lost".to_owned()];
            }),
        ),
        ("flights.events.v1:0", "stuck or gone", Box::new(|seen| seen.topics[1].open = vec![(0, OPEN_SECONDS_GOOD)])),
        ("flights.events.v1:0", "restart", Box::new(|seen| seen.topics[1].open = vec![(0, OPEN_SECONDS_MAX + 1)])),
        (
            "flights/aircraft",
            "dead-letter redrive",
            Box::new(|seen| seen.projections.as_mut().unwrap()[0]["parked_keys"] = json!(2)),
        ),
        (
            "flights/aircraft",
            "resume",
            Box::new(|seen| seen.projections.as_mut().unwrap()[0]["state"] = json!("paused")),
        ),
        ("flights/aircraft", "mend", Box::new(|seen| seen.projections.as_mut().unwrap()[0]["last_error"] = json!("x"))),
    ];
    for (subject, advice, break_it) in cases {
        let mut seen = well();
        break_it(&mut seen);
        let troubles = troubles(&seen);
        assert_eq!(troubles.len(), 1, "{subject} {advice}: {troubles:#?}");
        assert_eq!(troubles[0].subject, subject);
        assert!(troubles[0].next.as_ref().unwrap().contains(advice), "{troubles:#?}");
    }
}

#[test]
fn a_window_being_written_is_no_trouble() {
    let mut seen = well();
    seen.topics[1].open = vec![(0, 1)];
    assert_eq!(troubles(&seen), []);
}

#[test]
fn a_partition_of_another_process_is_no_trouble_and_its_owner_is_named() {
    let mut seen = well();
    let context = &mut seen.contexts.as_mut().unwrap()[0];
    context["owned"] = json!([]);
    context["owners"] = json!([{ "partition": 0, "epoch": 4, "endpoint": "http://127.0.0.1:7405" }]);
    assert_eq!(troubles(&seen), []);
    let told: Vec<String> = findings(&seen).iter().map(ToString::to_string).collect();
    let owner = "the event-store asked is not its owner: http://127.0.0.1:7405 is, epoch 4";
    assert!(told.iter().any(|line| line.contains(owner)), "{told:#?}");
}

#[test]
fn a_parked_partition_is_told_with_its_reason() {
    let mut seen = well();
    seen.contexts.as_mut().unwrap()[0]["owned"] = json!([]);
    seen.services[0].reasons = vec!["partitions: flights/1 is taken over; flights/0 the log was lost".to_owned()];
    assert!(troubles(&seen)[0].found.starts_with("parked, nobody serves it: the log was lost; stable"));
}
