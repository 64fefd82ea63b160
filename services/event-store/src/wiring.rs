//! What is connected with what.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use spina_codec::catalog::{Catalog, Declared, SchemaCache, TypeKind};
use spina_codec::registry::RegistryClient;
use spina_codec::{Readings, subject};
use spina_log::{Admin, LaneFactory, LogConfig, names};
use spina_rules::context::{self, AggregateDef, ContextDef};
use spina_runtime::shutdown::sleep;
use spina_runtime::{Api, Condition, readings};
use spina_store::{Store, StoreConfig};
use tokio::sync::Semaphore;
use tracing::warn;

use crate::archive::health::ArchiveHealth;
use crate::config::EventStoreConfig;
use crate::context::{Context, Parts, Shared};
use crate::contexts::Contexts;
use crate::decide::reply::ReplyType;
use crate::deciders;
use crate::forward::Forwarder;
use crate::http;
use crate::metrics::EventStoreMetrics;
use crate::own::{self, Process};
use crate::read::hub;
use crate::service::InCode;
use crate::serving::Serving;
use crate::topics;
use crate::unique::Uniques;

/// Pause between tries to reach a server at start.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Reads the definitions, and starts to serve each context as soon as its servers answer.
pub async fn build(ctx: spina_runtime::Context<EventStoreConfig>, code: Arc<InCode>) -> anyhow::Result<Api> {
    let defs = context::load_all(&ctx.config.common.topology_dir).context("read the topology")?;
    let readings = readings::load(&ctx.config.common, &defs, &code.upcasters).context("read the upcasters")?;
    deciders::check(&code.deciders, &defs)?;
    let draining = ctx.shutdown.draining();
    let names = defs.iter().map(|def| def.name.to_string());
    let contexts = Contexts::new(names, ctx.tasks.clone(), draining, ctx.config.subscriptions_max);
    let serving = Serving::new(ctx.readiness.clone(), defs.iter().map(|def| def.name.clone()));
    ctx.readiness.set("servers", Condition::not_ready("connecting"));
    let (started, tasks) = (contexts.clone(), ctx.tasks.clone());
    let metrics = EventStoreMetrics::new(&ctx.metrics);
    tasks.clone().spawn("start", async move {
        let Some(shared) = connect(&ctx, &metrics, &readings).await else { return Ok(()) };
        ctx.readiness.set("servers", Condition::Ready);
        for def in defs {
            let start =
                Start { ctx: ctx.clone(), shared: shared.clone(), serving: serving.clone(), code: Arc::clone(&code) };
            let started = started.clone();
            tasks.spawn(format!("context {}", def.name), async move { start.run(def, started).await });
        }
        Ok(())
    });
    Ok(http::api(contexts))
}

/// Connects to all servers, trying until they answer; `None` if the process stops before.
async fn connect(
    ctx: &spina_runtime::Context<EventStoreConfig>,
    metrics: &EventStoreMetrics,
    readings: &Readings,
) -> Option<Shared> {
    let stopping = ctx.shutdown.stopping();
    while !stopping.is_cancelled() {
        match try_connect(ctx, metrics.clone(), readings.clone()).await {
            Ok(shared) => return Some(shared),
            Err(error) => {
                warn!(error = format!("{error:#}"), "waiting for servers");
                ctx.readiness.set("servers", Condition::not_ready(format!("{error:#}")));
            }
        }
        sleep(&stopping, RETRY_PAUSE).await;
    }
    None
}

async fn try_connect(
    ctx: &spina_runtime::Context<EventStoreConfig>,
    metrics: EventStoreMetrics,
    readings: Readings,
) -> anyhow::Result<Shared> {
    let common = &ctx.config.common;
    let log = LogConfig::new(&common.kafka, &ctx.config.instance);
    let registry = RegistryClient::new(&common.registry_url).context("use the registry's address")?;
    let store = Store::connect(&StoreConfig::new(&common.postgres_url, "event-store")).await;
    Ok(Shared {
        schemas: Arc::new(SchemaCache::reading(registry, readings)),
        admin: Arc::new(Admin::connect(&log).await.context("connect to Kafka")?),
        lane_factory: Arc::new(LaneFactory::connect(&log).await.context("connect to Kafka")?),
        log,
        store: store.context("connect to PostgreSQL")?,
        archive_health: ArchiveHealth::new(ctx.readiness.clone()),
        limits: ctx.config.limits(),
        endpoint: ctx.config.endpoint(),
        forwarder: Forwarder::new(&ctx.config.endpoint(), common.http_limits().timeout)
            .context("use this process's own endpoint")?,
        metrics,
        tasks: ctx.tasks.clone(),
        catch_ups: Arc::new(Semaphore::new(ctx.config.catch_ups_max.max(1))),
        stopping: ctx.shutdown.stopping(),
    })
}

/// Starts one context.
struct Start {
    ctx: spina_runtime::Context<EventStoreConfig>,
    shared: Shared,
    serving: Serving,
    code: Arc<InCode>,
}

impl Start {
    async fn run(self, def: ContextDef, contexts: Contexts) -> anyhow::Result<()> {
        let stopping = self.shared.stopping.clone();
        while !stopping.is_cancelled() {
            match self.parts(&def).await {
                Ok(parts) => {
                    let context = Arc::new(Context::new(parts, self.shared));
                    contexts.add(Arc::clone(&context));
                    self.ctx.tasks.spawn(format!("{} live feed", def.name), hub::run(Arc::clone(&context)));
                    let process = Process {
                        instance: self.ctx.config.instance.clone(),
                        session_timeout: Duration::from_millis(self.ctx.config.session_timeout_ms),
                        tasks: self.ctx.tasks,
                        serving: self.serving,
                        draining: contexts.draining,
                    };
                    return own::own(context, process).await;
                }
                Err(error) => {
                    warn!(context = %def.name, error = format!("{error:#}"), "cannot serve the context yet");
                    self.serving.context_waits(&def.name, &format!("{error:#}"));
                }
            }
            sleep(&stopping, RETRY_PAUSE).await;
        }
        Ok(())
    }

    /// Asks registry and brokers for what the definition names.
    async fn parts(&self, def: &ContextDef) -> anyhow::Result<Parts> {
        topics::check(&self.shared.admin, def).await?;
        let types = declared(def);
        let catalog = Catalog::load(&self.shared.schemas, &def.name, &types)
            .await
            .context("read the schemas: run `spina topology apply`")?;
        let snapshots = def.aggregates.iter().map(|aggregate| (aggregate.name.clone(), aggregate.snapshot.clone()));
        Ok(Parts {
            name: def.name.clone(),
            partitions: *def.partitions,
            aggregates: deciders::of(def, &catalog, &self.code.deciders)?,
            catalog,
            reply_type: self.reply_type(def).await?,
            snapshots: snapshots.collect(),
            uniques: Uniques::load(&self.shared.schemas, def).await?,
            archives: def.archive,
        })
    }

    async fn reply_type(&self, def: &ContextDef) -> anyhow::Result<ReplyType> {
        let subject = subject(&names::replies_topic(&def.name), "spina.Reply");
        let latest = self.shared.schemas.registry().latest(&subject).await?;
        let latest = latest.with_context(|| format!("subject {subject} is missing: run `spina topology apply`"))?;
        Ok(ReplyType { schema_id: latest.id, shape: self.shared.schemas.resolve(latest.id).await? })
    }
}

/// The types of the context's events and commands, each under the topic that it is written to.
fn declared(def: &ContextDef) -> Vec<Declared> {
    let of = |kind: TypeKind, topic: &str, aggregate: &AggregateDef, name: &str| Declared {
        kind,
        topic: topic.to_owned(),
        aggregate: aggregate.name.clone(),
        record: def.record_name(name),
    };
    let (events, commands) = (names::events_topic(&def.name), names::commands_topic(&def.name));
    let events = def.events().map(|(aggregate, name)| of(TypeKind::Event, &events, aggregate, name));
    let commands = def.commands().map(|(aggregate, def)| of(TypeKind::Command, &commands, aggregate, &def.name));
    events.chain(commands).collect()
}
