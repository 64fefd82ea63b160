//! What is connected with what.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use spina_codec::catalog::{Catalog, Declared, SchemaCache, TypeKind};
use spina_codec::registry::RegistryClient;
use spina_codec::subject;
use spina_log::{Admin, LaneFactory, LogConfig, names};
use spina_rules::context::{self, ContextDef};
use spina_runtime::shutdown::sleep;
use spina_runtime::{Api, Condition};
use spina_store::{Store, StoreConfig};
use tracing::warn;

use crate::config::EventStoreConfig;
use crate::context::{Context, Parts, Shared};
use crate::contexts::Contexts;
use crate::decide::reply::ReplyType;
use crate::http;
use crate::metrics::EventStoreMetrics;
use crate::own;
use crate::serving::Serving;

/// Pause between tries to reach a server at start.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Reads the definitions, and starts to serve each context as soon as its servers answer.
pub async fn build(ctx: spina_runtime::Context<EventStoreConfig>) -> anyhow::Result<Api> {
    let defs = context::load_all(&ctx.config.common.topology_dir).context("read the topology")?;
    let draining = ctx.shutdown.draining();
    let names = defs.iter().map(|def| def.name.to_string());
    let contexts = Contexts::new(names, ctx.tasks.clone(), draining, ctx.config.subscriptions_max);
    let serving = Serving::new(ctx.readiness.clone(), defs.iter().map(|def| def.name.clone()));
    ctx.readiness.set("servers", Condition::not_ready("connecting"));
    let (started, tasks) = (contexts.clone(), ctx.tasks.clone());
    let metrics = EventStoreMetrics::new(&ctx.metrics);
    tasks.clone().spawn("start", async move {
        let Some(shared) = connect(&ctx, &metrics).await else { return Ok(()) };
        ctx.readiness.set("servers", Condition::Ready);
        for def in defs {
            let start = Start { ctx: ctx.clone(), shared: shared.clone(), serving: serving.clone() };
            let started = started.clone();
            tasks.spawn(format!("context {}", def.name), async move { start.run(def, started).await });
        }
        Ok(())
    });
    Ok(http::api(contexts))
}

/// Connects to all servers, trying until they answer; `None` if the process stops before.
async fn connect(ctx: &spina_runtime::Context<EventStoreConfig>, metrics: &EventStoreMetrics) -> Option<Shared> {
    let stopping = ctx.shutdown.stopping();
    while !stopping.is_cancelled() {
        match try_connect(ctx, metrics.clone()).await {
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
) -> anyhow::Result<Shared> {
    let common = &ctx.config.common;
    let log = LogConfig::new(&common.kafka, &ctx.config.instance);
    let registry = RegistryClient::new(&common.registry_url).context("use the registry's address")?;
    let store = Store::connect(&StoreConfig::new(&common.postgres_url, "event-store")).await;
    Ok(Shared {
        schemas: Arc::new(SchemaCache::new(registry)),
        admin: Arc::new(Admin::connect(&log).await.context("connect to Kafka")?),
        lane_factory: Arc::new(LaneFactory::connect(&log).await.context("connect to Kafka")?),
        log,
        store: store.context("connect to PostgreSQL")?,
        limits: ctx.config.limits(),
        endpoint: ctx.config.endpoint(),
        metrics,
        stopping: ctx.shutdown.stopping(),
    })
}

/// Starts one context.
struct Start {
    ctx: spina_runtime::Context<EventStoreConfig>,
    shared: Shared,
    serving: Serving,
}

impl Start {
    async fn run(self, def: ContextDef, contexts: Contexts) -> anyhow::Result<()> {
        let stopping = self.shared.stopping.clone();
        while !stopping.is_cancelled() {
            match self.parts(&def).await {
                Ok(parts) => {
                    let context = Arc::new(Context::new(parts, self.shared));
                    contexts.add(Arc::clone(&context));
                    return own::own(context, self.ctx.config.instance.clone(), self.ctx.tasks, self.serving).await;
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
        let events_topic = names::events_topic(&def.name);
        let partitions = *def.partitions;
        for topic in [&events_topic, &names::commands_topic(&def.name), &names::replies_topic(&def.name)] {
            let found = self.shared.admin.describe(topic).await?;
            let found = found.with_context(|| format!("topic {topic} is missing: run `spina topology apply`"))?;
            anyhow::ensure!(
                found.partitions == partitions,
                "topic {topic} has {} partitions, the topology says {partitions}: the number is frozen",
                found.partitions
            );
        }
        let types: Vec<Declared> = def
            .events()
            .map(|(aggregate, event)| Declared {
                kind: TypeKind::Event,
                topic: events_topic.clone(),
                aggregate: aggregate.name.clone(),
                record: def.record_name(event),
            })
            .collect();
        let catalog = Catalog::load(&self.shared.schemas, &def.name, &types)
            .await
            .context("read the schemas: run `spina topology apply`")?;
        let snapshot_every =
            def.aggregates.iter().filter_map(|aggregate| Some((aggregate.name.clone(), aggregate.snapshot_every?)));
        Ok(Parts {
            name: def.name.clone(),
            partitions,
            catalog,
            reply_type: self.reply_type(def).await?,
            snapshot_every: snapshot_every.collect::<HashMap<_, _>>(),
        })
    }

    async fn reply_type(&self, def: &ContextDef) -> anyhow::Result<ReplyType> {
        let subject = subject(&names::replies_topic(&def.name), "spina.Reply");
        let latest = self.shared.schemas.registry().latest(&subject).await?;
        let latest = latest.with_context(|| format!("subject {subject} is missing: run `spina topology apply`"))?;
        Ok(ReplyType { schema_id: latest.id, shape: self.shared.schemas.resolve(latest.id).await? })
    }
}
