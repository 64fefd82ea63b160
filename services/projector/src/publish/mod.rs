//! Published topics: the events of one type as flat records for everybody, each exactly once and in the order of its
//! stream.
//!
//! ```text
//! <ctx>.events.v1 ─▶ processor, a group for each published topic ─▶ <ctx>.<name>.v<n>
//!                                                               └─▶ its dead letters: what cannot be published
//! ```
//!
//! Kafka and the registry are all it needs; PostgreSQL may be away.

mod stage;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use spina_codec::catalog::SchemaCache;
use spina_codec::registry::RegistryClient;
use spina_codec::{Readings, schema_files};
use spina_core::ContextName;
use spina_log::{Admin, LogConfig, names};
use spina_rules::context::ContextDef;
use spina_rules::publish::{self, Published};
use spina_rules::source::Source;
use spina_runtime::processor::{self, Place, Process, Requests};
use spina_runtime::shutdown::sleep;
use spina_runtime::{Condition, Context};

use crate::config::ProjectorConfig;
use crate::passing;
use stage::{Publishing, Written};

/// Pause between tries to reach a server.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// A published topic, and the context whose events it takes.
#[derive(Debug)]
pub struct Declared {
    context: ContextName,
    partitions: i32,
    published: Arc<Published>,
}

impl Declared {
    /// The topic.
    pub fn topic(&self) -> String {
        names::published_topic(&self.context, &self.published.name)
    }
}

/// Reads what the contexts publish. A mistake anywhere is an error that names file, line and column.
pub fn load(schemas_dir: &Path, contexts: &[ContextDef]) -> anyhow::Result<Vec<Declared>> {
    let mut all = Vec::new();
    for def in contexts.iter().filter(|def| !def.publish.is_empty()) {
        let source = Source::read(Path::new(&def.file))?;
        let mut files = schema_files::load(schemas_dir, &def.name).context("read the schemas")?;
        let folder = publish::folder(def).parse().context("name the folder of the public schemas")?;
        files.extend(schema_files::load(schemas_dir, &folder).context("read the public schemas")?);
        let outline = |record: &str| {
            let file = files.iter().find(|file| file.full_name == record);
            Ok(file.with_context(|| format!("no schema file defines {record}"))?.shape.outline())
        };
        for declared in &def.publish {
            let event: anyhow::Result<_> = outline(&def.record_name(&declared.event));
            let public = outline(&publish::record_name(def, &declared.record))?;
            let published = publish::compile(&source, def, declared, &event?, &public)?;
            let (context, partitions) = (def.name.clone(), def.partitions.value);
            all.push(Declared { context, partitions, published: Arc::new(published) });
        }
    }
    Ok(all)
}

/// Starts each published topic as soon as the servers answer.
pub fn start(ctx: &Context<ProjectorConfig>, declared: Vec<Declared>, readings: &Readings) {
    for declared in declared {
        let (ctx, readings) = (ctx.clone(), readings.clone());
        let name = format!("publish {}", declared.topic());
        ctx.tasks.clone().spawn(name, async move { run(ctx, declared, readings).await });
    }
}

async fn run(ctx: Context<ProjectorConfig>, declared: Declared, readings: Readings) -> anyhow::Result<()> {
    let (stopping, component) = (ctx.shutdown.stopping(), format!("publish {}", declared.topic()));
    let (process, stage) = loop {
        match stopping.run_until_cancelled(connect(&ctx, &declared, &readings)).await {
            None => return Ok(()),
            Some(Ok(connected)) => break connected,
            Some(Err(error)) => {
                let error = format!("{error:#}");
                tracing::warn!(topic = declared.topic(), error, "waiting for servers");
                ctx.readiness.set(component.clone(), Condition::NotReady(error));
            }
        }
        if !sleep(&stopping, RETRY_PAUSE).await {
            return Ok(());
        }
    };
    ctx.readiness.set(component, Condition::Ready);
    let place = Place {
        group: names::publish_group(&declared.topic()),
        input_topic: names::events_topic(&declared.context).into(),
        state_topic: None,
        batch_inputs_max: ctx.config.publish_batch_max.max(1),
    };
    Ok(processor::run(Arc::new(stage), place, process, Requests::default()).await?)
}

async fn connect(
    ctx: &Context<ProjectorConfig>,
    declared: &Declared,
    readings: &Readings,
) -> anyhow::Result<(Process, Publishing)> {
    let common = &ctx.config.common;
    let log = LogConfig::new(&common.kafka, &ctx.config.instance);
    let registry = RegistryClient::new(&common.registry_url).context("use the registry's address")?;
    let schemas = SchemaCache::reading(registry, readings.clone());
    let admin = Arc::new(Admin::connect(&log).await.context("connect to Kafka")?);
    let topic = declared.topic();
    for topic in [topic.clone(), names::dlq(&topic)] {
        let found = admin.describe(&topic).await?;
        let found = found.with_context(|| format!("topic {topic} is missing: run `spina topology apply`"))?;
        // The partition of a key follows from their number.
        let (found, wanted) = (found.partitions, declared.partitions);
        anyhow::ensure!(found == wanted, "topic {topic} has {found} partitions, and the events have {wanted}");
    }
    let written = Written::latest(&schemas, &topic, &declared.published.record).await?;
    let stage = Publishing::new(Arc::clone(&declared.published), &declared.context, &topic, written, schemas);
    Ok((passing::process(ctx, log, admin).await?, stage))
}
