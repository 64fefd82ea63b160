//! The schema registry: Apicurio, with its content in our PostgreSQL, so that
//! schemas outlive a restart.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{launch, part::Part, readiness, state::Stack, versions::version};

const START_LIMIT: Duration = Duration::from_secs(120);

/// Brings the registry up from its unpacked application, unless it runs.
pub async fn up(stack: &Stack, app: &Path) -> Result<()> {
    let endpoints = stack.endpoints().context("find the registry's address")?;
    let subjects = format!("{}/subjects", endpoints.registry);
    let http = readiness::http_client()?;
    let prepare = async || command(stack, app);
    launch::bring_up(stack, Part::Registry, START_LIMIT, prepare, || readiness::answers(&http, &subjects)).await
}

fn command(stack: &Stack, app: &Path) -> Result<Command> {
    let port = stack.port("registry")?;
    let postgres = stack.port("postgres")?;
    let mut java = Command::new(launch::program("java", &[])?);
    java.current_dir(stack.dir())
        .args(["-Xms64m", "-Xmx512m", "-Djava.awt.headless=true"])
        .arg("-Dquarkus.http.host=127.0.0.1")
        .arg(format!("-Dquarkus.http.port={port}"))
        .arg("-Dapicurio.storage.kind=sql")
        .arg("-Dapicurio.storage.sql.kind=postgresql")
        .arg(format!("-Dapicurio.datasource.url=jdbc:postgresql://127.0.0.1:{postgres}/registry"))
        // The defaults would hold 20 connections from the start and 100 at most.
        .args(["-Dapicurio.datasource.jdbc.initial-size=1", "-Dapicurio.datasource.jdbc.min-size=1"])
        .arg("-Dapicurio.datasource.jdbc.max-size=20")
        // The server trusts the loopback interface; the property must not be empty.
        .args(["-Dapicurio.datasource.username=spina", "-Dapicurio.datasource.password=unused"])
        .arg("-jar")
        .arg(runner(app)?);
    Ok(java)
}

fn runner(app: &Path) -> Result<PathBuf> {
    let version = version("REGISTRY_VERSION")?;
    Ok(app.join(format!("apicurio-registry-app-{version}-runner.jar")))
}
