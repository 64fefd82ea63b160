//! A process of ours for the length of a run.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use hyper::StatusCode;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;

use crate::client::HttpClient;

/// How long it may take to become ready.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// How long it may take to end when it is told to.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// See the [module](self). Dropping it kills it.
#[derive(Debug)]
pub struct Child {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its process id.
    pub pid: u32,
    name: &'static str,
    log: PathBuf,
    process: tokio::process::Child,
}

impl Child {
    /// Starts it and waits until it is ready. What it prints goes to a file in `logs`.
    pub async fn start(
        mut command: Command,
        name: &'static str,
        address: SocketAddr,
        logs: &Path,
    ) -> anyhow::Result<Self> {
        let log = logs.join(format!("{name}.log"));
        let output = File::create(&log).with_context(|| format!("create {}", log.display()))?;
        let errors = output.try_clone().context("share the log file")?;
        let process = command
            .env("SPINA_HTTP_LISTEN", address.to_string())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .with_context(|| format!("start {name}"))?;
        let pid = process.id().with_context(|| format!("{name} ended at once"))?;
        let mut child = Self { address, pid, name, log, process };
        child.wait_until_ready().await?;
        Ok(child)
    }

    async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().context("look after a child")? {
                bail!("{} ended with {status}; see {}", self.name, self.log.display());
            }
            if let Ok(mut client) = HttpClient::connect(self.address).await
                && matches!(client.get("/health/ready").await, Ok((StatusCode::OK, _)))
            {
                return Ok(());
            }
            if began.elapsed() > START_TIMEOUT {
                bail!("{} is not ready after {START_TIMEOUT:?}; see {}", self.name, self.log.display());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Ends it at once, without a word.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        self.process.kill().await.with_context(|| format!("kill {}", self.name))
    }

    /// Tells it to end, and waits until it has.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).context("name a process")?;
        kill_process(pid, Signal::TERM).with_context(|| format!("stop {}", self.name))?;
        let ended = tokio::time::timeout(STOP_TIMEOUT, self.process.wait()).await;
        let status = ended.with_context(|| format!("{} does not stop", self.name))?.context("look after a child")?;
        anyhow::ensure!(status.success(), "{} ended with {status}; see {}", self.name, self.log.display());
        Ok(())
    }
}
