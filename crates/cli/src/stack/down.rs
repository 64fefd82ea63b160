//! `spina down`: stops what this stack started, in the order of dependence, and nothing else.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use futures::future::try_join_all;
use rustix::process::Signal;

use super::part::Part;
use super::state::Stack;
use super::{DEFAULT_DIR, postgres, progress};

/// Stop everything that `spina up` started
#[derive(Debug, Args)]
pub struct DownArgs {
    /// Folder of the stack
    #[arg(long, default_value = DEFAULT_DIR)]
    dir: PathBuf,
    /// Delete all data, logs and remembered ports as well
    #[arg(long)]
    purge: bool,
}

/// What `down` leaves on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Data, logs and ports: the next `up` continues.
    Data,
    /// Nothing: the next `up` starts from scratch.
    Nothing,
}

impl DownArgs {
    /// Stops the stack.
    pub async fn run(self) -> Result<()> {
        let keep = if self.purge { Keep::Nothing } else { Keep::Data };
        down(&Stack::load(&self.dir)?, keep).await
    }
}

/// Stops the services, then the servers they need. Fine to call when nothing runs.
pub async fn down(stack: &Stack, keep: Keep) -> Result<()> {
    if !stack.dir().exists() {
        progress::say(format_args!("nothing runs in {}", stack.dir().display()));
        return Ok(());
    }
    let _lock = stack.lock()?;
    try_join_all(Part::SERVICES.map(|service| stop(stack, service))).await?;
    stop(stack, Part::Connect).await?;
    stop(stack, Part::Registry).await?;
    stop(stack, Part::Kafka).await?;
    stop(stack, Part::Postgres).await?;
    match keep {
        Keep::Data => Ok(()),
        Keep::Nothing => purge(stack),
    }
}

async fn stop(stack: &Stack, part: Part) -> Result<()> {
    if let Some(process) = stack.running(part) {
        let since = Instant::now();
        let (signal, patience) = farewell(part);
        process.stop(signal, patience).await.with_context(|| format!("stop {part}"))?;
        progress::done(part, "stopped", since);
    }
    stack.forget(part)
}

/// The signal that means "finish cleanly", and how long that may take.
fn farewell(part: Part) -> (Signal, Duration) {
    match part {
        // "Fast shutdown": ends sessions instead of waiting for them.
        Part::Postgres => (Signal::INT, Duration::from_secs(60)),
        Part::Kafka | Part::Connect => (Signal::TERM, Duration::from_secs(60)),
        Part::Registry | Part::EventStore | Part::Projector | Part::SagaOrchestrator | Part::AlertCorrelator => {
            (Signal::TERM, Duration::from_secs(10))
        }
    }
}

/// Removes what we made and leaves the folder alone if it holds anything else.
fn purge(stack: &Stack) -> Result<()> {
    remove(&postgres::home(stack))?;
    for name in ["kafka", "connect", "logs", "stack.json", "stack.json.new", "lock"] {
        remove(&stack.dir().join(name))?;
    }
    match fs::remove_dir(stack.dir()) {
        Err(error) if error.kind() != ErrorKind::DirectoryNotEmpty => {
            Err(error).with_context(|| format!("remove {}", stack.dir().display()))
        }
        Ok(()) | Err(_) => {
            progress::say(format_args!("removed the data in {}", stack.dir().display()));
            Ok(())
        }
    }
}

fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", path.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
