//! Priority: single events that must not wait, beside much other traffic on the same partitions.
//!
//! Two latencies, both from when the request was due: to its acknowledgement, and to when a committed reader saw it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use hyper::StatusCode;
use spina_log::LogReader;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::beside::beside;
use super::{Trial, quantiles};
use crate::bench::Bench;
use crate::client::HttpClient;
use crate::drive::latencies;
use crate::script::Script;

/// Other events in a second.
const BACKGROUND_RATE: u32 = 20_000;
/// Connections that send them.
const BACKGROUND_CONNECTIONS: u16 = 16;
/// Priority events in a second.
const RATE: u32 = 100;
/// Connections that send them.
const CONNECTIONS: u16 = 8;
/// How long the last priority event may take to be seen.
const SEEN_TIMEOUT: Duration = Duration::from_secs(20);

/// See the [module](self).
pub async fn run(bench: &mut Bench) -> anyhow::Result<Trial> {
    let (script, background) = (bench.script("priority", 0), bench.script("beside", 0));
    let topic = bench.log.events_topic.clone();
    let reader = bench.log.follow(bench.log.mark(&topic).await?)?;
    let (duration, store) = (bench.args.duration(), bench.store()?);
    let count = RATE * u32::try_from(bench.args.seconds)?;
    let (stop, stopped) = oneshot::channel();
    let others = HttpClient::connect_many(store, BACKGROUND_CONNECTIONS).await?;
    let others = beside(others, background, BACKGROUND_RATE, stopped);
    let clients = HttpClient::connect_many(store, CONNECTIONS).await?;
    let began = Instant::now();
    let measured = async {
        let sent = send(clients, &script, count, began);
        let prefix = format!("{}-", script.name());
        let seen = async { timeout(duration + SEEN_TIMEOUT, see(reader, prefix, count, began)).await? };
        let both = tokio::try_join!(sent, seen).context("measure priority events");
        drop(stop);
        both
    };
    let ((acknowledged, seen), others) = tokio::try_join!(measured, others)?;
    let mut visible = latencies();
    for n in 0..count {
        let at = seen.get(&script.id(u64::from(n))).context("a priority event is not in the log")?;
        visible.saturating_record(u64::try_from(at.saturating_sub(due(n)).as_micros())?);
    }
    let rate = others as f64 / began.elapsed().as_secs_f64();
    Ok(Trial::new(format!("priority, {RATE} a second beside {BACKGROUND_RATE} other events a second"))
        .row("others acknowledged", [(rate, "events/s")])
        .row("due to acknowledged", quantiles(&acknowledged))
        .row("due to visible to a committed reader", quantiles(&visible)))
}

fn due(n: u32) -> Duration {
    Duration::from_secs(1) * n / RATE
}

/// Sends the priority events, each when it is due.
async fn send(clients: Vec<HttpClient>, script: &Script, count: u32, began: Instant) -> anyhow::Result<Histogram<u64>> {
    let (idle, mut ready) = mpsc::channel(clients.len());
    for client in clients {
        idle.try_send(client).ok().context("there is a place for each client")?;
    }
    let (answered, mut answers) = mpsc::channel(usize::try_from(count)?);
    let mut running = JoinSet::new();
    for n in 0..count {
        tokio::time::sleep_until((began + due(n)).into()).await;
        let mut client: HttpClient = ready.recv().await.context("no client is left")?;
        let (path, body) = script.priority(u64::from(n));
        let (idle, answered) = (idle.clone(), answered.clone());
        running.spawn(async move {
            let status = client.post(&path, body).await?;
            ensure!(status == StatusCode::CREATED, "a priority append answered {status}");
            let _full = answered.try_send(began.elapsed().saturating_sub(due(n)));
            let _last = idle.send(client).await;
            Ok(())
        });
    }
    while let Some(ended) = running.join_next().await {
        ended.context("join a client")??;
    }
    drop(answered);
    let mut latency = latencies();
    while let Some(took) = answers.recv().await {
        latency.saturating_record(u64::try_from(took.as_micros())?);
    }
    Ok(latency)
}

/// When each priority event was seen by a committed reader, by its id.
async fn see(
    mut reader: LogReader,
    prefix: String,
    count: u32,
    began: Instant,
) -> anyhow::Result<HashMap<String, Duration>> {
    let mut seen = HashMap::new();
    while seen.len() < count as usize {
        let batch = reader.next().await.context("the reader ended")??;
        let now = began.elapsed();
        let ids = batch.records.iter().filter_map(|record| record.headers.get_str(spina_codec::headers::CE_ID));
        seen.extend(ids.filter(|id| id.starts_with(&prefix)).map(|id| (id.to_owned(), now)));
    }
    Ok(seen)
}
