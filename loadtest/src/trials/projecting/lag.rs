//! Lag: single events beside a steady stream of others, from their acknowledgement until the model's row has them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use hdrhistogram::Histogram;
use http_body_util::BodyExt;
use hyper::{Method, StatusCode};
use serde_json::Value;
use tokio::sync::oneshot;

use super::CONTEXT;
use super::model::Model;
use crate::bench::Bench;
use crate::client::HttpClient;
use crate::drive::latencies;
use crate::script::Script;
use crate::trials::beside::beside;

/// Events a second whose lag is taken.
const PROBES: u32 = 50;
/// Connections that send the others.
const CONNECTIONS: u16 = 16;

/// What was measured.
pub struct Lag {
    /// From acknowledgement to answer of a read, in microseconds.
    pub latency: Histogram<u64>,
    /// Others that were acknowledged, in a second.
    pub others: f64,
}

/// See the [module](self).
pub async fn run(bench: &Bench, model: &mut Model, projector: SocketAddr, rate: u32) -> anyhow::Result<Lag> {
    let (script, others) = (bench.script_in(CONTEXT, "probe", 0), bench.script_in(CONTEXT, "steady", 0));
    let count = PROBES * u32::try_from(bench.args.seconds)?;
    let store = bench.store()?;
    let clients = HttpClient::connect_many(store, CONNECTIONS).await?;
    let (store, projector) = (HttpClient::connect(store).await?, HttpClient::connect(projector).await?);
    let (stop, stopped) = oneshot::channel();
    let began = Instant::now();
    let probing = async {
        let probed = probe(store, projector, &script, count).await;
        drop(stop);
        probed
    };
    let (latency, sent) = tokio::try_join!(probing, beside(clients, others.clone(), rate, stopped))?;
    let elapsed = began.elapsed();
    model.caught_up().await?;
    let (others, probes) = (model.totals(others.name()).await?, model.totals(script.name()).await?);
    ensure!(u64::try_from(others.entries)? == sent, "the model has {} others, {sent} were sent", others.entries);
    ensure!((probes.rows, probes.entries) == (count.into(), count.into()), "the model has {probes:?} of {count}");
    Ok(Lag { latency, others: sent as f64 / elapsed.as_secs_f64() })
}

/// Appends events to streams of their own, each when it is due or as soon as the one before was read.
async fn probe(
    mut store: HttpClient,
    mut projector: HttpClient,
    script: &Script,
    count: u32,
) -> anyhow::Result<Histogram<u64>> {
    let (began, mut latency) = (Instant::now(), latencies());
    for n in 0..count {
        tokio::time::sleep_until((began + Duration::from_secs(1) * n / PROBES).into()).await;
        let stream = format!("account-{}-own-{n}", script.name());
        let (path, body) = script.append_to(&stream, u64::from(n));
        let token = append(&mut store, &path, body).await?;
        let acknowledged = Instant::now();
        let read = format!("/v1/{CONTEXT}/models/accounts/{stream}?after={token}&timeout_ms=30000");
        let (status, row) = projector.get(&read).await?;
        latency.saturating_record(u64::try_from(acknowledged.elapsed().as_micros())?);
        ensure!(status == StatusCode::OK, "a read answered {status}: {}", String::from_utf8_lossy(&row));
        let row: Value = serde_json::from_slice(&row).context("read a row")?;
        ensure!(row["entries"] == 1, "a row is not what its event says: {row}");
    }
    Ok(latency)
}

async fn append(store: &mut HttpClient, path: &str, body: Bytes) -> anyhow::Result<String> {
    let answer = store.send(Method::POST, path, "application/json", body).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await.context("read an append's answer")?.to_bytes();
    ensure!(status == StatusCode::CREATED, "an append answered {status}");
    let answer: Value = serde_json::from_slice(&body).context("read an append's answer")?;
    Ok(answer["token"].as_str().context("find an append's token")?.to_owned())
}
