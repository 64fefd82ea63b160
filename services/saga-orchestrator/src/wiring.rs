//! What is connected with what.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use spina_codec::Readings;
use spina_codec::catalog::SchemaCache;
use spina_codec::registry::RegistryClient;
use spina_core::Timestamp;
use spina_log::{Admin, LaneFactory, LogConfig, Publisher, names};
use spina_runtime::processor::{self, BrokerLog, Clock, Place, Process, Requests};
use spina_runtime::readings::{self, InRust};
use spina_runtime::shutdown::sleep;
use spina_runtime::{Api, Condition, Context};
use spina_store::{Store, StoreConfig};
use tracing::warn;

use crate::calls::{Around, Calls, Targets};
use crate::config::SagaOrchestratorConfig;
use crate::definitions::{Definitions, Shared};
use crate::http::{self, Post, Served};
use crate::metrics::SagaMetrics;
use crate::react::React;
use crate::route::Route;
use crate::snapshots::Snapshots;
use crate::views::{Views, refill};
use crate::wire::Wire;

type Ctx = Context<SagaOrchestratorConfig>;

/// Pause between tries to reach a server at start.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Reads the definitions, and starts both stages as soon as the servers answer.
pub async fn build(ctx: Ctx) -> anyhow::Result<Api> {
    let definitions = Arc::new(Definitions::load(&ctx.config.common)?);
    let readings = readings::load(&ctx.config.common, &definitions.contexts, &InRust::new());
    let readings = readings.context("read the upcasters")?;
    let metrics = SagaMetrics::new(&ctx.metrics);
    let targets = Targets::new(ctx.config.calls_per_target_max, clock(), metrics.clone());
    let served = Served {
        definitions: Arc::clone(&definitions),
        store: Arc::default(),
        post: Arc::default(),
        targets: targets.clone(),
        clock: clock(),
    };
    let views = Views::default();
    if !definitions.sagas.is_empty() {
        ctx.readiness.set("servers", Condition::not_ready("connecting"));
        let (started, post) = (ctx.clone(), Arc::clone(&served.post));
        let around = Kept { views: views.clone(), store: Arc::clone(&served.store), targets, metrics };
        ctx.tasks.spawn("start", async move { start(started, definitions, readings, post, around).await });
    }
    let (started, store) = (ctx.clone(), Arc::clone(&served.store));
    ctx.tasks.spawn("views", async move { show(started, store, views).await });
    Ok(http::api(served))
}

/// Shows sagas in the database. Nothing waits for it.
async fn show(ctx: Ctx, connected: Arc<OnceLock<Store>>, views: Views) -> anyhow::Result<()> {
    let stopping = ctx.shutdown.stopping();
    let config = StoreConfig::new(&ctx.config.common.postgres_url, "saga-orchestrator");
    while !stopping.is_cancelled() {
        match stopping.run_until_cancelled(Store::connect(&config)).await {
            None => break,
            Some(Ok(store)) => {
                connected.get_or_init(|| store.clone());
                return views.write(store, stopping).await;
            }
            Some(Err(error)) => warn!(%error, "waiting for PostgreSQL"),
        }
        sleep(&stopping, RETRY_PAUSE).await;
    }
    Ok(())
}

/// What the process keeps beside the log.
struct Kept {
    views: Views,
    store: Arc<OnceLock<Store>>,
    targets: Targets,
    metrics: SagaMetrics,
}

/// What both stages need.
struct Servers {
    process: Process,
    schemas: SchemaCache,
    wire: Arc<Wire>,
}

async fn start(
    ctx: Ctx,
    definitions: Shared,
    readings: Readings,
    post: Arc<OnceLock<Post>>,
    kept: Kept,
) -> anyhow::Result<()> {
    let stopping = ctx.shutdown.stopping();
    let servers = loop {
        match stopping.run_until_cancelled(connect(&ctx, &definitions, &readings)).await {
            None => return Ok(()),
            Some(Ok(servers)) => break servers,
            Some(Err(error)) => {
                warn!(error = format!("{error:#}"), "waiting for servers");
                ctx.readiness.set("servers", Condition::not_ready(format!("{error:#}")));
            }
        }
        if !sleep(&stopping, RETRY_PAUSE).await {
            return Ok(());
        }
    };
    let publisher = Publisher::prompt(&servers.process.log)?;
    post.get_or_init(|| Post { wire: Arc::clone(&servers.wire), publisher });
    ctx.readiness.set("servers", Condition::Ready);
    react(&ctx, &definitions, &servers, kept)?;
    for topic in definitions.routed_topics() {
        route(&ctx, &definitions, &servers, &topic);
    }
    Ok(())
}

async fn connect(ctx: &Ctx, definitions: &Definitions, readings: &Readings) -> anyhow::Result<Servers> {
    let common = &ctx.config.common;
    let log = LogConfig::new(&common.kafka, &ctx.config.instance);
    let registry = RegistryClient::new(&common.registry_url).context("use the registry's address")?;
    let schemas = SchemaCache::reading(registry, readings.clone());
    let admin = Arc::new(Admin::connect(&log).await.context("connect to Kafka")?);
    let wire = Arc::new(Wire::load(definitions, &schemas, &admin).await?);
    let least = admin.session_timeout_min().await.context("ask the brokers for their least session time-out")?;
    let process = Process {
        instance: ctx.config.instance.clone(),
        session_timeout: Duration::from_millis(ctx.config.session_timeout_ms).max(least),
        lanes: Arc::new(LaneFactory::connect(&log).await.context("connect to Kafka")?),
        state: Arc::new(BrokerLog { config: log.clone(), admin }),
        clock: clock(),
        tasks: ctx.tasks.clone(),
        readiness: ctx.readiness.clone(),
        draining: ctx.shutdown.draining(),
        log,
    };
    Ok(Servers { process, schemas, wire })
}

fn react(ctx: &Ctx, definitions: &Shared, servers: &Servers, kept: Kept) -> anyhow::Result<()> {
    let requests = Requests::default();
    let Kept { views, store, targets, metrics } = kept;
    let around = Around {
        targets,
        tasks: ctx.tasks.clone(),
        stopping: ctx.shutdown.stopping(),
        clock: Arc::clone(&servers.process.clock),
        metrics: metrics.clone(),
        endpoint: ctx.config.endpoint(),
    };
    let stage = Arc::new(React {
        definitions: Arc::clone(definitions),
        wire: Arc::clone(&servers.wire),
        calls: Calls::new(ctx.config.calls_max, around)?,
        views,
        snapshots: Snapshots::new(Arc::clone(&store)),
        snapshot_every: ctx.config.snapshot_every_records.max(1),
        metrics,
        requests: requests.clone(),
    });
    let (filled, log, stopping) = (Arc::clone(&stage), Arc::clone(&servers.process.state), ctx.shutdown.stopping());
    ctx.tasks.spawn("refill", refill::run(filled, log, store, stopping));
    let place = Place {
        group: names::SAGA_REACT_GROUP.to_owned(),
        input_topic: names::SAGA_INBOX_TOPIC.into(),
        state_topic: Some(names::SAGAS_TOPIC.into()),
        batch_inputs_max: ctx.config.batch_inputs_max.max(1),
    };
    let process = servers.process.clone();
    ctx.tasks.spawn("react", async move { Ok(processor::run(stage, place, process, requests).await?) });
    Ok(())
}

fn route(ctx: &Ctx, definitions: &Shared, servers: &Servers, topic: &str) {
    let replies = definitions.contexts.iter().any(|context| names::replies_topic(&context.name) == topic);
    let stage = Route {
        definitions: Arc::clone(definitions),
        wire: Arc::clone(&servers.wire),
        schemas: servers.schemas.clone(),
        replies,
    };
    let place = Place {
        group: names::saga_route_group(topic),
        input_topic: topic.into(),
        state_topic: None,
        batch_inputs_max: ctx.config.batch_inputs_max.max(1),
    };
    let process = servers.process.clone();
    ctx.tasks.spawn(format!("route {topic}"), async move {
        Ok(processor::run(Arc::new(stage), place, process, Requests::default()).await?)
    });
}

/// The only place of the orchestrator that asks what time it is.
fn clock() -> Clock {
    Arc::new(|| {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since_epoch.as_micros()).ok().and_then(Timestamp::from_micros).unwrap_or_default()
    })
}
