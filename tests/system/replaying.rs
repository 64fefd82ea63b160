//! `spina replay`: exactly the events asked for, straight from the log, and nobody's group is touched.

use serde_json::Value;
use spina_tests::flights::Flights;
use spina_tests::tools::kafka_java;

fn parsed(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_replay_by_type_and_time_prints_exactly_those_events() {
    let flights = Flights::get();
    let all = parsed(&flights.replay());
    let (from, to) = ("2013-01-03T00:00:00Z", "2013-01-09T00:00:00Z");
    let within = |event: &&Value| {
        // All times are written alike, so they compare as text.
        let time = event["time"].as_str().unwrap();
        event["type"] == "flights.flight.FlightCancelled" && (from..to).contains(&time)
    };
    let expected: Vec<&Value> = all.iter().filter(within).collect();
    assert!(expected.len() > 10, "the sample says something: {}", expected.len());

    let groups = groups(flights);
    let arguments = ["replay", "--context", "flights", "--type", "FlightCancelled", "--from", from, "--to", to];
    let replayed = parsed(&flights.spina(&arguments).args(["--output", "ndjson"]).succeeds());
    assert_eq!(replayed.iter().collect::<Vec<_>>(), expected);
    assert_eq!(self::groups(flights), groups, "no group came or went");
    assert!(groups.iter().any(|group| group == "event-store.flights"), "{groups:?}");
}

#[test]
fn a_replay_goes_on_after_a_token() {
    let flights = Flights::get();
    let all = parsed(&flights.replay());
    let stream =
        all.iter().find(|event| event["version"] == 3).expect("some flight landed")["stream"].as_str().unwrap();
    let whole = parsed(&flights.spina(&["replay", "--stream", stream, "--output", "ndjson"]).succeeds());
    assert_eq!(whole.iter().map(|event| &event["version"]).collect::<Vec<_>>(), [1, 2, 3]);
    let after = whole[0]["token"].as_str().unwrap();
    let rest = flights.spina(&["replay", "--stream", stream, "--from", after, "--output", "ndjson"]).succeeds();
    assert_eq!(parsed(&rest), whole[1..]);
}

/// The consumer groups of the cluster, sorted.
fn groups(flights: &Flights) -> Vec<String> {
    let tool = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
    let listed = kafka_java(&flights.stack, tool, &["--list"]);
    let mut groups: Vec<String> = listed.lines().map(str::to_owned).collect();
    groups.sort();
    groups
}
