//! The parts of the stack: three servers, a Connect worker where it is asked for, and four services.

use std::fmt;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

/// One process of the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// PostgreSQL: read models, archive, checkpoints, and the registry's content.
    Postgres,
    /// The Kafka broker and controller in one process.
    Kafka,
    /// The schema registry.
    Registry,
    /// The Kafka Connect worker.
    Connect,
    /// The service that takes commands and events.
    EventStore,
    /// The service that keeps read models.
    Projector,
    /// The service that runs sagas.
    SagaOrchestrator,
    /// The service that groups alerts into incidents.
    AlertCorrelator,
}

impl Part {
    /// The servers, in the order in which they can be started.
    pub const SERVERS: [Self; 3] = [Self::Postgres, Self::Kafka, Self::Registry];

    /// The services; they need every server and not each other.
    pub const SERVICES: [Self; 4] = [Self::EventStore, Self::Projector, Self::SagaOrchestrator, Self::AlertCorrelator];

    /// The name in messages, log file names and `stack.json`; of a service also its binary's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Kafka => "kafka",
            Self::Registry => "registry",
            Self::Connect => "connect",
            Self::EventStore => "event-store",
            Self::Projector => "projector",
            Self::SagaOrchestrator => "saga-orchestrator",
            Self::AlertCorrelator => "alert-correlator",
        }
    }

    /// The service called `name`.
    pub fn service(name: &str) -> Result<Self> {
        let Some(service) = Self::SERVICES.into_iter().find(|it| it.name() == name) else {
            let known = Self::SERVICES.map(Self::name).join(", ");
            bail!("no service is called '{name}'; there are {known}");
        };
        Ok(service)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}
