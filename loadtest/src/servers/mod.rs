//! The servers that are there already, and the processes that are started for a run.

mod child;
mod sql;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use hyper::StatusCode;
use serde::Deserialize;
use tokio::process::Command;

use crate::client::HttpClient;
pub use child::Child;
pub use sql::Sql;

/// How long the archive may lag behind an arm.
const ARCHIVE_TIMEOUT: Duration = Duration::from_secs(180);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Kafka, the registry and PostgreSQL, as `dev/with-servers` tells them.
#[derive(Debug, Clone)]
pub struct Servers {
    /// `host:port`.
    pub kafka: String,
    /// Base URL of the registry's Confluent API.
    pub registry: String,
    /// URL of the database.
    pub postgres: String,
    stack: Option<PathBuf>,
}

/// The part of `stack.json` that is read here.
#[derive(Debug, Deserialize)]
struct Stack {
    processes: BTreeMap<String, Process>,
}

#[derive(Debug, Deserialize)]
struct Process {
    pid: u32,
}

impl Servers {
    /// From the environment.
    pub fn from_env() -> anyhow::Result<Self> {
        let var = |name| std::env::var(name).with_context(|| format!("{name} is not set; run it by dev/with-servers"));
        Ok(Self {
            kafka: var("SPINA_TEST_KAFKA")?,
            registry: var("SPINA_TEST_REGISTRY")?,
            postgres: var("SPINA_TEST_POSTGRES")?,
            stack: std::env::var_os("SPINA_TEST_STACK").map(PathBuf::from),
        })
    }

    /// Process id of the broker, if the stack's folder tells it.
    pub fn kafka_pid(&self) -> Option<u32> {
        let text = std::fs::read(self.stack.as_ref()?.join("stack.json")).ok()?;
        let stack: Stack = serde_json::from_slice(&text).ok()?;
        stack.processes.get("kafka").map(|kafka| kafka.pid)
    }

    /// Makes topics and schemas of our contexts.
    pub async fn apply_topology(&self) -> anyhow::Result<()> {
        let mut command = self.command("spina")?;
        let output = command.args(["topology", "apply"]).output().await.context("run spina topology apply")?;
        let printed = [output.stdout, output.stderr].concat();
        ensure!(output.status.success(), "spina topology apply: {}", String::from_utf8_lossy(&printed));
        Ok(())
    }

    /// Starts the event-store with our contexts.
    pub async fn start_event_store(&self, logs: &Path) -> anyhow::Result<Child> {
        Child::start(self.command("event-store")?, "event-store", free_address()?, logs).await
    }

    /// Starts the projector with the context `books`.
    pub async fn start_projector(&self, logs: &Path) -> anyhow::Result<Child> {
        Child::start(self.command("projector")?, "projector", free_address()?, logs).await
    }

    /// Starts the echo.
    pub async fn start_echo(&self, logs: &Path) -> anyhow::Result<Child> {
        Child::start(self.command("loadtest-echo")?, "loadtest-echo", free_address()?, logs).await
    }

    /// Starts a service with declarations of its own, which are applied before. They lie in `topology` and `schemas` below
    /// the folder.
    pub async fn start_declared(&self, name: &'static str, declared: &Path, logs: &Path) -> anyhow::Result<Child> {
        let ours = |mut command: Command| {
            command.env("SPINA_TOPOLOGY_DIR", declared.join("topology"));
            command.env("SPINA_SCHEMAS_DIR", declared.join("schemas"));
            command
        };
        let output = ours(self.command("spina")?).args(["topology", "apply"]).output().await;
        let output = output.context("run spina topology apply")?;
        let printed = [output.stdout, output.stderr].concat();
        ensure!(output.status.success(), "spina topology apply: {}", String::from_utf8_lossy(&printed));
        Child::start(ours(self.command(name)?), name, free_address()?, logs).await
    }

    /// A program of ours, with nothing of our environment but what it needs. It ends with us.
    fn command(&self, program: &str) -> anyhow::Result<Command> {
        let own = std::env::current_exe().context("find our own executable")?;
        let binary = own.with_file_name(program);
        ensure!(binary.is_file(), "{} is not built; cargo build --bins, with the same profile", binary.display());
        let ours = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new(binary);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SPINA_") {
                command.env_remove(name);
            }
        }
        command
            .env("SPINA_KAFKA", &self.kafka)
            .env("SPINA_REGISTRY_URL", &self.registry)
            .env("SPINA_TOPOLOGY_DIR", ours.join("topology"))
            .env("SPINA_SCHEMAS_DIR", ours.join("schemas"))
            .env("SPINA_LOG", "warn")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        if program != "spina" {
            command.env("SPINA_POSTGRES_URL", &self.postgres);
        }
        Ok(command)
    }
}

/// A port that nobody holds at the moment.
fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")?;
    listener.local_addr().context("find a free port")
}

/// Waits until the event-store has archived everything, so that it does not do so while the next arm is measured.
pub async fn wait_for_archive(event_store: SocketAddr) -> anyhow::Result<()> {
    let lag = async {
        loop {
            let (status, page) = HttpClient::connect(event_store).await?.get("/metrics").await?;
            ensure!(status == StatusCode::OK, "/metrics answered {status}");
            if all_archived(&String::from_utf8_lossy(&page)) {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(ARCHIVE_TIMEOUT, lag).await.context("wait for the archive")?
}

/// The tails are empty, and nothing was committed that has not yet come into one.
fn all_archived(page: &str) -> bool {
    let sum = |metric: &str| -> f64 {
        let lines = page.lines().filter(|line| line.strip_prefix(metric).is_some_and(|rest| rest.starts_with('{')));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    };
    sum("spina_event_store_unarchived_events") == 0.0
        && sum("spina_event_store_archived_events_total") >= sum("spina_event_store_events_total")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_is_whole_when_no_partition_lags() {
        let page = |unarchived: u32, archived: u32| {
            format!(
                "# TYPE spina_event_store_unarchived_events gauge\n\
                 spina_event_store_unarchived_events{{context=\"bench\",partition=\"0\"}} {unarchived}\n\
                 spina_event_store_archived_events_total{{context=\"bench\",partition=\"0\"}} {archived}\n\
                 spina_event_store_events_total{{context=\"bench\",partition=\"0\"}} 5\n\
                 spina_event_store_events_total{{context=\"bench\",partition=\"1\"}} 4\n"
            )
        };
        assert!(all_archived(&page(0, 9)));
        assert!(!all_archived(&page(2, 9)) && !all_archived(&page(0, 7)));
    }
}
