//! Stream reads: a page of 100 events over HTTP from a warm archive, beside the same rows by one SQL query.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use hyper::StatusCode;
use spina_core::{StreamId, Version};
use spina_store::archive::{StreamRange, TimeRange};
use spina_store::{Store, StoreConfig};
use tokio::task::JoinSet;

use super::{Trial, quantiles};
use crate::bench::Bench;
use crate::client::{HttpClient, import};
use crate::drive::latencies;
use crate::rng::Rng;
use crate::servers::wait_for_archive;

/// Streams that are read.
const STREAMS: u64 = 500;
/// Events of each, which are one page.
const EVENTS: u64 = 100;
/// Readers at a time.
const READERS: u64 = 4;

/// See the [module](self).
pub async fn run(bench: &mut Bench) -> anyhow::Result<Trial> {
    let script = bench.script("reads", 0);
    let streams: Vec<String> = (0..STREAMS).map(|n| format!("account-{}-page-{n}", script.name())).collect();
    let line = |n: u64| script.line_of(&streams[usize::try_from(n % STREAMS).expect("it is small")], n);
    let lines: String = (0..STREAMS * EVENTS).map(line).collect();
    import(bench.store()?, "bench", lines.into(), STREAMS * EVENTS).await?;
    wait_for_archive(bench.store()?).await?;
    let duration = bench.args.duration();
    let address = bench.store()?;
    let http = readers(duration, |reader| over_http(address, streams.clone(), reader, duration)).await?;
    let store = Store::connect(&StoreConfig::new(&bench.servers.postgres, "loadtest")).await?;
    let sql = readers(duration, |reader| by_sql(store.clone(), streams.clone(), reader, duration)).await?;
    Ok(Trial::new(format!("stream reads, {EVENTS} events a page, {READERS} readers"))
        .row("event-store over HTTP", told(&http, duration))
        .row("floor: one SQL query", told(&sql, duration)))
}

fn told(latency: &Histogram<u64>, duration: Duration) -> Vec<(f64, &'static str)> {
    let rate = (latency.len() as f64 / duration.as_secs_f64(), "pages/s");
    std::iter::once(rate).chain(quantiles(latency)).collect()
}

/// Runs as many readers at a time, and puts their latencies together.
async fn readers<F>(duration: Duration, reader: impl Fn(u64) -> F) -> anyhow::Result<Histogram<u64>>
where
    F: Future<Output = anyhow::Result<Histogram<u64>>> + Send + 'static,
{
    let mut running: JoinSet<anyhow::Result<Histogram<u64>>> = (0..READERS).map(reader).collect();
    let mut whole = latencies();
    while let Some(part) = running.join_next().await {
        whole.add(part.context("join a reader")??).context("add up latencies")?;
    }
    ensure!(!whole.is_empty(), "nothing was read in {duration:?}");
    Ok(whole)
}

async fn over_http(
    address: SocketAddr,
    streams: Vec<String>,
    reader: u64,
    duration: Duration,
) -> anyhow::Result<Histogram<u64>> {
    let (mut latency, mut client) = (latencies(), HttpClient::connect(address).await?);
    let (began, mut rng) = (Instant::now(), Rng::of(reader, 0));
    while began.elapsed() < duration {
        let stream = &streams[rng.below(streams.len())];
        let asked = Instant::now();
        let (status, page) = client.get(&format!("/v1/bench/streams/{stream}/events?limit={EVENTS}")).await?;
        latency.saturating_record(u64::try_from(asked.elapsed().as_micros())?);
        ensure!(status == StatusCode::OK && page.len() > 100 * EVENTS as usize, "a read answered {status}");
    }
    Ok(latency)
}

async fn by_sql(store: Store, streams: Vec<String>, reader: u64, duration: Duration) -> anyhow::Result<Histogram<u64>> {
    let (mut latency, bench) = (latencies(), "bench".parse()?);
    let streams: Vec<StreamId> = streams.iter().map(|stream| stream.parse()).collect::<Result<_, _>>()?;
    let (began, mut rng) = (Instant::now(), Rng::of(reader, 0));
    let range = StreamRange { from: Version(1), backward: false, limit: u32::try_from(EVENTS)? };
    while began.elapsed() < duration {
        let stream = &streams[rng.below(streams.len())];
        let asked = Instant::now();
        let rows = store.read_stream(&bench, stream, range, TimeRange::default()).await?.events;
        latency.saturating_record(u64::try_from(asked.elapsed().as_micros())?);
        ensure!(rows.len() as u64 == EVENTS, "the archive has {} rows of a stream", rows.len());
    }
    Ok(latency)
}
