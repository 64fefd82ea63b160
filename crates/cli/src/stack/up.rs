//! `spina up`: everything that does not run yet, started and checked.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use futures::future::join_all;

use super::artifacts::Artifacts;
use super::part::Part;
use super::ports::PortChoice;
use super::state::Stack;
use super::{DEFAULT_DIR, Endpoints, connect, kafka, postgres, progress, registry, services};

/// Start Kafka, the registry, PostgreSQL and the services, whatever of them does not run yet
#[derive(Debug, Args)]
pub struct UpArgs {
    /// Folder of the stack's data, logs and stack.json
    #[arg(long, default_value = DEFAULT_DIR)]
    dir: PathBuf,
    /// Choose free ports instead of failing on a taken one; later starts reuse them
    #[arg(long)]
    free_ports: bool,
    /// Start a Kafka Connect worker as well, with Debezium and the file connectors
    #[arg(long)]
    connect: bool,
    /// Leave the four services alone
    #[arg(long)]
    servers_only: bool,
}

impl UpArgs {
    /// Brings the stack up and says where it is.
    pub async fn run(self) -> Result<()> {
        let stack = Stack::load(&self.dir)?;
        let ports = if self.free_ports { PortChoice::Free } else { PortChoice::Default };
        let mut endpoints = servers_up(&stack, ports).await?;
        if self.connect {
            endpoints = connect_up(&stack, ports).await?;
        }
        if !self.servers_only {
            endpoints = services_up(&stack, ports).await?;
        }
        progress::say(format_args!("kafka     {}", endpoints.kafka));
        progress::say(format_args!("registry  {}", endpoints.registry));
        progress::say(format_args!("postgres  {}", endpoints.postgres));
        if let Some(connect) = &endpoints.connect {
            progress::say(format_args!("connect   {connect}"));
        }
        for (name, url) in endpoints.services.iter().filter(|_| !self.servers_only) {
            progress::say(format_args!("{name}  {url}"));
        }
        Ok(())
    }
}

/// Brings the three servers up: Kafka beside PostgreSQL, and the registry on top of the latter.
pub async fn servers_up(stack: &Stack, ports: PortChoice) -> Result<Endpoints> {
    let _lock = stack.lock()?;
    stack.settle_ports(&Part::SERVERS, ports)?;
    let artifacts = Artifacts::ensure().await?;
    let storage = async {
        postgres::up(stack).await?;
        registry::up(stack, &artifacts.registry).await
    };
    // Joined to the end: a failure on one side must not abandon the other half-way.
    let (kafka, storage) = tokio::join!(kafka::up(stack, &artifacts.kafka), storage);
    together([kafka, storage])?;
    addresses(stack)
}

/// Brings the Connect worker up. The servers must run.
pub async fn connect_up(stack: &Stack, ports: PortChoice) -> Result<Endpoints> {
    let _lock = stack.lock()?;
    stack.settle_ports(&[Part::Connect], ports)?;
    connect::up(stack).await?;
    addresses(stack)
}

/// Brings the four services up, side by side. The servers must run.
pub async fn services_up(stack: &Stack, ports: PortChoice) -> Result<Endpoints> {
    let _lock = stack.lock()?;
    stack.settle_ports(&Part::SERVICES, ports)?;
    together(join_all(Part::SERVICES.map(|service| services::up(stack, service))).await)?;
    addresses(stack)
}

/// Brings one service up, for example after it was killed.
pub async fn service_up(stack: &Stack, service: Part, ports: PortChoice) -> Result<Endpoints> {
    let _lock = stack.lock()?;
    stack.settle_ports(&[service], ports)?;
    services::up(stack, service).await?;
    addresses(stack)
}

fn addresses(stack: &Stack) -> Result<Endpoints> {
    stack.endpoints().context("read the addresses of the stack")
}

/// One error that names every failure.
fn together(outcomes: impl IntoIterator<Item = Result<()>>) -> Result<()> {
    let failures: Vec<String> = outcomes.into_iter().filter_map(|it| Some(format!("{:#}", it.err()?))).collect();
    if failures.is_empty() {
        return Ok(());
    }
    bail!(failures.join("\n"))
}
