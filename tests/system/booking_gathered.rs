//! The model of two contexts that the documentation shows, on real flights and on what a saga makes of them, while the
//! projector is killed.
//!
//! Before [`demo`](crate::demo) by name: that leaves an orchestrator of its own running.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};
use spina_tests::bookings::Booking;
use spina_tests::eventually_within;
use spina_tests::http::Http;
use spina_tests::notices::Notices;
use spina_tests::service::Service;
use spina_tests::spina::Spina;
use spina_tests::stack::root;

use crate::booking::{bookings, cancellations, patience};

/// How often the projector is killed.
const KILLS: usize = 4;
const MODEL: &str = "cancelled_flight";

/// The definition as the documentation has it.
fn documented() -> String {
    let page = fs::read_to_string(root().join("docs/adding-a-context.md")).unwrap();
    let example = page.split("```yaml\n").find(|block| block.contains(&format!("  {MODEL}:"))).unwrap();
    example.split("```").next().unwrap().to_owned()
}

/// Events of a context, as `spina replay` gives them.
fn log(booking: &Booking, event_store: &Service, context: &str) -> Vec<Value> {
    let replay = Spina::of(&booking.stack).env("SPINA_EVENT_STORE_URL", &event_store.url);
    let replay = replay.args(["replay", "--output", "ndjson", "--context", context]);
    booking.context.folders(replay).succeeds().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What the two logs come to, by flight: passengers stranded and rebooked, vouchers, cancellations, carrier.
fn expected(events: &[Value]) -> BTreeMap<String, (i64, i64, i64, i64, Value)> {
    let mut rows = BTreeMap::<String, (i64, i64, i64, i64, Value)>::new();
    for event in events {
        let (_, key) = event["stream"].as_str().unwrap().split_once('-').unwrap();
        let passengers = event["data"]["passengers"].as_i64().unwrap_or(0);
        let name = event["type"].as_str().unwrap().rsplit('.').next().unwrap();
        if !["PassengersStranded", "PassengersRebooked", "VoucherIssued", "FlightCancelled"].contains(&name) {
            continue;
        }
        let row = rows.entry(key.to_owned()).or_default();
        match name {
            "PassengersStranded" => row.0 += passengers,
            "PassengersRebooked" => row.1 += passengers,
            "VoucherIssued" => row.2 += 1,
            _ => (row.3, row.4) = (row.3 + 1, event["data"]["carrier"].clone()),
        }
    }
    rows
}

async fn found(projector: &Service, context: &str) -> BTreeMap<String, (i64, i64, i64, i64, Value)> {
    let (http, mut rows, mut cursor) = (Http::new(&projector.url), BTreeMap::new(), String::new());
    loop {
        let page = http.get(&format!("/v1/{context}/models/{MODEL}?limit=1000{cursor}")).await.unwrap();
        for row in page.body["rows"].as_array().unwrap() {
            let of = |column: &str| row[column].as_i64().unwrap();
            let counts = (of("stranded"), of("rebooked"), of("vouchers"), of("cancelled"), row["carrier"].clone());
            rows.insert(row["flight"].as_str().unwrap().to_owned(), counts);
        }
        match page.body["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return rows,
        }
    }
}

#[tokio::test]
async fn what_became_of_cancelled_flights_is_gathered_from_both_contexts_though_the_projector_is_killed() {
    let booking = Booking::declare();
    let own = booking.context.name.clone();
    let models = documented().replace(" flights.", &format!(" {}.", booking.flights));
    fs::write(booking.context.topology_dir.join(&own).join("projections.yaml"), models).unwrap();
    let notices = Notices::start();
    let lines = bookings(&booking, &notices.base());
    let told = lines.iter().filter(|line| line.contains("/notices")).count();
    let cancelled = cancellations();
    let mut event_store = Service::start(&booking.stack, "event-store", &booking.context);
    let mut orchestrator = Service::start(&booking.stack, "saga-orchestrator", &booking.context);
    let mut projector = Service::start(&booking.stack, "projector", &booking.context);
    event_store.ready().await;
    let file = booking.file("wanted.ndjson", lines);
    booking.import(&own, &event_store.url, &file).succeeds();
    orchestrator.ready().await;
    let file = booking.file("cancelled.ndjson", cancelled.iter().cloned());
    let import = booking.import(&booking.flights, &event_store.url, &file).spawn();
    for kill in 1..=KILLS {
        let until = told * kill / (KILLS + 1);
        let what = format!("{until} of {told} are told before kill {kill}");
        eventually_within(patience(), &what, async || (notices.accepted().len() >= until).then_some(())).await;
        projector.kill();
        projector.start_again();
    }
    assert!(import.ends().await.status.success());
    eventually_within(patience(), "every saga has ended", async || {
        let states = booking.states(&orchestrator).await?;
        let ended = ["completed", "compensated"].iter().filter_map(|state| states.get(*state)).sum::<usize>();
        (ended == cancelled.len()).then_some(())
    })
    .await;
    projector.ready().await;
    let path = format!("/v1/projections/{own}/{MODEL}");
    let shown = eventually_within(patience(), "the model has caught up", async || {
        let shown = Http::new(&projector.url).get(&path).await.ok()?.body;
        (shown["caught_up"] == true).then_some(shown)
    })
    .await;
    assert_eq!((&shown["state"], &shown["parked_keys"]), (&json!("running"), &json!(0)), "{shown}");
    let logs = [&own, &booking.flights].map(|context| log(&booking, &event_store, context)).concat();
    let (rows, expected) = (found(&projector, &own).await, expected(&logs));
    assert_eq!(rows.len(), cancelled.len());
    assert_eq!(rows, expected);
    assert!(rows.values().all(|row| row.3 == 1 && row.0 > 0 && (row.0 == row.1 || row.2 == 1)), "nobody is forgotten");
}
