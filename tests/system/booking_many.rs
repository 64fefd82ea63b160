//! Many sagas at once, killed while they begin, and as many timers: effects once, undone in reverse, never early, not late.
//!
//! Before [`demo`](crate::demo) by name, as [`booking`](crate::booking) is.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use spina_codec::registry::{RegistryClient, subject};
use spina_codec::saga_record;
use spina_codec::shape::Shape;
use spina_core::saga::{Happened, SagaEvent, SagaState, Status};
use spina_log::names;
use spina_tests::bookings::Booking;
use spina_tests::eventually_within;
use spina_tests::history::committed;
use spina_tests::http::Http;
use spina_tests::service::Service;
use spina_tests::spina::Spina;

/// Sagas; `SPINA_TEST_SAGAS=100000` asks for more.
const SAGAS: usize = 300;
/// Kills; `SPINA_TEST_KILLS` asks for more.
const KILLS: usize = 3;
/// Every so many of them are refused at their last step.
const REFUSED_EVERY: usize = 5;
/// Longest time without progress.
const PATIENCE: Duration = Duration::from_secs(600);
/// How late a timer may be, of 99 in 100, in microseconds.
const LATE_US: i64 = 1_000_000;

fn asked(name: &str, few: usize) -> usize {
    std::env::var(name).map_or(few, |text| text.parse().expect("it is a number"))
}

/// Holds two seats, rests until all sagas have begun, and wants a third.
fn doze(wait_ms: usize) -> String {
    let hold = |name: &str, reservation: &str| {
        format!(
            "  - name: {name}\n\
             \x20   command: booking.HoldSeats\n\
             \x20   stream: \"'seats-' + key\"\n\
             \x20   fields: {{ seats: \"1\", reservation: \"'{reservation}-' + key\" }}\n\
             \x20   retry: {{ unavailable: {{ attempts: 1000 }}, timed_out: {{ attempts: 1000 }} }}\n\
             \x20   undo: {{ command: booking.ReleaseSeats, stream: \"'seats-' + key\",\n\
             \x20     fields: {{ seats: \"1\", reservation: \"'{reservation}-' + key\" }} }}\n"
        )
    };
    format!(
        "saga: doze\nversion: 1\nstart: {{ on: booking.SeatsOffered, key: event.key }}\nsteps:\n{}{}  - {{ name: rest, wait_ms: \"{wait_ms}\" \
         }}\n{}",
        hold("first", "a"),
        hold("second", "b"),
        hold("third", "c")
    )
}

struct Dozing {
    booking: Booking,
    name: String,
    event_store: Service,
    orchestrator: Service,
}

#[tokio::test]
async fn many_sagas_end_with_their_effects_once_and_their_timers_in_time() {
    let (sagas, kills) = (asked("SPINA_TEST_SAGAS", SAGAS), asked("SPINA_TEST_KILLS", KILLS));
    let booking = Booking::declare();
    let name = booking.define("doze", 1, &doze(20_000 + sagas * 10));
    let mut event_store = Service::start(&booking.stack, "event-store", &booking.context);
    let mut orchestrator = Service::start(&booking.stack, "saga-orchestrator", &booking.context);
    event_store.ready().await;
    orchestrator.ready().await;
    let mut dozing = Dozing { booking, name, event_store, orchestrator };

    let offers = (0..sagas).map(|n| {
        let seats = if n % REFUSED_EVERY == 0 { 2 } else { 3 };
        json!({ "stream": format!("seats-s{n}"), "type": "SeatsOffered", "data": { "seats": seats } }).to_string()
    });
    let file = dozing.booking.file("offers.ndjson", offers);
    let import = dozing.booking.import(&dozing.booking.context.name, &dozing.event_store.url, &file).spawn();
    for kill in 1..=kills {
        let begun = sagas * kill / (kills + 1);
        dozing.pending(begun, PATIENCE).await;
        let victim = if kill % 3 == 0 { &mut dozing.event_store } else { &mut dozing.orchestrator };
        victim.kill();
        victim.start_again();
    }
    dozing.orchestrator.ready().await;
    assert!(import.ends().await.status.success());
    dozing.pending(sagas, PATIENCE).await;
    let all_pend = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap();

    let ended = eventually_within(PATIENCE * 4, "every saga has ended", async || {
        let counts = dozing.counts().await?;
        (counts["completed"] + counts["compensated"] == sagas).then_some(counts)
    });
    let refused = sagas.div_ceil(REFUSED_EVERY);
    assert_eq!(ended.await, BTreeMap::from([("compensated", refused), ("completed", sagas - refused)]));
    dozing.every_effect_is_there_once(sagas).await;
    dozing.every_timer_was_in_time(sagas, all_pend).await;
}

impl Dozing {
    /// Waits until so many sagas have something due.
    async fn pending(&self, at_least: usize, patience: Duration) {
        let http = Http::new(&self.orchestrator.url);
        eventually_within(patience, &format!("{at_least} sagas wait for something"), async || {
            let metrics = http.get("/metrics").await.ok()?.body;
            let lines = metrics.as_str()?.lines();
            let gauges = lines.filter(|line| line.starts_with("spina_saga_orchestrator_timers_pending{"));
            let pending: usize = gauges.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).sum();
            (pending >= at_least).then_some(())
        })
        .await;
    }

    async fn counts(&self) -> Option<BTreeMap<&'static str, usize>> {
        let (http, mut counts) = (Http::new(&self.orchestrator.url), BTreeMap::new());
        for state in ["completed", "compensated"] {
            let (mut after, mut count) = (String::new(), 0);
            loop {
                let path = format!("/v1/sagas?definition={}&state={state}&limit=1000&after={after}", self.name);
                let page = http.get(&path).await.ok()?.body;
                let sagas = page["sagas"].as_array()?;
                count += sagas.len();
                match sagas.last() {
                    Some(last) => last["id"].as_str()?.clone_into(&mut after),
                    None => break,
                }
            }
            counts.insert(state, count);
        }
        Some(counts)
    }

    /// What each flight's seats went through, by the log of the event-store.
    async fn every_effect_is_there_once(&self, sagas: usize) {
        let replay = Spina::of(&self.booking.stack).env("SPINA_EVENT_STORE_URL", &self.event_store.url);
        let replay = replay.args(["replay", "--output", "ndjson", "--context", &self.booking.context.name]);
        let lines = self.booking.context.folders(replay).succeeds();
        let mut streams: HashMap<String, Vec<String>> = HashMap::new();
        for line in lines.lines() {
            let event: Value = serde_json::from_str(line).unwrap();
            let (kind, stream) = (event["type"].as_str().unwrap(), event["stream"].as_str().unwrap());
            let kind = kind.rsplit('.').next().unwrap();
            let whose = event["data"]["reservation"].as_str().and_then(|text| text.split('-').next()).unwrap_or("");
            streams.entry(stream.to_owned()).or_default().push(format!("{kind} {whose}"));
        }
        let well = ["SeatsOffered ", "SeatsHeld a", "SeatsHeld b", "SeatsHeld c"];
        let refused = ["SeatsOffered ", "SeatsHeld a", "SeatsHeld b", "SeatsReleased b", "SeatsReleased a"];
        for n in 0..sagas {
            let expected = if n % REFUSED_EVERY == 0 { &refused[..] } else { &well[..] };
            assert_eq!(streams[&format!("seats-s{n}")], expected, "seats-s{n}");
        }
    }

    /// By the log of the sagas: each timer fires once, none early, and those that were due when nothing was killed any more
    /// in time.
    #[allow(clippy::print_stdout, reason = "a long run tells its figures")]
    async fn every_timer_was_in_time(&self, sagas: usize, all_pend: i64) {
        let registry = RegistryClient::new(&self.booking.stack.registry).unwrap();
        let found = registry.latest(&subject(names::SAGAS_TOPIC, saga_record::RECORD)).await.unwrap().unwrap();
        let shape = Shape::compile(&found.schema).unwrap();
        let (mut states, mut dues, mut late) = (HashMap::<String, SagaState>::new(), HashMap::new(), Vec::new());
        let ours = format!("saga-{}-", self.name);
        for record in committed(&self.booking.stack.kafka, names::SAGAS_TOPIC).await {
            if !record.key.as_deref().is_some_and(|key| key.starts_with(ours.as_bytes())) {
                continue;
            }
            let Happened { saga, event, at, .. } = saga_record::read(record.value.as_deref().unwrap(), &shape).unwrap();
            match &event {
                SagaEvent::StepBegun { step, due, .. } if step == "rest" => _ = dues.insert(saga.clone(), *due),
                SagaEvent::StepDone { step, .. } if step == "rest" => {
                    let due = dues.remove(&saga).expect("a timer fires once").micros();
                    assert!(at.micros() >= due, "{saga} was woken early");
                    // When it was sent, which is after it was decided.
                    late.push((due, (record.timestamp_ms * 1_000 - due).max(at.micros() - due)));
                }
                _ => {}
            }
            match states.get_mut(&saga) {
                Some(state) => state.apply(&event, at).unwrap(),
                None => _ = states.insert(saga.clone(), SagaState::begin(&saga, &event, at).unwrap()),
            }
        }
        assert_eq!((states.len(), late.len(), dues.len()), (sagas, sagas, 0), "no timer is lost");
        assert!(states.values().all(|state| matches!(state.status, Status::Completed | Status::Compensated)));
        let mut late: Vec<i64> = late.into_iter().filter(|(due, _)| *due >= all_pend).map(|(_, late)| late).collect();
        assert!(late.len() * 10 >= sagas * 9, "only {} timers of {sagas} were due after all had begun", late.len());
        late.sort_unstable();
        let at = |share: usize| late[(late.len() - 1) * share / 100];
        println!("{} timers, {} pending at once: late p50 {} us, p99 {} us", late.len(), sagas, at(50), at(99));
        assert!(at(99) <= LATE_US, "99 of 100 timers were up to {} us late", at(99));
    }
}
