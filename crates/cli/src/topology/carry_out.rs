//! Carries out a plan, and looks afterwards whether it took effect.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use spina_codec::registry::RegistryClient;
use spina_log::admin::TopicSpec;
use tokio::time::{Instant, sleep};

use super::Servers;
use super::actual::Actual;
use super::connectors::{self, DesiredConnector};
use super::desired::Desired;
use super::diff::diff;
use super::plan::{Action, Plan};
use super::{actual, render};
use crate::connect::api::Order;

/// How long the cluster and the registry may take to show what was done.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(15);
/// Pause before looking again.
const SETTLE_PAUSE: Duration = Duration::from_millis(200);

/// Carries out the actions in order, and tells each as it is done. Stops at the first that fails; what was done stays.
pub async fn carry_out(plan: &Plan, servers: &Servers, mut done: impl FnMut(&Action)) -> Result<()> {
    for action in &plan.actions {
        carry_out_one(action, servers).await.with_context(|| format!("carry out `{}`", render::headline(action)))?;
        done(action);
    }
    Ok(())
}

async fn carry_out_one(action: &Action, servers: &Servers) -> Result<()> {
    let Servers { admin, registry, .. } = servers;
    match action {
        Action::CreateTopic { name, partitions, replication, configs } => {
            let configs = configs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
            let spec = TopicSpec { name: name.clone(), partitions: *partitions, replication: *replication, configs };
            // False: somebody else created it meanwhile. Whether it is as it must be is looked at afterwards.
            admin.create(&spec).await?;
        }
        Action::AlterTopic { name, changes } => {
            let changes = changes.iter().map(|change| (change.key.to_owned(), change.to.clone())).collect();
            admin.alter(name, &changes).await?;
        }
        Action::CreateSubject(subject) => {
            registry.register(&subject.name, &subject.schema.text).await?;
            set_compatibility(&subject.name, subject.compatibility(), registry).await?;
        }
        Action::SetCompatibility { subject, to, .. } => set_compatibility(subject, to, registry).await?,
        Action::AddVersion { subject, .. } => {
            registry.register(&subject.name, &subject.schema.text).await?;
        }
        Action::CreateConnector(DesiredConnector { def, .. }) => {
            servers.connect()?.create(&def.name, &def.config, def.state.name()).await?;
        }
        Action::ChangeConnector { connector: DesiredConnector { def, .. }, .. } => {
            servers.connect()?.configure(&def.name, &def.config).await?;
        }
        Action::RestartConnector { name, .. } => servers.connect()?.order(name, Order::RestartFailed).await?,
        Action::SetConnectorState { name, to, .. } => servers.connect()?.order(name, connectors::order(*to)).await?,
    }
    Ok(())
}

/// Apicurio refuses one of two who set a subject's level at the same time; what counts is that it is set.
async fn set_compatibility(subject: &str, level: &str, registry: &RegistryClient) -> Result<()> {
    let Err(refused) = registry.set_compatibility(subject, level).await else { return Ok(()) };
    if registry.compatibility(subject).await?.as_deref() == Some(level) { Ok(()) } else { Err(refused.into()) }
}

/// Waits until nothing is left to do; how the servers are then.
pub async fn settle(desired: &Desired, servers: &Servers) -> Result<Actual> {
    let deadline = Instant::now() + SETTLE_TIMEOUT;
    loop {
        let found = actual::read(desired, servers).await?;
        let left = diff(desired, &found);
        if left.actions.is_empty() && left.problems.is_empty() {
            return Ok(found);
        }
        if Instant::now() > deadline {
            bail!("applied, but after {} s this is left:\n{}", SETTLE_TIMEOUT.as_secs(), render::text(&left));
        }
        sleep(SETTLE_PAUSE).await;
    }
}
