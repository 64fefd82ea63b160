//! What there is: topics in the cluster, schemas in the registry.

use std::collections::BTreeMap;

use anyhow::Context;
use futures::{StreamExt, TryStreamExt, stream};
use spina_codec::registry::RegistryClient;

use super::Servers;
use super::connectors::{self, ActualConnectors};
use super::desired::{Desired, DesiredSubject};
use super::evolution::same_json;

/// Requests to the registry that run at the same time.
const REGISTRY_REQUESTS_MAX: usize = 8;
/// Most versions of a subject that a schema is compared with here, newest first; the registry itself knows them all.
const VERSIONS_MAX: usize = 100;

/// What there is of what the files ask for.
#[derive(Debug, Default)]
pub struct Actual {
    /// Number of brokers.
    pub brokers: usize,
    /// The topics that exist, by name.
    pub topics: BTreeMap<String, ActualTopic>,
    /// The names of all topics of the cluster.
    pub names: Vec<String>,
    /// The subjects that exist, by name.
    pub subjects: BTreeMap<String, ActualSubject>,
    /// What the Connect worker has; `None` where none is known.
    pub connectors: Option<ActualConnectors>,
}

/// A topic of the cluster.
#[derive(Debug, Clone, Default)]
pub struct ActualTopic {
    /// Number of partitions.
    pub partitions: i32,
    /// Copies of each partition.
    pub replication: i16,
    /// Its configuration, defaults included.
    pub configs: BTreeMap<String, String>,
}

impl ActualTopic {
    /// Whether older records of a key are deleted.
    pub fn is_compacted(&self) -> bool {
        self.configs.get("cleanup.policy").is_some_and(|policy| policy.split(',').any(|part| part.trim() == "compact"))
    }
}

/// A subject of the registry.
#[derive(Debug, Clone, Default)]
pub struct ActualSubject {
    /// Number of its latest version.
    pub version: u32,
    /// Its id.
    pub id: u32,
    /// The schema of its latest version.
    pub latest: String,
    /// Number and schema of the versions before; only read where the file differs from the latest.
    pub older: Vec<(u32, String)>,
    /// Its own compatibility level, if it has one.
    pub compatibility: Option<String>,
    /// What the registry has against the file's schema as the next version.
    pub objections: Vec<String>,
}

/// Looks for everything that the files ask for.
pub async fn read(desired: &Desired, servers: &Servers) -> anyhow::Result<Actual> {
    let Servers { admin, registry, connect, .. } = servers;
    let cluster = admin.cluster().await.context("ask Kafka about itself")?;
    let mut actual = Actual { brokers: cluster.brokers, names: admin.topics().await?, ..Actual::default() };
    for topic in &desired.topics {
        if let Some(found) = admin.describe(&topic.name).await? {
            let configs = found.configs.into_iter().map(|(key, config)| (key, config.value)).collect();
            let topic_found = ActualTopic { partitions: found.partitions, replication: found.replication, configs };
            actual.topics.insert(topic.name.clone(), topic_found);
        }
    }
    let subjects = stream::iter(&desired.subjects)
        .map(|subject| async move {
            let found = read_subject(subject, registry).await;
            let found = found.with_context(|| format!("ask the registry about {}", subject.name))?;
            anyhow::Ok(found.map(|found| (subject.name.clone(), found)))
        })
        .buffered(REGISTRY_REQUESTS_MAX);
    actual.subjects = subjects.try_filter_map(|found| async move { Ok(found) }).try_collect().await?;
    if let Some(connect) = connect {
        actual.connectors = Some(connectors::read(&desired.connectors, connect).await?);
    }
    Ok(actual)
}

async fn read_subject(subject: &DesiredSubject, registry: &RegistryClient) -> anyhow::Result<Option<ActualSubject>> {
    let Some(latest) = registry.latest(&subject.name).await? else { return Ok(None) };
    let compatibility = registry.compatibility(&subject.name).await?;
    let mut found = ActualSubject {
        version: latest.version,
        id: latest.id,
        latest: latest.schema,
        compatibility,
        ..ActualSubject::default()
    };
    if same_json(&subject.schema.text, &found.latest) {
        return Ok(Some(found));
    }
    let mut versions = registry.versions(&subject.name).await?;
    versions.retain(|version| *version != found.version);
    versions.sort_unstable_by(|one, other| other.cmp(one));
    for version in versions.into_iter().take(VERSIONS_MAX) {
        if let Some(older) = registry.version(&subject.name, version).await? {
            found.older.push((version, older.schema));
        }
    }
    found.objections = registry.check_compatibility(&subject.name, &subject.schema.text).await?;
    Ok(Some(found))
}
