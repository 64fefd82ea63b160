//! Nasty case 17, and new versions under sagas that run.
//!
//! Before [`demo`](crate::demo) by name, as [`booking`](crate::booking) is.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use spina_codec::Headers;
use spina_log::{Admin, LogConfig, NewRecord, Publisher, names};
use spina_tests::bookings::Booking;
use spina_tests::eventually_within;
use spina_tests::history::committed;
use spina_tests::http::Http;
use spina_tests::notices::{FAILURES, Notices};
use spina_tests::service::Service;

const PATIENCE: Duration = Duration::from_secs(180);
/// Sagas under way when a new version comes; `SPINA_TEST_IN_FLIGHT=1000` asks for more.
const IN_FLIGHT: usize = 100;

/// A tour holds a seat, tells the passenger, and ends with a voucher that somebody else issues. Its undoing is a call.
fn tour(version: u32, more: &str) -> String {
    let retry = "{ attempts: 1000, first_ms: 5, most_ms: 20 }";
    format!(
        "saga: tour\n\
         version: {version}\n\
         steps:\n\
         \x20 - name: hold\n\
         \x20   command: booking.HoldSeats\n\
         \x20   stream: \"'seats-' + input.flight\"\n\
         \x20   fields: {{ seats: \"1\", reservation: key }}\n\
         \x20   timeout_ms: 1000\n\
         \x20   retry: {{ unavailable: {retry}, timed_out: {retry} }}\n\
         \x20   undo: {{ http: input.undo, body: {{ reservation: key }} }}\n\
         \x20 - name: tell\n\
         \x20   http: input.notify\n\
         \x20   body: {{ reservation: key }}\n\
         \x20   timeout_ms: 120000\n\
         \x20   retry: {{ unavailable: {retry}, timed_out: {retry} }}\n\
         \x20   undo: {{ none: what was told cannot be untold }}\n\
         \x20 - {{ name: gate, await: booking.VoucherIssued, key: event.key, timeout_ms: 86400000 }}\n{more}"
    )
}

/// What version 2 does besides.
const MORE: &str = "  - name: record
    command: booking.RecordNotice
    stream: \"'notice-' + key\"
    fields: { passengers: \"1\" }
    undo: { none: it says what happened }
";

struct Tours {
    booking: Booking,
    name: String,
    notices: Notices,
    event_store: Service,
    orchestrator: Service,
}

impl Tours {
    async fn begin() -> Self {
        let booking = Booking::declare();
        let name = booking.define("tour", 1, &tour(1, ""));
        let notices = Notices::start();
        let mut event_store = Service::start(&booking.stack, "event-store", &booking.context);
        let mut orchestrator = Service::start(&booking.stack, "saga-orchestrator", &booking.context);
        event_store.ready().await;
        orchestrator.ready().await;
        let tours = Self { booking, name, notices, event_store, orchestrator };
        let path = format!("/v1/{}/streams/seats-F/events", tours.booking.context.name);
        let body = json!({ "expected_version": "no_stream",
            "events": [{ "type": "SeatsOffered", "data": { "seats": 5_000 } }] });
        let answer = Http::new(&tours.event_store.url).post(&path, &body).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        tours
    }

    fn id(&self, key: &str) -> String {
        format!("saga-{}-{key}", self.name)
    }

    async fn start(&self, key: &str, flight: &str, notify: &str) {
        let base = self.notices.base();
        let input =
            json!({ "flight": flight, "notify": format!("{base}/{notify}"), "undo": format!("{base}/failing") });
        let (http, path) = (Http::new(&self.orchestrator.url), format!("/v1/sagas/{}", self.name));
        eventually_within(PATIENCE, "a saga is started", async || {
            let answer = http.try_post(&path, &json!({ "key": key, "input": input })).await.ok()?;
            (answer.status == 202).then_some(())
        })
        .await;
    }

    /// Waits until a saga is as it should be.
    async fn until(&self, key: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let (http, path) = (Http::new(&self.orchestrator.url), format!("/v1/sagas/{}", self.id(key)));
        eventually_within(PATIENCE, &format!("saga {key}"), async || {
            let answer = http.get(&path).await.ok()?;
            (answer.status == 200 && fits(&answer.body)).then_some(answer.body)
        })
        .await
    }

    async fn is(&self, key: &str, state: &str) -> Value {
        self.until(key, |saga| saga["state"] == state).await
    }

    async fn waits_at(&self, key: &str, step: &str) -> Value {
        self.until(key, |saga| saga["details"]["steps"][step]["phase"] == "active").await
    }

    /// Opens the gate of a saga.
    async fn voucher(&self, key: &str) {
        let path = format!("/v1/{}/commands", self.booking.context.name);
        let body = json!({ "stream": format!("voucher-{key}"), "type": "IssueVoucher", "data": { "reason": "gate" } });
        let http = Http::new(&self.event_store.url);
        eventually_within(PATIENCE, "a voucher is issued", async || {
            let answer = http.try_post_with_key(&path, Some(key), &body).await.ok()?;
            (answer.status < 300).then_some(())
        })
        .await;
    }

    /// A new version beside the old one, by a restart.
    async fn deploy(&mut self, version: u32, more: &str) {
        self.booking.define("tour", version, &tour(version, more));
        self.orchestrator.kill();
        self.orchestrator.start_again();
        self.orchestrator.ready().await;
    }

    /// The types of a stream's events.
    async fn events(&self, stream: &str) -> Vec<Value> {
        let path = format!("/v1/{}/streams/{stream}/events?limit=1000", self.booking.context.name);
        let page = Http::new(&self.event_store.url).get(&path).await.unwrap();
        page.body["events"].as_array().cloned().unwrap_or_default()
    }

    /// Writes the reply to one ask once more, as the reply to another, and waits until the sagas have it.
    async fn forge(&self, from: &str, to: &str) {
        let kafka = &self.booking.stack.kafka;
        let replies = self.booking.context.replies_topic();
        let causation = |headers: &Headers| headers.get_str("ce_causationid").map(str::to_owned);
        let found = eventually_within(PATIENCE, "the reply is there", async || {
            let all = committed(kafka, &replies).await;
            all.into_iter().find(|record| causation(&record.headers).as_deref() == Some(from))
        });
        let found = found.await;
        let mut headers = Headers::default();
        for (name, value) in found.headers.iter() {
            headers.push(name, if name == "ce_causationid" { Some(to.as_bytes()) } else { value });
        }
        let config = LogConfig::new(kafka, "spina-tests");
        let (topic, partition) = (Arc::clone(&found.topic), found.partition);
        let (key, value) = (found.key.unwrap_or_default(), found.value);
        let record = NewRecord { topic, partition, key, value, headers, timestamp_ms: None };
        let offset = Publisher::new(&config).unwrap().publish(&record).await.unwrap();
        let admin = Admin::connect(&config).await.unwrap();
        let routed = names::saga_route_group(&replies);
        let passed = async |group: &str, topic: &str, partition: i32, offset: i64| {
            let what = format!("{group} has consumed offset {offset}");
            eventually_within(PATIENCE, &what, async || {
                let found = admin.group_offset(group, topic, partition).await.ok()?;
                (found.next > offset).then_some(())
            })
            .await;
        };
        passed(&routed, &replies, partition, offset).await;
        let letters = committed(kafka, names::SAGA_INBOX_TOPIC).await;
        let saga = to.split('/').next().unwrap();
        let last = letters.iter().rfind(|letter| letter.key.as_deref() == Some(saga.as_bytes())).unwrap();
        passed(names::SAGA_REACT_GROUP, names::SAGA_INBOX_TOPIC, last.partition, last.offset).await;
    }
}

#[tokio::test]
async fn nasty_17_a_saga_ends_well_whatever_replies_compensations_and_versions_do() {
    let mut tours = Tours::begin().await;

    // Done, but unrecorded at the kill: the call took effect, its answer never comes, the owner dies.
    tours.notices.hang(true);
    tours.start("unrecorded", "F", "hanging").await;
    let told = format!("{}/tell/do/1", tours.id("unrecorded"));
    eventually_within(PATIENCE, "it is told", async || tours.notices.accepted().contains(&told).then_some(())).await;
    tours.orchestrator.kill();
    tours.notices.hang(false);
    tours.orchestrator.start_again();
    tours.waits_at("unrecorded", "gate").await;
    assert!(tours.notices.calls_of(&told) >= 2, "it was asked again, under the same key");

    // Replies that are doubled, contradict each other, and come too late.
    tours.start("refused", "nowhere", "notices").await;
    tours.is("refused", "compensated").await;
    tours.start("replies", "F", "notices").await;
    let waits = tours.waits_at("replies", "gate").await;
    let held = format!("{}/hold/do/1", tours.id("replies"));
    let no = format!("{}/hold/do/1", tours.id("refused"));
    tours.forge(&held, &held).await;
    tours.forge(&no, &held).await;
    tours.forge(&held, &no).await;
    assert_eq!(tours.waits_at("replies", "gate").await["details"], waits["details"], "nothing has happened to it");
    tours.is("refused", "compensated").await;

    // No reply for a while: the owner of the stream is away for longer than the step waits.
    tours.event_store.kill();
    tours.start("silence", "F", "notices").await;
    tours.until("silence", |saga| saga["details"]["steps"]["hold"]["failures"].as_u64() >= Some(2)).await;
    tours.event_store.start_again();
    tours.waits_at("silence", "gate").await;

    // A compensation that fails 100 times.
    tours.start("failing", "F", "refused").await;
    tours.is("failing", "compensated").await;
    let undone = format!("{}/hold/undo/1", tours.id("failing"));
    assert!(tours.notices.calls_of(&undone) > FAILURES && tours.notices.accepted().contains(&undone));

    // A new definition while three are under way.
    tours.deploy(2, MORE).await;
    tours.start("new", "F", "notices").await;
    tours.waits_at("new", "gate").await;
    for (key, version) in [("unrecorded", 1), ("replies", 1), ("silence", 1), ("new", 2)] {
        tours.voucher(key).await;
        assert_eq!(tours.is(key, "completed").await["version"], version, "{key}");
        assert_eq!(tours.events(&format!("notice-{key}")).await.len(), version - 1, "{key}");
    }
    // Effects, each once.
    let held = tours.events("seats-F").await;
    let mut held: Vec<&str> = held.iter().filter_map(|event| event["data"]["reservation"].as_str()).collect();
    held.sort_unstable();
    assert_eq!(held, ["failing", "new", "replies", "silence", "unrecorded"]);
}

#[tokio::test]
async fn each_saga_ends_on_the_version_it_began_with() {
    let in_flight = std::env::var("SPINA_TEST_IN_FLIGHT").ok().and_then(|text| text.parse().ok()).unwrap_or(IN_FLIGHT);
    let mut tours = Tours::begin().await;
    for number in 0..in_flight {
        tours.start(&format!("old{number}"), "F", "notices").await;
    }
    for number in 0..in_flight {
        tours.waits_at(&format!("old{number}"), "gate").await;
    }
    tours.deploy(2, MORE).await;
    for number in 0..10 {
        tours.start(&format!("new{number}"), "F", "notices").await;
    }
    let old = (0..in_flight).map(|number| (format!("old{number}"), 1));
    let all: Vec<(String, usize)> = old.chain((0..10).map(|number| (format!("new{number}"), 2))).collect();
    for (key, _) in &all {
        tours.voucher(key).await;
    }
    for (key, version) in &all {
        let saga = tours.is(key, "completed").await;
        assert_eq!(saga["version"], *version, "{key}");
        assert_eq!(saga["details"]["steps"]["record"].is_null(), *version == 1, "{key}: {saga}");
    }
}
