//! What `stack.json` remembers: which processes run, on which ports, at which addresses.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::endpoints::Endpoints;
use super::identity::Identity;
use super::part::Part;
use super::ports::{PortChoice, Ports};

/// One stack on this machine: a folder, and the processes that live in it.
#[derive(Debug)]
pub struct Stack {
    dir: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    ports: Ports,
    processes: BTreeMap<Part, Identity>,
    /// Derived from the ports; written for scripts that read the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    endpoints: Option<Endpoints>,
}

impl Stack {
    /// Reads the stack in `dir`; a folder without one gives a stack of which nothing runs.
    pub fn load(dir: &Path) -> Result<Self> {
        let dir = std::path::absolute(dir).context("find the stack's folder")?;
        let file = dir.join("stack.json");
        let state = match fs::read(&file) {
            Ok(text) => serde_json::from_slice(&text).with_context(|| format!("read {}", file.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => State::default(),
            Err(error) => return Err(error).with_context(|| format!("read {}", file.display())),
        };
        Ok(Self { dir, state: Mutex::new(state) })
    }

    /// The stack's folder, absolute.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The file that keeps what `part` prints.
    pub fn log(&self, part: Part) -> PathBuf {
        self.dir.join("logs").join(format!("{part}.log"))
    }

    /// The addresses, or `None` before the first start.
    pub fn endpoints(&self) -> Option<Endpoints> {
        self.state().endpoints.clone()
    }

    /// The process of `part`, if it runs.
    pub fn running(&self, part: Part) -> Option<Identity> {
        let process = self.state().processes.get(&part).cloned()?;
        process.is_alive().then_some(process)
    }

    pub(super) fn port(&self, listener: &str) -> Result<u16> {
        self.state().ports.get(listener)
    }

    /// Chooses and remembers the ports of those of `parts` that do not run.
    pub(super) fn settle_ports(&self, parts: &[Part], choice: PortChoice) -> Result<()> {
        let idle: Vec<Part> = parts.iter().copied().filter(|&part| self.running(part).is_none()).collect();
        let mut state = self.state();
        state.ports.settle(&idle, choice)?;
        state.endpoints = Some(Endpoints::of(&state.ports)?);
        self.save(&state)
    }

    pub(super) fn record(&self, part: Part, process: Identity) -> Result<()> {
        let mut state = self.state();
        state.processes.insert(part, process);
        self.save(&state)
    }

    pub(super) fn forget(&self, part: Part) -> Result<()> {
        let mut state = self.state();
        if state.processes.remove(&part).is_none() {
            return Ok(());
        }
        self.save(&state)
    }

    /// Keeps two commands from changing the same stack at once, until dropped.
    pub(super) fn lock(&self) -> Result<File> {
        fs::create_dir_all(self.dir.join("logs")).with_context(|| format!("create {}", self.dir.display()))?;
        let lock = File::create(self.dir.join("lock")).context("create the stack's lock")?;
        if lock.try_lock().is_err() {
            bail!("another `spina up` or `spina down` works on {}; wait for it", self.dir.display());
        }
        Ok(lock)
    }

    /// Nothing under the lock can panic half-way, so a poisoned lock is sound.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the file in one step: a reader sees the old or the new one.
    fn save(&self, state: &State) -> Result<()> {
        let text = serde_json::to_vec_pretty(state).context("write stack.json")?;
        let draft = self.dir.join("stack.json.new");
        fs::write(&draft, text)
            .and_then(|()| fs::rename(&draft, self.dir.join("stack.json")))
            .with_context(|| format!("write stack.json in {}", self.dir.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reloaded_stack_knows_its_processes_and_ports() {
        let dir = std::env::temp_dir().join(format!("spina-state-{}", std::process::id()));
        let stack = Stack::load(&dir).unwrap();
        assert!(stack.endpoints().is_none());
        let _lock = stack.lock().unwrap();
        stack.settle_ports(&Part::SERVERS, PortChoice::Free).unwrap();
        stack.record(Part::Kafka, Identity::of(std::process::id()).unwrap()).unwrap();

        let again = Stack::load(&dir).unwrap();

        assert_eq!(again.endpoints(), stack.endpoints());
        assert_eq!(again.running(Part::Kafka), stack.running(Part::Kafka));
        assert!(again.running(Part::Kafka).is_some() && again.running(Part::Registry).is_none());
        assert!(again.lock().is_err(), "two commands at once");
        fs::remove_dir_all(&dir).unwrap();
    }
}
