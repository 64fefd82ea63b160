//! Which process is ours. A process id alone is recycled by the kernel; together
//! with the start time and the boot it names one process for ever.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

const POLL: Duration = Duration::from_millis(50);

/// One process that this stack started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The process id.
    pub pid: u32,
    /// Start time in clock ticks since boot (`proc_pid_stat(5)`, field 22).
    started_ticks: u64,
    boot_id: String,
}

impl Identity {
    /// The identity of a process that runs now.
    pub fn of(pid: u32) -> Result<Self> {
        let Some(started_ticks) = started_ticks(pid) else {
            bail!("process {pid} is gone");
        };
        let boot_id = boot_id()?;
        Ok(Self { pid, started_ticks, boot_id })
    }

    /// Whether this very process still runs. A zombie does not.
    pub fn is_alive(&self) -> bool {
        started_ticks(self.pid) == Some(self.started_ticks) && boot_id().is_ok_and(|boot| boot == self.boot_id)
    }

    /// Ends the process at once, as a crash would.
    pub async fn kill(&self) -> Result<()> {
        self.send(Signal::KILL)?;
        if self.gone_within(Duration::from_secs(10)).await {
            return Ok(());
        }
        bail!("process {} does not end on SIGKILL", self.pid)
    }

    /// Asks the process to end with `signal`, and ends it after `patience`.
    pub(super) async fn stop(&self, signal: Signal, patience: Duration) -> Result<()> {
        self.send(signal)?;
        if self.gone_within(patience).await {
            return Ok(());
        }
        self.kill().await
    }

    /// The descriptor is opened first and the identity checked after, so the
    /// signal cannot reach a process that took over the id in between.
    fn send(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        let pid = pid.with_context(|| format!("{} is not a process id", self.pid))?;
        let process = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(process) => process,
            Err(Errno::SRCH) => return Ok(()),
            Err(error) => return Err(error).with_context(|| format!("open process {}", self.pid)),
        };
        if !self.is_alive() {
            return Ok(());
        }
        match pidfd_send_signal(&process, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("signal process {}", self.pid)),
        }
    }

    async fn gone_within(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        while self.is_alive() {
            if Instant::now() >= deadline {
                return false;
            }
            sleep(POLL).await;
        }
        true
    }
}

/// `None` when there is no such process, or only its zombie. A dead main thread
/// with others still on their way out is not yet a zombie: it holds its files.
fn started_ticks(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the name in parentheses and may itself contain anything.
    let (_, after_name) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let (state, threads) = (*fields.first()?, *fields.get(17)?);
    if matches!(state, "Z" | "X") && matches!(threads, "0" | "1") {
        return None;
    }
    fields.get(19)?.parse().ok()
}

fn boot_id() -> Result<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").context("read the boot id")?;
    Ok(boot.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[tokio::test]
    async fn a_process_that_took_over_the_id_is_left_alone() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let mut earlier = Identity::of(child.id()).unwrap();
        earlier.started_ticks -= 1;

        earlier.kill().await.unwrap();

        assert!(child.try_wait().unwrap().is_none());
        Identity::of(child.id()).unwrap().kill().await.unwrap();
        child.wait().unwrap();
    }

    #[tokio::test]
    async fn a_stopped_process_is_gone_even_as_a_zombie() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let process = Identity::of(child.id()).unwrap();
        assert!(process.is_alive());

        process.stop(Signal::TERM, Duration::from_secs(5)).await.unwrap();

        assert!(!process.is_alive());
        child.wait().unwrap();
    }
}
