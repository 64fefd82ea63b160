//! The four services: binaries beside our own, configured by environment variables.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{launch, part::Part, readiness, state::Stack};

/// A service rebuilds its state from the log before it calls itself ready.
const START_LIMIT: Duration = Duration::from_secs(120);

/// Brings one service up, unless it runs, and waits until it is ready.
pub async fn up(stack: &Stack, service: Part) -> Result<()> {
    let endpoints = stack.endpoints().context("find the servers; run `spina up` first")?;
    let ready = format!("{}/health/ready", endpoints.service(service)?);
    let http = readiness::http_client()?;
    let prepare = async || command(stack, service);
    launch::bring_up(stack, service, START_LIMIT, prepare, || readiness::answers(&http, &ready)).await
}

fn command(stack: &Stack, service: Part) -> Result<Command> {
    let endpoints = stack.endpoints().context("find the servers; run `spina up` first")?;
    let port = stack.port(service.name())?;
    let mut command = Command::new(binary(service.name())?);
    for address in ["SPINA_EVENT_STORE_URL", "SPINA_PROJECTOR_URL", "SPINA_ALERT_CORRELATOR_URL", "SPINA_CONNECT_URL"] {
        // Meant for this command; a service refuses a setting that it does not know.
        command.env_remove(address);
    }
    command
        .env("SPINA_KAFKA", endpoints.kafka)
        .env("SPINA_REGISTRY_URL", endpoints.registry)
        .env("SPINA_POSTGRES_URL", endpoints.postgres)
        .env("SPINA_HTTP_LISTEN", format!("127.0.0.1:{port}"))
        .env("SPINA_TOPOLOGY_DIR", declarations("topology")?)
        .env("SPINA_SCHEMAS_DIR", declarations("schemas")?);
    if service == Part::AlertCorrelator {
        // It looks after the platform too.
        let all: Vec<&str> = endpoints.services.values().map(String::as_str).collect();
        command.env("SPINA_PROBE_SERVICES", all.join(","));
    }
    Ok(command)
}

/// Beside our own executable; a test's executable is one folder deeper.
fn binary(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("find our own executable")?;
    own.ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .with_context(|| format!("{name} is not built; run `make build` (cargo build --workspace)"))
}

fn declarations(name: &str) -> Result<PathBuf> {
    let folder = std::path::absolute(Path::new(name)).with_context(|| format!("find ./{name}"))?;
    ensure!(folder.is_dir(), "there is no folder ./{name}; run spina in the project's root");
    Ok(folder)
}
