//! The commands topic: records that wait there become events, with versions, replies and offsets in the same transactions.
//!
//! The records are there before the event-store starts, so that its own pace is measured. It counts from the first event
//! that a committed reader sees to the last. The floor copies the same records to another topic, exactly once, with the
//! same client and the same bounds of a window.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use spina_codec::headers::{CE_ID, Headers};
use spina_log::{LogReader, NewRecord, Publisher, names};
use spina_testkit::history::Outcome;

use super::hop::Hopping;
use super::{Trial, copy, median};
use crate::bench::Bench;
use crate::drive::Done;
use crate::log::SCRATCH;
use crate::script::Script;

/// How long the last records may be on their way to the broker.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(60);
/// Rounds of event-store and floor in turn; the ratio is that of each round.
const ROUNDS: u32 = 3;

/// See the [module](self).
pub async fn run(bench: &mut Bench) -> anyhow::Result<Trial> {
    let records = bench.args.command_records;
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    let rounds = if bench.args.smoke { 1 } else { ROUNDS };
    for round in 0..rounds {
        let script = bench.script("commands", round);
        bench.stop_event_store().await?;
        publish(bench, &script, records).await?;
        let events_topic = bench.log.events_topic.clone();
        let mark = bench.log.mark(&events_topic).await?;
        let counted = count(bench.log.follow(mark.clone())?, records);
        let (started, elapsed) = tokio::join!(bench.start_event_store(), counted);
        started?;
        ours.push(records as f64 / elapsed?.as_secs_f64());
        let done: Vec<Done> =
            (0..records).map(|n| Done { n, invoked: 0, completed: u64::MAX, outcome: Outcome::Ok(None) }).collect();
        bench.log.check(mark, &script, &done).await?;

        let mark = bench.log.mark(SCRATCH).await?;
        let counted = count(bench.log.follow(mark.clone())?, records);
        let elapsed = Hopping::begin(&bench.log.config, [copy::hop()?]).during(counted).await?;
        floor.push(records as f64 / elapsed.as_secs_f64());
    }
    let ratio = median(ours.iter().zip(&floor).map(|(ours, floor)| ours / floor).collect());
    Ok(Trial::new(format!("commands topic to events, {records} records, median of {rounds}"))
        .row("event-store: versions, events, replies", [(median(ours), "events/s")])
        .row("floor: raw exactly-once copy", [(median(floor), "records/s")])
        .row("ratio to the floor", [(ratio, "")]))
}

/// Writes the script's first `records` requests to the commands topic.
async fn publish(bench: &Bench, script: &Script, records: u64) -> anyhow::Result<()> {
    let topic: Arc<str> = names::commands_topic(&"bench".parse()?).into();
    let publisher = Publisher::new(&bench.log.config)?;
    for n in 0..records {
        let mut headers = Headers::default();
        headers.push(CE_ID, Some(script.id(n).as_bytes()));
        let record = NewRecord { headers, ..script.record(n, &topic) };
        drop(publisher.enqueue(&record).await?);
    }
    publisher.flush(FLUSH_TIMEOUT).await.context("publish the commands")
}

/// Time from the first committed record to the last of `records`.
async fn count(mut reader: LogReader, records: u64) -> anyhow::Result<Duration> {
    let (mut seen, mut first) = (0, None);
    while seen < records {
        let batch = reader.next().await.context("the reader ended")??;
        seen += batch.records.len() as u64;
        if seen > 0 {
            first.get_or_insert_with(Instant::now);
        }
    }
    Ok(first.map_or(Duration::ZERO, |first| first.elapsed()))
}
