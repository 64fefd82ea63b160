//! Starting a process that outlives us.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::{identity::Identity, part::Part, progress, readiness, state::Stack};

/// Makes sure that `part` runs and answers: keeps the process that runs already,
/// or starts the command that `prepare` makes. Says so when done.
pub async fn bring_up<F>(
    stack: &Stack,
    part: Part,
    limit: Duration,
    prepare: impl AsyncFnOnce() -> Result<Command>,
    probe: impl Fn() -> F,
) -> Result<()>
where
    F: Future<Output = Result<()>>,
{
    let since = Instant::now();
    let log = stack.log(part);
    if let Some(process) = stack.running(part) {
        let answer = readiness::wait(part, &process, &log, limit, &probe).await;
        // One that ended meanwhile, say because it was just killed, is started anew.
        if process.is_alive() {
            answer?;
            progress::done(part, "was running, answered", since);
            return Ok(());
        }
    }
    let mut command = prepare().await?;
    let process = detached(part, &mut command, &log)?;
    stack.record(part, process.clone())?;
    readiness::wait(part, &process, &log, limit, &probe).await?;
    progress::done(part, "ready", since);
    Ok(())
}

/// Starts `command` in a process group of its own, deaf to our terminal, with
/// everything it prints in `log`. The log of the run before is kept beside it.
fn detached(part: Part, command: &mut Command, log: &Path) -> Result<Identity> {
    if log.exists() {
        fs::rename(log, log.with_extension("previous.log")).with_context(|| format!("set aside {}", log.display()))?;
    }
    let output = File::create(log).with_context(|| format!("create {}", log.display()))?;
    let errors = output.try_clone().context("share the log file")?;
    let child = command
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .process_group(0)
        .spawn()
        .with_context(|| format!("start {part}"))?;
    Identity::of(child.id()).with_context(|| format!("{part} ended at once{}", readiness::tail(log)))
}

/// Runs `command` to its end; a failure carries what it printed.
pub async fn to_end(what: &str, command: Command) -> Result<()> {
    let mut command = tokio::process::Command::from(command);
    let output = command.stdin(Stdio::null()).output().await.with_context(|| format!("run {what}"))?;
    if output.status.success() {
        return Ok(());
    }
    let printed = [output.stdout, output.stderr].concat();
    bail!("{what} failed ({}):\n{}", output.status, String::from_utf8_lossy(&printed).trim())
}

/// The program called `name` on the search path, or in one of the `extra` folders.
pub fn program(name: &str, extra: &[PathBuf]) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    extra
        .iter()
        .cloned()
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .with_context(|| format!("{name} is not installed; run `make install`"))
}
