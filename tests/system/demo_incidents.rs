//! The flights' own rules over the days of the demo: what was correlated while they were imported, and the back-test.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;
use spina_core::Timestamp;
use spina_tests::flights::{Flights, cache, days};
use spina_tests::http::Http;
use spina_tests::stack::root;

use crate::alerting::{incidents, until};

/// Flights of the three airports that are cancelled on a day for which there must be a storm.
const STORMY: usize = 220;
const DAY_MICROS: i64 = 86_400 * 1_000_000;

/// Days of the import with that many cancelled flights, from the flights alone.
fn stormy_days() -> BTreeMap<Timestamp, usize> {
    let text = fs::read_to_string(cache().join("flights.csv")).unwrap();
    let mut cancelled: BTreeMap<Timestamp, usize> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        if fields[3] == "NA" {
            let [year, month, day] = [fields[0], fields[1], fields[2]].map(|part| part.parse::<u32>().unwrap());
            // New York's day begins five hours after that of UTC, or four.
            let begins = format!("{year:04}-{month:02}-{day:02}T05:00:00Z").parse().unwrap();
            *cancelled.entry(begins).or_default() += 1;
        }
    }
    let end = first_day() + i64::from(days()) * DAY_MICROS;
    cancelled.retain(|begins, count| *count >= STORMY && begins.micros() < end);
    cancelled
}

fn first_day() -> i64 {
    "2013-01-01T00:00:00Z".parse::<Timestamp>().unwrap().micros()
}

fn time(incident: &Value, field: &str) -> Option<i64> {
    incident[field].as_str().map(|text| text.parse::<Timestamp>().unwrap().micros())
}

/// By id: what must be the same. Not how it went on, for the last ones go on when the import is over.
fn outlines(all: &[Value], before: i64) -> BTreeMap<String, Value> {
    let ours = all.iter().filter(|it| it["rule"].as_str().is_some_and(|rule| rule.starts_with("flights/")));
    let early = ours.filter(|it| time(it, "opened_at").unwrap() < before);
    let outline = |it: &Value| {
        let fields =
            ["rule", "group", "opened_at", "began_at", "severity"].map(|field| (field.to_owned(), it[field].clone()));
        (it["id"].as_str().unwrap().to_owned(), Value::Object(fields.into_iter().collect()))
    };
    early.map(outline).collect()
}

#[tokio::test]
#[allow(clippy::print_stdout, reason = "a test may talk")]
async fn the_flights_incidents_are_those_of_the_back_test_and_the_worst_days_are_among_them() {
    let flights = Flights::get();
    let tried = flights.spina(&["rules", "backtest", "flights", "--to", "2014-01-01T00:00:00Z"]).json();
    let found = tried["found"].as_array().unwrap();
    assert_eq!(found.len(), tried["incidents"], "all are told");
    // What came within the lateness of the last flights is not decided before more flights come.
    let decided = first_day() + i64::from(days() - 3) * DAY_MICROS;
    let expected = outlines(found, decided);

    let http = Http::new(&flights.stack.service("alert-correlator"));
    let path = "/v1/incidents?filter=rule%3D~%22flights%2F.*%22";
    until(&http, path, |body| outlines(incidents(body), decided) == expected).await;

    let storms: Vec<&Value> = found.iter().filter(|it| it["rule"] == "flights/storm").collect();
    for (begins, cancelled) in stormy_days() {
        let begins = begins.micros();
        let of_day = |it: &&&Value| {
            let over = time(it, "resolved_at").unwrap_or(i64::MAX);
            time(it, "began_at").unwrap() < begins + DAY_MICROS && begins < over
        };
        let storms: Vec<&&Value> = storms.iter().filter(of_day).collect();
        assert!(!storms.is_empty(), "{cancelled} flights were cancelled, and there is no storm");
        let airports: Vec<&str> = storms.iter().filter_map(|it| it["group"]["airport"].as_str()).collect();
        let day = Timestamp::from_micros(begins).unwrap().to_string();
        println!("{}: {cancelled} flights cancelled, storms at {airports:?}", &day[..10]);
        for storm in storms {
            let shown = http.get(&format!("/v1/incidents/{}", storm["id"].as_str().unwrap())).await.unwrap().body;
            let opened = &shown["events"][0]["IncidentOpened"];
            assert_eq!(opened["evidence"].as_array().map(Vec::len), Some(20), "{shown}");
        }
    }
    let noise = 100.0 * tried["noise_removed"].as_f64().unwrap();
    println!(
        "{} events, {} signals, {} incidents, {noise:.1} % of the noise removed; {} of them live, too",
        tried["events"],
        tried["signals"],
        tried["incidents"],
        expected.len()
    );
    known_incidents_are_missed_if_they_are_not_found(flights);
}

/// A draft of rules on the first two weeks, when few flights are late, and a file that says what there should be.
fn known_incidents_are_missed_if_they_are_not_found(flights: &Flights) {
    let folder = flights.stack.folder("demo");
    let (draft, file) = (folder.join("draft.yaml"), folder.join("known.yaml"));
    let shipped = fs::read_to_string(root().join("topology/flights/correlation.yaml")).unwrap();
    fs::write(&draft, shipped.replace("open: { count: 60 }", "open: { count: 10 }")).unwrap();
    let backtest = || {
        let spina = flights.spina(&["rules", "backtest", "flights", "--to", "2013-01-15T00:00:00Z"]);
        spina.arg("--rules").arg(&draft)
    };
    let tried = backtest().json();
    let found = tried["found"].as_array().unwrap();
    assert!(!found.is_empty(), "no incident, which shows nothing: {tried}");
    let line = |it: &Value| {
        let [rule, group, began] = ["rule", "group", "began_at"].map(|field| &it[field]);
        format!("- {{ rule: {rule}, group: {group}, from: {began}, to: {began} }}\n")
    };
    let known: String = found.iter().map(line).collect();
    fs::write(&file, &known).unwrap();
    let all = backtest().arg("--reference").arg(&file).run();
    let said = format!("; 0 of {} that are known were missed", found.len());
    assert!(all.status.success() && all.stdout.contains(&said), "{all:?}");
    let never = "- { rule: flights/storm, from: 2012-01-01T00:00:00Z, to: 2012-01-02T00:00:00Z }";
    fs::write(&file, format!("{known}{never}\n")).unwrap();
    let one = backtest().arg("--reference").arg(&file).run();
    assert_eq!(one.status.code(), Some(1), "{one:?}");
    assert!(one.stdout.contains("missed: flights/storm {} from 2012-01-01T00:00:00Z"), "{one:?}");
}
