//! `spina export`: the topology in the words of other tools.
//!
//! ```text
//! topology/, schemas/ --desired::read--> Desired --+-- asyncapi: one document for readers and publishers
//!                                                  +-- strimzi: resources for Kubernetes
//!                                                  +-- jikkou: resources for its command line
//! ```
//!
//! Pure: no server is asked. What `topology apply` would make, the resources make too.

mod asyncapi;
mod jikkou;
mod strimzi;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use serde_json::Value;
use spina_codec::registry::subject;
use spina_rules::source::Problems;

use crate::failure::{Exit, Failure};
use crate::output::{self, Format};
use crate::topology::Folders;
use crate::topology::desired::{self, Desired, DesiredTopic, Schema};

/// Print the topology for other tools, as YAML or JSON
#[derive(Debug, Parser)]
pub struct Args {
    /// For whom
    #[arg(value_enum)]
    target: Target,
    #[command(flatten)]
    folders: Folders,
    #[command(flatten)]
    names: Names,
}

/// What the topology does not say.
#[derive(Debug, Clone, clap::Args)]
pub struct Names {
    /// What the Kafka cluster is called there
    #[arg(long, default_value = "kafka")]
    cluster: String,
    /// What the Kafka Connect cluster is called there
    #[arg(long, default_value = "connect")]
    connect_cluster: String,
    /// Copies of each partition where a context says nothing
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(i16).range(1..))]
    replication: i16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Target {
    /// `AsyncAPI` 3.1: topics, messages and their schemas, with Kafka's bindings
    Asyncapi,
    /// Strimzi: `KafkaTopic`, `KafkaUser` and `KafkaConnector`
    Strimzi,
    /// Jikkou: topics, subjects, permissions and connectors
    Jikkou,
}

impl Args {
    /// Does it.
    pub async fn run(self, format: Format) -> Result<()> {
        let files = desired::read(&self.folders.topology_dir, &self.folders.schemas_dir);
        if !files.problems.is_empty() {
            let problems = Problems(files.problems);
            return Err(Failure::new(Exit::Refused, "validation.topology", problems.to_string()).into());
        }
        let documents = self.target.documents(&files.desired, &self.names);
        match format {
            Format::Text => output::line(yaml(&documents)?.trim_end()),
            Format::Json | Format::Ndjson => match documents.as_slice() {
                [one] => output::json(one),
                several => output::json(&several),
            },
        }
    }
}

impl Target {
    fn documents(self, desired: &Desired, names: &Names) -> Vec<Value> {
        match self {
            Self::Asyncapi => vec![asyncapi::document(desired, names)],
            Self::Strimzi => strimzi::resources(desired, names),
            Self::Jikkou => jikkou::resources(desired, names),
        }
    }
}

/// Documents in one stream.
fn yaml(documents: &[Value]) -> Result<String> {
    let texts: Result<Vec<String>, _> = documents.iter().map(serde_saphyr::to_string).collect();
    Ok(texts.context("write YAML")?.join("---\n"))
}

/// The records that go through a topic.
fn records_of<'d>(desired: &'d Desired, topic: &'d DesiredTopic) -> impl Iterator<Item = &'d Arc<Schema>> {
    let of_topic = move |schema: &&Arc<Schema>, name: &str| name == subject(&topic.name, &schema.full_name);
    desired.subjects.iter().filter(move |it| of_topic(&&it.schema, &it.name)).map(|it| &it.schema)
}

/// Copies of each of a topic's partitions.
fn replicas(topic: &DesiredTopic, names: &Names) -> i16 {
    topic.replication.as_ref().map_or(names.replication, |declared| declared.value)
}
