//! What is connected with what.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use spina_codec::Readings;
use spina_codec::catalog::SchemaCache;
use spina_codec::registry::RegistryClient;
use spina_core::ContextName;
use spina_log::{Admin, LaneFactory, LogConfig, names};
use spina_rules::context;
use spina_rules::projection::Model;
use spina_runtime::readings::InRust;
use spina_runtime::shutdown::sleep;
use spina_runtime::{Api, Condition, Context, readings};
use spina_store::read_model::ModelName;
use spina_store::{Store, StoreConfig};
use tokio::sync::{Semaphore, mpsc};

use crate::config::ProjectorConfig;
use crate::http::{self, Behind};
use crate::intake;
use crate::metrics::ProjectorMetrics;
use crate::project::{
    Auditor, DefinedModel, Definition, Ends, Handle, Handles, ModelTask, Neighbours, Parts, Request, State, Voice,
    load, watch as watch_ends,
};
use crate::publish;
use crate::replay::{Notices, Watch, Works};

/// Pause between tries to reach a server.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// The servers, once they have answered.
#[derive(Clone)]
struct Servers {
    store: Store,
    log: LogConfig,
    admin: Arc<Admin>,
    schemas: SchemaCache,
    voice: Voice,
    rebuild_turns: Arc<Semaphore>,
}

/// A context whose models wait for the servers.
struct Waiting {
    context: ContextName,
    partitions: usize,
    /// Of the topics that its models read.
    ends: Vec<Ends>,
    models: Vec<(Arc<Model>, Arc<Handle>, mpsc::Receiver<Request>)>,
}

/// Reads the definitions whole, then starts each model as soon as its servers answer.
pub async fn build(ctx: Context<ProjectorConfig>, upcasters: Arc<InRust>) -> anyhow::Result<Api> {
    let common = &ctx.config.common;
    let contexts = context::load_all(&common.topology_dir).context("read the topology")?;
    let readings = readings::load(common, &contexts, &upcasters).context("read the upcasters")?;
    let definitions = load(&common.topology_dir, &common.schemas_dir, &contexts, &readings);
    let definitions = definitions.context("read the definitions")?;
    let description = http::describe(&definitions);
    let published = publish::load(&common.schemas_dir, &contexts).context("read what is published")?;
    let topics: Vec<String> = published.iter().map(publish::Declared::topic).collect();
    publish::start(&ctx, published, &readings);
    intake::start(&ctx, intake::load(&common.schemas_dir, &contexts).context("read what is taken in")?);
    let handles = Handles::default();
    let metrics = ProjectorMetrics::new(&ctx.metrics);
    let names: Vec<_> = contexts.iter().map(|context| context.name.clone()).collect();
    let waiting: Vec<Waiting> =
        definitions.iter().map(|definition| announce(&ctx, &handles, &metrics, definition)).collect();
    ctx.readiness.set("servers", Condition::not_ready("connecting"));
    let behind = Arc::new(std::sync::OnceLock::new());
    let (started, connected, known) = (ctx.clone(), Arc::clone(&behind), handles.clone());
    ctx.tasks.spawn("start", async move {
        let Some(servers) = connect(&started, &readings).await else { return Ok(()) };
        connected.get_or_init(|| Behind {
            store: servers.store.clone(),
            schemas: servers.schemas.clone(),
            admin: Arc::clone(&servers.admin),
            contexts: names.clone(),
            published: topics,
        });
        started.tasks.spawn("jobs", watch(&started, &servers, names, known).run());
        let (store, voice, stopping) = (servers.store.clone(), servers.voice.clone(), started.shutdown.stopping());
        started.tasks.spawn("job notices", Notices { store, voice, stopping }.run());
        started.readiness.set("servers", Condition::Ready);
        for context in waiting {
            let (ctx, servers) = (started.clone(), servers.clone());
            let name = format!("context {}", context.context);
            started.tasks.spawn(name, async move { begin(ctx, servers, context).await });
        }
        Ok(())
    });
    Ok(http::api(description, handles, behind, ctx.shutdown.draining()))
}

/// Makes the models of a context known, so that they can be asked for from the start.
fn announce(
    ctx: &Context<ProjectorConfig>,
    handles: &Handles,
    metrics: &ProjectorMetrics,
    definition: &Definition,
) -> Waiting {
    let mut ends: Vec<Ends> = Vec::new();
    let mut models = Vec::new();
    for DefinedModel { model, inputs } in &definition.models {
        let name = ModelName { context: definition.context.clone(), model: model.name().to_owned() };
        let counted = metrics.of(&name);
        let (handle, requests) =
            Handle::new(name, inputs.clone(), model.joins().to_vec(), counted, ctx.readiness.clone());
        let ends_of = inputs.iter().map(|input| {
            let known = ends.iter().find(|ends| ends.topic() == input.topic).cloned();
            known.unwrap_or_else(|| {
                ends.push(Ends::new(input.topic.clone()));
                ends[ends.len() - 1].clone()
            })
        });
        handles.add(Arc::clone(&handle), ends_of.collect());
        models.push((Arc::clone(model), handle, requests));
    }
    Waiting { context: definition.context.clone(), partitions: definition.partitions, ends, models }
}

/// Connects to all servers, trying until they answer; `None` if the process stops before.
async fn connect(ctx: &Context<ProjectorConfig>, readings: &Readings) -> Option<Servers> {
    let stopping = ctx.shutdown.stopping();
    loop {
        // Waiting for the database at start must not outlast the process.
        let tried = stopping.run_until_cancelled(try_connect(ctx, readings.clone())).await?;
        match tried {
            Ok(servers) => return Some(servers),
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "waiting for servers");
                ctx.readiness.set("servers", Condition::not_ready(format!("{error:#}")));
            }
        }
        sleep(&stopping, RETRY_PAUSE).await;
    }
}

async fn try_connect(ctx: &Context<ProjectorConfig>, readings: Readings) -> anyhow::Result<Servers> {
    let common = &ctx.config.common;
    let log = LogConfig::new(&common.kafka, "projector");
    let registry = RegistryClient::new(&common.registry_url).context("use the registry's address")?;
    let mut config = StoreConfig::new(&common.postgres_url, "projector");
    config.connections_max = ctx.config.connections_max;
    let admin = Arc::new(Admin::connect(&log).await.context("connect to Kafka")?);
    let lanes = Arc::new(LaneFactory::connect(&log).await.context("connect to Kafka")?);
    Ok(Servers {
        store: Store::connect(&config).await.context("connect to PostgreSQL")?,
        voice: Voice { lanes, admin: Arc::clone(&admin), registry: registry.clone() },
        admin,
        schemas: SchemaCache::reading(registry, readings),
        rebuild_turns: Arc::new(Semaphore::new(ctx.config.rebuilds_max.max(1))),
        log,
    })
}

/// What works on replay jobs of these contexts.
fn watch(ctx: &Context<ProjectorConfig>, servers: &Servers, contexts: Vec<ContextName>, handles: Handles) -> Watch {
    let works = Works {
        store: servers.store.clone(),
        log: LogConfig::new(&ctx.config.common.kafka, "projector-replay"),
        admin: Arc::clone(&servers.admin),
        schemas: servers.schemas.clone(),
        contexts: contexts.iter().map(ToString::to_string).collect(),
        handles,
    };
    Watch::new(works, ctx.config.jobs_max, ctx.tasks.clone(), ctx.shutdown.stopping())
}

/// Starts the models of a context when its topic is there.
async fn begin(ctx: Context<ProjectorConfig>, servers: Servers, waiting: Waiting) -> anyhow::Result<()> {
    let Waiting { context, partitions, ends, models } = waiting;
    let stopping = ctx.shutdown.stopping();
    let component = format!("context {context}");
    let topic = names::events_topic(&context);
    while let Err(error) = check_topic(&servers.admin, &topic, partitions).await {
        ctx.readiness.set(component.clone(), Condition::not_ready(format!("{error:#}")));
        if !sleep(&stopping, RETRY_PAUSE).await {
            return Ok(());
        }
    }
    ctx.readiness.set(component, Condition::Ready);
    ends.iter().for_each(|ends| ends.connected(Arc::clone(&servers.admin)));
    let handles: Vec<_> = models.iter().map(|(_, handle, _)| Arc::clone(handle)).collect();
    for (model, handle, requests) in models {
        let parts = Arc::new(Parts {
            name: handle.name.clone(),
            model,
            store: servers.store.clone(),
            log: servers.log.clone(),
            voice: servers.voice.clone(),
            inputs: handle.inputs.clone(),
            batch_records_max: ctx.config.batch_records_max.max(1),
            metrics: handle.metrics.clone(),
            feed: Arc::clone(&handle.feed),
        });
        let schemas = servers.schemas.clone();
        handle.auditor.get_or_init(|| Auditor::new(Arc::clone(&parts), schemas, &handle));
        let neighbours = Neighbours {
            parts,
            schemas: servers.schemas.clone(),
            rebuild_turns: Arc::clone(&servers.rebuild_turns),
            stopping: ctx.shutdown.stopping(),
        };
        let (name, admin) = (format!("model {}", handle.name), Arc::clone(&servers.admin));
        ctx.tasks.spawn(name, async move {
            if !other_topics(&admin, &neighbours, &handle).await {
                return Ok(());
            }
            ModelTask::new(neighbours, handle, requests).run().await
        });
    }
    let known = ends.clone();
    let note = move || {
        for handle in &handles {
            let of = |topic: &str| known.iter().find(|ends| ends.topic() == topic).map(Ends::last);
            let stable: Vec<_> = handle.inputs.iter().filter_map(|input| of(&input.topic)).collect();
            handle.note_ends(&stable);
        }
    };
    watch_ends(ends, ctx.shutdown.stopping(), note).await
}

/// Waits for the topics of other contexts that a model reads; `false` if the process stops before.
async fn other_topics(admin: &Admin, neighbours: &Neighbours, handle: &Handle) -> bool {
    for input in handle.inputs.iter().skip(1) {
        while let Err(error) = check_topic(admin, &input.topic, input.partitions).await {
            handle.set_state(State::Waiting(format!("{error:#}")));
            if !sleep(&neighbours.stopping, RETRY_PAUSE).await {
                return false;
            }
        }
    }
    true
}

async fn check_topic(admin: &Admin, topic: &str, partitions: usize) -> anyhow::Result<()> {
    let found = admin.describe(topic).await?;
    let found = found.with_context(|| format!("topic {topic} is missing: run `spina topology apply`"))?;
    anyhow::ensure!(
        usize::try_from(found.partitions).ok() == Some(partitions),
        "topic {topic} has {} partitions, the topology says {partitions}: the number is frozen",
        found.partitions
    );
    Ok(())
}
