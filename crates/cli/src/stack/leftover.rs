//! What a killed PostgreSQL leaves behind: sessions that have not noticed yet, and
//! a lock file that names the dead server.
//!
//! PostgreSQL itself clears a stale lock file, but takes a zombie for a living
//! server, and where nobody reaps orphans (containers without an init process)
//! the zombie stays for ever.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::time::{Instant, sleep};

use super::identity::Identity;

const PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(50);

/// Waits for the sessions to end, and removes the lock file of a server that is a zombie.
pub async fn clear(data: &Path) -> Result<()> {
    let data = &fs::canonicalize(data).context("find PostgreSQL's data folder")?;
    let deadline = Instant::now() + PATIENCE;
    while let Some(pid) = living_inside(data)? {
        ensure!(
            Instant::now() < deadline,
            "process {pid} still works in {}, and this stack did not start it; stop it first",
            data.display()
        );
        sleep(POLL).await;
    }
    let lock = data.join("postmaster.pid");
    let Ok(text) = fs::read_to_string(&lock) else { return Ok(()) };
    let owner: Option<u32> = text.lines().next().and_then(|pid| pid.trim().parse().ok());
    match owner {
        Some(pid) if Identity::of(pid).is_err() => {
            fs::remove_file(&lock).with_context(|| format!("remove {}", lock.display()))
        }
        Some(_) | None => Ok(()),
    }
}

/// Every PostgreSQL process works in its data folder.
fn living_inside(data: &Path) -> Result<Option<u32>> {
    let processes = fs::read_dir("/proc").context("list the processes")?;
    let inside = processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .find(|pid| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == data));
    Ok(inside)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[tokio::test]
    async fn the_lock_of_a_zombie_is_removed_and_that_of_the_living_is_kept() {
        let data = tempfile::tempdir().unwrap();
        let lock = data.path().join("postmaster.pid");
        let mut server = Command::new("sleep").arg("60").spawn().unwrap();
        fs::write(&lock, format!("{}\n{}\n", server.id(), data.path().display())).unwrap();

        clear(data.path()).await.unwrap();
        assert!(lock.exists());
        Identity::of(server.id()).unwrap().kill().await.unwrap();
        clear(data.path()).await.unwrap();

        assert!(!lock.exists());
        server.wait().unwrap();
    }
}
