//! Topics of plain JSON that a context takes in: each record becomes a command record, exactly once.
//!
//! ```text
//! any topic of JSON ─▶ processor, a group for each topic ─▶ <ctx>.commands.v1 ─▶ event-store
//!                                                        └─▶ the topic's dead letters: what cannot be taken in
//! ```
//!
//! Kafka is all it needs: the event-store checks against the schema.

mod stage;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use spina_codec::schema_files;
use spina_core::ContextName;
use spina_log::{Admin, LogConfig, names};
use spina_rules::context::ContextDef;
use spina_rules::intake::{self, Intake};
use spina_rules::source::Source;
use spina_runtime::processor::{self, Place, Process, Requests};
use spina_runtime::shutdown::sleep;
use spina_runtime::{Condition, Context};

use crate::config::ProjectorConfig;
use crate::passing;
use stage::TakingIn;

/// Pause between tries to reach a server.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// A topic, and the context whose commands it becomes.
#[derive(Debug)]
pub struct Declared {
    context: ContextName,
    intake: Arc<Intake>,
}

/// Reads what the contexts take in. A mistake anywhere is an error that names file, line and column.
pub fn load(schemas_dir: &Path, contexts: &[ContextDef]) -> anyhow::Result<Vec<Declared>> {
    let mut all = Vec::new();
    for def in contexts.iter().filter(|def| !def.intake.is_empty()) {
        let source = Source::read(Path::new(&def.file))?;
        let files = schema_files::load(schemas_dir, &def.name).context("read the schemas")?;
        for declared in &def.intake {
            let record = def.record_name(&declared.r#type);
            let file = files.iter().find(|file| file.full_name == record);
            let shape = file.with_context(|| format!("no schema file defines {record}"))?.shape.outline();
            let intake = Arc::new(intake::compile(&source, declared, &shape)?);
            all.push(Declared { context: def.name.clone(), intake });
        }
    }
    Ok(all)
}

/// Starts each topic as soon as Kafka answers.
pub fn start(ctx: &Context<ProjectorConfig>, declared: Vec<Declared>) {
    for declared in declared {
        let (ctx, name) = (ctx.clone(), format!("intake {}", declared.intake.topic));
        ctx.tasks.clone().spawn(name, async move { run(ctx, declared).await });
    }
}

async fn run(ctx: Context<ProjectorConfig>, declared: Declared) -> anyhow::Result<()> {
    let (stopping, component) = (ctx.shutdown.stopping(), format!("intake {}", declared.intake.topic));
    let (process, stage) = loop {
        match stopping.run_until_cancelled(connect(&ctx, &declared)).await {
            None => return Ok(()),
            Some(Ok(connected)) => break connected,
            Some(Err(error)) => {
                let error = format!("{error:#}");
                tracing::warn!(topic = declared.intake.topic, error, "waiting for Kafka");
                ctx.readiness.set(component.clone(), Condition::NotReady(error));
            }
        }
        if !sleep(&stopping, RETRY_PAUSE).await {
            return Ok(());
        }
    };
    ctx.readiness.set(component, Condition::Ready);
    let place = Place {
        group: names::intake_group(&declared.context, &declared.intake.topic),
        input_topic: declared.intake.topic.as_str().into(),
        state_topic: None,
        batch_inputs_max: ctx.config.publish_batch_max.max(1),
    };
    Ok(processor::run(Arc::new(stage), place, process, Requests::default()).await?)
}

async fn connect(ctx: &Context<ProjectorConfig>, declared: &Declared) -> anyhow::Result<(Process, TakingIn)> {
    let log = LogConfig::new(&ctx.config.common.kafka, &ctx.config.instance);
    let admin = Arc::new(Admin::connect(&log).await.context("connect to Kafka")?);
    partitions(&admin, &declared.intake.topic).await?;
    let (commands, dead_letters) = (names::commands_topic(&declared.context), names::dlq(&declared.intake.topic));
    let places = (partitions(&admin, &commands).await?, partitions(&admin, &dead_letters).await?);
    let stage = TakingIn::new(Arc::clone(&declared.intake), (&commands, places.0), (&dead_letters, places.1));
    Ok((passing::process(ctx, log, admin).await?, stage))
}

async fn partitions(admin: &Admin, topic: &str) -> anyhow::Result<i32> {
    let found = admin.describe(topic).await?;
    Ok(found.with_context(|| format!("topic {topic} is missing: run `spina topology apply`"))?.partitions)
}
