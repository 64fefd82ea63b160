//! Partitions move between event-stores: planned, after a crash, and taken away by somebody who should not.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use spina_core::ContextName;
use spina_log::{LaneFactory, Lanes, LogConfig, names};
use spina_tests::fleet::Fleet;
use spina_tests::http::Http;
use spina_tests::{eventually, history};
use tokio::sync::watch;

use crate::samples::{departed, scheduled};

const FIRST: usize = 0;
const SECOND: usize = 1;

/// One client that appends to a stream without a pause and repeats what was not answered well, under the same key.
pub struct Writer {
    stop: watch::Sender<bool>,
    done: tokio::task::JoinHandle<Seen>,
}

/// What it saw.
#[derive(Debug)]
pub struct Seen {
    /// Events appended, each acknowledged.
    pub appended: u64,
    /// Longest time between two good answers.
    pub gap: Duration,
    /// Answers that were not good.
    pub refused: Vec<u16>,
}

impl Writer {
    #[expect(clippy::disallowed_methods, reason = "a writer beside the test; its end is awaited")]
    /// Starts it on a new stream.
    pub fn start(http: Http, context: &str, stream: &str) -> Self {
        let path = format!("/v1/{context}/streams/{stream}/events");
        let (stop, stopped) = watch::channel(false);
        let done = tokio::spawn(async move {
            let mut seen = Seen { appended: 0, gap: Duration::ZERO, refused: Vec::new() };
            let mut last = Instant::now();
            while !*stopped.borrow() {
                let event = if seen.appended == 0 { scheduled() } else { departed() };
                let body = json!({ "expected_version": seen.appended, "events": [event] });
                let body = if seen.appended == 0 { with(body, "expected_version", json!("no_stream")) } else { body };
                let key = uuid::Uuid::new_v4().to_string();
                loop {
                    let answer = http.post_with_key(&path, Some(&key), &body).await;
                    if answer.status == 201 {
                        seen.appended += 1;
                        assert_eq!(answer.body["version"], seen.appended);
                        break;
                    }
                    assert!([503, 504].contains(&answer.status), "{answer:?}");
                    seen.refused.push(answer.status);
                }
                seen.gap = seen.gap.max(last.elapsed());
                last = Instant::now();
            }
            seen
        });
        Self { stop, done }
    }

    /// Ends it after the append under way.
    pub async fn end(self) -> Seen {
        self.stop.send_replace(true);
        self.done.await.unwrap()
    }
}

fn with(mut body: Value, field: &str, value: Value) -> Value {
    body[field] = value;
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_stops_hands_its_partitions_over_without_an_error() {
    let mut fleet = Fleet::of(2, "moving").await;
    let context = fleet.context.name.clone();
    let streams = [fleet.stream_of(SECOND).await, fleet.stream_of(FIRST).await];
    let writers = streams.each_ref().map(|stream| Writer::start(fleet.http(FIRST), &context, stream));
    written(&fleet, 20).await;

    let (status, _) = fleet.stores[SECOND].stop().await;
    assert!(status.success(), "{status}");
    fleet.shared_out(1).await;
    written(&fleet, 20).await;
    let [mut moved, mut stayed] = [None, None];
    for (writer, seen) in writers.into_iter().zip([&mut moved, &mut stayed]) {
        *seen = Some(writer.end().await);
    }
    let (moved, stayed) = (moved.unwrap(), stayed.unwrap());
    assert!(stayed.refused.is_empty(), "partitions that stay are not disturbed: {stayed:?}");
    report("stopped", &moved);

    // It comes back and gets its share, while both write on.
    let writers = [Writer::start(fleet.http(FIRST), &context, &fleet.stream_of(FIRST).await)];
    fleet.stores[SECOND].start_again();
    fleet.shared_out(2).await;
    for writer in writers {
        report("joined", &writer.end().await);
    }
    sound(&fleet).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_is_noticed_and_replaced() {
    let mut fleet = Fleet::of(2, "moving").await;
    let context = fleet.context.name.clone();
    let stream = fleet.stream_of(SECOND).await;
    let writer = Writer::start(fleet.http(FIRST), &context, &stream);
    written(&fleet, 20).await;
    fleet.stores[SECOND].kill();
    fleet.shared_out(1).await;
    written(&fleet, 20).await;
    report("killed", &writer.end().await);
    sound(&fleet).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_partition_comes_back_while_the_others_go_on() {
    let fleet = Fleet::of(1, "moving").await;
    let context = fleet.context.name.clone();
    let name: ContextName = context.parse().unwrap();
    let streams = [spina_tests::fleet::stream_in(0), spina_tests::fleet::stream_in(1)];
    let writers = streams.each_ref().map(|stream| Writer::start(fleet.http(FIRST), &context, stream));
    written(&fleet, 20).await;
    let epoch = async || fleet.view(FIRST).await.unwrap()["owners"][0]["epoch"].as_u64().unwrap();
    let before = epoch().await;

    let thief = LaneFactory::connect(&LogConfig::new(&fleet.stack.kafka, "spina-tests")).await.unwrap();
    // A commit that meets the broker half-way is told that its transaction is in no state for it, not who has it now; then
    // the owner re-opens its lanes and has the partition back before the thief has come to the last of them.
    eventually("the partition is taken over again", async || {
        for lane in 0..4 {
            thief.open(&names::transactional_id(&name, 0, lane)).await.unwrap();
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        let view = fleet.view(FIRST).await?;
        let own = view["owned"].as_array()?.iter().find(|owned| owned["partition"] == 0)?;
        (own["epoch"].as_u64()? > before).then_some(())
    })
    .await;
    written(&fleet, 20).await;
    let [lost, other] = writers;
    let (lost, other) = (lost.end().await, other.end().await);
    assert!(!lost.refused.is_empty(), "the thief was noticed");
    assert!(other.refused.is_empty(), "{other:?}");
    report("lost", &lost);
    sound(&fleet).await;
}

/// Waits until so many more events are in the log.
pub async fn written(fleet: &Fleet, more: i64) {
    let topic = fleet.context.events_topic();
    let before = history::offsets(&fleet.stack.kafka, &topic).await;
    eventually("writers write", async || {
        (history::offsets(&fleet.stack.kafka, &topic).await >= before + more).then_some(())
    })
    .await;
}

async fn sound(fleet: &Fleet) {
    history::assert_sound(&history::events(&fleet.stack.kafka, &fleet.context.events_topic()).await);
}

/// Figures for people; what is asserted does not depend on the machine.
#[expect(clippy::print_stderr, reason = "a figure for whoever runs it")]
pub fn report(what: &str, seen: &Seen) {
    let unknown = seen.refused.iter().filter(|status| **status == 504).count();
    eprintln!(
        "{what}: longest gap {:?}, {} appended, {} refused, {unknown} unknown",
        seen.gap,
        seen.appended,
        seen.refused.len()
    );
}
