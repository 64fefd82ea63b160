//! What is connected with what.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use spina_codec::catalog::SchemaCache;
use spina_codec::registry::RegistryClient;
use spina_log::{Admin, LaneFactory, LogConfig, Publisher, names};
use spina_runtime::processor::{BrokerLog, Place, Process, Requests, Stage, run};
use spina_runtime::shutdown::sleep;
use spina_runtime::{Api, Commands, Condition, Context, readings};

use crate::backtest::History;
use crate::clock;
use crate::config::AlertCorrelatorConfig;
use crate::http::{self, Served};
use crate::incidents::{CorrelatorStage, View};
use crate::journal::{Journal, SOURCE, Scribe};
use crate::metrics::CorrelatorMetrics;
use crate::notify::Sender;
use crate::probe::{Platform, Probe};
use crate::route::{AlertRoute, EventRoute};
use crate::rules::{ALERTS, Files};

/// Pause between tries to reach a server.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Most records in a batch.
const BATCH_MAX: usize = 1_000;

type Ctx = Context<AlertCorrelatorConfig>;

/// The servers, once they have answered.
struct Servers {
    process: Process,
    admin: Arc<Admin>,
    journal: Arc<Journal>,
    commands: Arc<Commands>,
    history: History,
    scribe: Scribe,
}

/// Reads the rules whole, then starts as soon as the servers answer. Without rules there is nothing to do.
pub async fn build(ctx: Ctx) -> anyhow::Result<Api> {
    let files = Files::load(&ctx.config.common).context("read the rules")?;
    let metrics = CorrelatorMetrics::new(&ctx.metrics);
    let view = Arc::new(View::default());
    let served = Served::new(Arc::clone(&view), files.clone());
    if !files.wanted().set.texts.is_empty() {
        ctx.readiness.set("servers", Condition::not_ready("connecting"));
        let every = Duration::from_millis(ctx.config.rules_poll_ms.max(100));
        ctx.tasks.spawn("rules", files.clone().watch(every, ctx.readiness.clone(), ctx.shutdown.stopping()));
        ctx.tasks.spawn("start", start(ctx.clone(), files, metrics, view, served.clone()));
    }
    Ok(http::api(served))
}

async fn start(
    ctx: Ctx,
    files: Files,
    metrics: CorrelatorMetrics,
    view: Arc<View>,
    served: Served,
) -> anyhow::Result<()> {
    let Some(servers) = connect(&ctx, &files).await else { return Ok(()) };
    served.scribe.get_or_init(|| servers.scribe.clone());
    served.history.get_or_init(|| servers.history.clone());
    let log = Arc::clone(&servers.process.state);
    let probe = Probe {
        platform: Platform::new(&ctx.config, Arc::clone(&servers.admin), files.clone())?,
        files: files.clone(),
        scribe: servers.scribe.clone(),
        requests: served.requests.clone(),
    };
    let every = Duration::from_millis(ctx.config.probe_every_ms.max(100));
    ctx.tasks.spawn("probe", probe.run(every, ctx.shutdown.stopping()));
    let sender = Sender::new(&ctx.config, ctx.tasks.clone(), servers.scribe.clone())?;
    let correlator = CorrelatorStage {
        journal: Arc::clone(&servers.journal),
        commands: Arc::clone(&servers.commands),
        metrics,
        view,
        files: files.clone(),
        log,
        sender,
    };
    spawn(&ctx, &servers, correlator, names::SIGNALS_TOPIC, Some(names::INCIDENTS_TOPIC), served.requests);
    for context in files.contexts() {
        let source = context.name.as_str().to_owned();
        if files.wanted().set.texts.contains_key(&source) {
            let route = EventRoute { source, journal: Arc::clone(&servers.journal), files: files.clone() };
            spawn(&ctx, &servers, route, &names::events_topic(&context.name), None, Requests::default());
        }
    }
    if files.wanted().set.texts.contains_key(ALERTS) {
        let route = AlertRoute { journal: Arc::clone(&servers.journal) };
        spawn(&ctx, &servers, route, names::ALERTS_TOPIC, None, Requests::default());
    }
    ctx.readiness.set("servers", Condition::Ready);
    Ok(())
}

/// Runs a stage as a member of its group.
fn spawn<S: Stage>(
    ctx: &Ctx,
    servers: &Servers,
    stage: S,
    input: &str,
    state: Option<&str>,
    requests: Requests<<S::Processor as spina_runtime::processor::Processor>::Request>,
) where
    <S::Processor as spina_runtime::processor::Processor>::Request: Send + 'static,
{
    let place = Place {
        group: names::correlator_group(input),
        input_topic: input.into(),
        state_topic: state.map(Into::into),
        batch_inputs_max: BATCH_MAX,
    };
    let process = servers.process.clone();
    ctx.tasks.spawn(place.group.clone(), async move {
        run(Arc::new(stage), place, process, requests).await.context("serve a consumer group")
    });
}

/// Connects to all servers, trying until they answer; `None` if the process stops before.
async fn connect(ctx: &Ctx, files: &Files) -> Option<Servers> {
    let stopping = ctx.shutdown.stopping();
    loop {
        match stopping.run_until_cancelled(try_connect(ctx, files)).await? {
            Ok(servers) => return Some(servers),
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "waiting for servers");
                ctx.readiness.set("servers", Condition::not_ready(format!("{error:#}")));
            }
        }
        sleep(&stopping, RETRY_PAUSE).await;
    }
}

async fn try_connect(ctx: &Ctx, files: &Files) -> anyhow::Result<Servers> {
    let common = &ctx.config.common;
    let log = LogConfig::new(&common.kafka, &ctx.config.instance);
    let registry = RegistryClient::new(&common.registry_url).context("use the registry's address")?;
    let readings = readings::load(common, files.contexts(), &Vec::new()).context("read the upcasters")?;
    let schemas = SchemaCache::reading(registry, readings);
    let admin = Arc::new(Admin::connect(&log).await.context("connect to Kafka")?);
    for topic in [names::SIGNALS_TOPIC, names::INCIDENTS_TOPIC] {
        let found = admin.describe(topic).await.context("look at the topics")?;
        anyhow::ensure!(found.is_some(), "topic {topic} is missing: run `spina topology apply`");
    }
    let commands = Arc::new(commands(files, &schemas).await?);
    let journal = Arc::new(Journal::load(schemas).await?);
    let least = admin.session_timeout_min().await.context("ask the brokers for their limits")?;
    let process = Process {
        instance: ctx.config.instance.clone(),
        session_timeout: Duration::from_millis(ctx.config.session_timeout_ms).max(least),
        lanes: Arc::new(LaneFactory::connect(&log).await.context("connect to Kafka")?),
        state: Arc::new(BrokerLog { config: log.clone(), admin: Arc::clone(&admin) }),
        clock: Arc::new(clock::now),
        tasks: ctx.tasks.clone(),
        readiness: ctx.readiness.clone(),
        draining: ctx.shutdown.draining(),
        log: log.clone(),
    };
    let scribe =
        Scribe { journal: Arc::clone(&journal), publisher: Publisher::new(&log).context("set up a publisher")? };
    let history = History { log, journal: Arc::clone(&journal) };
    Ok(Servers { process, admin, journal, commands, history, scribe })
}

/// The commands of all contexts: rules are read anew, and may ask any of them later. Those that they ask now must be there.
async fn commands(files: &Files, schemas: &SchemaCache) -> anyhow::Result<Commands> {
    let mut named = Vec::new();
    for context in files.contexts() {
        named.extend(context.commands().map(|(_, command)| (context, command.name.as_str())));
    }
    let commands = Commands::load(SOURCE, &named, schemas).await?;
    for action in files.wanted().set.rules().flat_map(|rule| &rule.actions) {
        commands.require(&format!("{}.{}", action.context, action.command))?;
    }
    Ok(commands)
}
