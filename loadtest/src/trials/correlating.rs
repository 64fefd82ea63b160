//! Correlation: events of a history as signals through a hundred rules, and alerts by HTTP.
//!
//! The first is a back-test over events that were published before: what it reads, decodes and maps, and the engine by
//! itself. Its floor reads the same records, decodes and hashes them. The second posts alerts as Prometheus does, 64 at a
//! time, and waits until the engine has taken them all.

mod declared;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use spina_codec::frame;
use spina_codec::registry::{RegistryClient, subject};
use spina_codec::shape::Shape;
use spina_core::StreamId;
use spina_log::{LogReader, Publisher, ReaderOptions, Start};
use spina_testkit::history;

use super::{Trial, published};
use crate::bench::Bench;
use crate::client::HttpClient;
use crate::machine::memory_bytes;
use crate::servers::Child;
use declared::{GROUPS, HOSTS, KINDS, TOPIC, open_incidents};

/// Alerts of one request: what Prometheus sends at most.
const ALERTS_AT_ONCE: u64 = 64;
/// Clients that post alerts.
const CLIENTS: u16 = 8;
/// Different alerts.
const ALERTS: u64 = 50_000;
/// How long the engine may take until it has taken everything.
const TAKEN_LIMIT: Duration = Duration::from_secs(120);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(50);
const MIB: f64 = 1_048_576.0;

/// See the [module](self).
pub async fn run(bench: &Bench) -> anyhow::Result<Vec<Trial>> {
    let folder = bench.folder().join("correlating");
    declared::write(&folder)?;
    let correlator = bench.servers.start_declared("alert-correlator", &folder, bench.folder()).await?;
    let signals = bench.args.signals;
    let shape = publish(bench, signals).await?;
    let live = live(&correlator, signals).await?;
    let history = backtest(bench, &correlator, &shape, signals).await?;
    let alerts = alerts(bench, &correlator).await?;
    correlator.stop().await?;
    Ok(vec![history.row("live: routed, journaled, correlated", [(live, "signals/s")]), alerts])
}

/// The pace at which what was published is taken as it would be every day.
async fn live(correlator: &Child, signals: u64) -> anyhow::Result<f64> {
    let began = Instant::now();
    let mut client = HttpClient::connect(correlator.address).await?;
    settled(&mut client, signals).await?;
    Ok(signals as f64 / began.elapsed().as_secs_f64())
}

async fn backtest(bench: &Bench, correlator: &Child, shape: &Shape, signals: u64) -> anyhow::Result<Trial> {
    let began = Instant::now();
    let mut client = HttpClient::connect(correlator.address).await?;
    let body = Bytes::from(json!({ "context": "alarms" }).to_string());
    let told = answer(&mut client, Method::POST, "/v1/rules/backtest", body).await?;
    let whole = began.elapsed();
    ensure!(told["signals"] == signals, "of {signals} events, {} were signals", told["signals"]);
    ensure!(told["account"]["correlated"] == signals, "signals were lost: {}", told["account"]);
    ensure!(told["incidents"] == GROUPS, "{GROUPS} incidents were to be found, not {}", told["incidents"]);
    let memory = memory_bytes(correlator.pid);
    let engine = told["took"]["correlate_seconds"].as_f64().context("read how long it took")?;
    let floor = floor(bench, shape, signals).await?;
    let rate = |seconds: f64| signals as f64 / seconds;
    Ok(Trial::new(format!("history through 100 rules, {signals} signals, {GROUPS} incidents"))
        .row("the engine", [(rate(engine), "signals/s")])
        .row("with reading, decoding, mapping", [(rate(whole.as_secs_f64()), "signals/s")])
        .row("floor: read, decode, hash", [(rate(floor.as_secs_f64()), "records/s")])
        .row("memory behind it", [(memory as f64 / MIB, "MiB")]))
}

/// Reads the same records, decodes and hashes them.
async fn floor(bench: &Bench, shape: &Shape, records: u64) -> anyhow::Result<Duration> {
    let began = Instant::now();
    let starts = (0..declared::PARTITIONS).map(|partition| (partition, Start::Earliest)).collect();
    let options = ReaderOptions { stop_at_end: true, ..ReaderOptions::default() };
    let mut reader = LogReader::open(&bench.log.config, TOPIC, starts, options)?;
    let (mut seen, mut hash) = (0, 0u64);
    while let Some(batch) = reader.next().await {
        for record in batch?.records {
            let value = record.value.context("read a value")?;
            let (_, avro) = frame::split(&value)?;
            let fields = shape.decode(avro)?;
            ensure!(fields.len() == 2, "a record has lost a field");
            hash ^= history::payload_hash(declared::EVENT, &value);
            seen += 1;
        }
    }
    ensure!(seen == records && hash != 0, "{seen} of {records} records were read");
    Ok(began.elapsed())
}

/// Writes the events, a millisecond apart, and returns their schema.
async fn publish(bench: &Bench, signals: u64) -> anyhow::Result<Shape> {
    let name = subject(TOPIC, declared::RECORD);
    let registered = RegistryClient::new(&bench.servers.registry)?.latest(&name).await?;
    let registered = registered.with_context(|| format!("find {name}"))?;
    let shape = Shape::compile(&registered.schema)?;
    let (publisher, topic): (_, Arc<str>) = (Publisher::new(&bench.log.config)?, TOPIC.into());
    for n in 0..signals {
        let (kind, host) = (n % KINDS, n / KINDS % HOSTS);
        let fields = json!({ "kind": format!("k{kind}"), "host": format!("h{host}") });
        let avro = shape.encode(fields.as_object().context("form an event")?)?;
        let stream: StreamId = format!("alarm-{host}-{kind}").parse()?;
        let id = format!("alarm-{n}");
        let value = frame::frame(registered.id, &avro).into();
        let record = published::event((&topic, declared::PARTITIONS), declared::EVENT, id, stream, n, value)?;
        drop(publisher.enqueue(&record).await?);
    }
    publisher.flush(TAKEN_LIMIT).await.context("publish the events")?;
    Ok(shape)
}

/// Posts alerts for as long as an arm runs.
async fn alerts(bench: &Bench, correlator: &Child) -> anyhow::Result<Trial> {
    let mut looking = HttpClient::connect(correlator.address).await?;
    let before = settled(&mut looking, bench.args.signals).await?;
    let began = Instant::now();
    let clients = HttpClient::connect_many(correlator.address, CLIENTS).await?;
    let posting =
        clients.into_iter().zip(0..).map(|(client, number)| post(client, number, began + bench.args.duration()));
    let posted: u64 = futures::future::try_join_all(posting).await?.into_iter().sum();
    let acknowledged = began.elapsed();
    let after = settled(&mut looking, before + posted).await?;
    let taken = began.elapsed();
    ensure!(after == before + posted, "{posted} alerts were acknowledged, {} were taken", after - before);
    told_of(&mut looking).await?;
    let rate = |time: Duration| posted as f64 / time.as_secs_f64();
    Ok(Trial::new(format!("alerts by HTTP, {ALERTS_AT_ONCE} in a request, {CLIENTS} clients, {ALERTS} different ones"))
        .row("acknowledged", [(rate(acknowledged), "alerts/s")])
        .row("taken by the engine", [(rate(taken), "alerts/s")])
        .row("memory behind it", [(memory_bytes(correlator.pid) as f64 / MIB, "MiB")]))
}

/// Waits until each name of alerts is an incident: they are decided once their time has passed.
async fn told_of(client: &mut HttpClient) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let open = open_incidents(&answer(client, Method::GET, "/v1/incidents", Bytes::new()).await?);
        if open == declared::ALERTS_NAMED {
            return Ok(());
        }
        ensure!(began.elapsed() < TAKEN_LIMIT, "{open} incidents of {} names of alerts", declared::ALERTS_NAMED);
        tokio::time::sleep(PAUSE).await;
    }
}

/// One client's requests; how many alerts were acknowledged.
async fn post(mut client: HttpClient, number: u64, until: Instant) -> anyhow::Result<u64> {
    let mut posted = 0;
    while Instant::now() < until {
        let first = (posted + number * ALERTS / u64::from(CLIENTS)) % ALERTS;
        let alerts: Vec<Value> = (first..first + ALERTS_AT_ONCE).map(|n| declared::alert(n % ALERTS)).collect();
        let status = client.post("/api/v2/alerts", Value::from(alerts).to_string().into()).await?;
        ensure!(status == StatusCode::OK, "/api/v2/alerts answered {status}");
        posted += ALERTS_AT_ONCE;
    }
    Ok(posted)
}

/// Waits until the engine has taken so many signals, each accounted for; how many it has. One that has just started may not
/// have its partitions yet.
async fn settled(client: &mut HttpClient, signals: u64) -> anyhow::Result<u64> {
    let began = Instant::now();
    loop {
        let (status, page) = client.ask(Method::GET, "/v1/rules", Bytes::new()).await?;
        let mut taken = 0;
        if status != StatusCode::SERVICE_UNAVAILABLE {
            let told = read("/v1/rules", status, &page)?;
            let account = &told["account"];
            taken = account["taken"].as_u64().context("read the account")?;
            ensure!(account["accounted"] == taken, "not every signal is accounted for: {account}");
            if taken >= signals {
                return Ok(taken);
            }
        }
        ensure!(began.elapsed() < TAKEN_LIMIT, "{taken} of {signals} signals were taken");
        tokio::time::sleep(PAUSE).await;
    }
}

async fn answer(client: &mut HttpClient, method: Method, path: &str, body: Bytes) -> anyhow::Result<Value> {
    let (status, page) = client.ask(method, path, body).await?;
    read(path, status, &page)
}

fn read(path: &str, status: StatusCode, page: &[u8]) -> anyhow::Result<Value> {
    ensure!(status == StatusCode::OK, "{path} answered {status}: {}", String::from_utf8_lossy(page));
    serde_json::from_slice(page).with_context(|| format!("read the answer of {path}"))
}
