//! Kafka Connect: one distributed worker with Debezium's PostgreSQL source and JDBC sink, the file connectors, and a
//! converter for Avro in the registry's framing.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::artifacts::ConnectArtifacts;
use super::{launch, part::Part, readiness, state::Stack, template};

const PROPERTIES: &str = include_str!("../../../../dev/connect/worker.properties");
const LOGGING: &str = include_str!("../../../../dev/kafka/log4j2.xml");

/// It scans its plugins before it answers.
const START_LIMIT: Duration = Duration::from_secs(180);

/// Brings the worker up, unless it runs.
pub async fn up(stack: &Stack) -> Result<()> {
    let artifacts = ConnectArtifacts::ensure().await?;
    let connectors = format!("http://127.0.0.1:{}/connectors", stack.port("connect")?);
    let http = readiness::http_client()?;
    let prepare = async || command(stack, &artifacts);
    launch::bring_up(stack, Part::Connect, START_LIMIT, prepare, || readiness::answers(&http, &connectors)).await
}

fn command(stack: &Stack, artifacts: &ConnectArtifacts) -> Result<Command> {
    let dir = stack.dir().join("connect");
    let (properties, logging) = (dir.join("worker.properties"), dir.join("log4j2.xml"));
    fs::create_dir_all(&dir)
        .and_then(|()| fs::write(&logging, LOGGING))
        .with_context(|| format!("configure Connect in {}", dir.display()))?;
    fs::write(&properties, settings(stack, &artifacts.plugins)?)
        .with_context(|| format!("write {}", properties.display()))?;
    let mut java = Command::new(launch::program("java", &[])?);
    java.current_dir(&dir)
        .args(["-Xms64m", "-Xmx512m", "-Djava.awt.headless=true"])
        .arg("-cp")
        .arg(artifacts.worker.join("*"))
        .arg(format!("-Dlog4j2.configurationFile={}", logging.display()))
        .arg("org.apache.kafka.connect.cli.ConnectDistributed")
        .arg(&properties)
        .env("SPINA_CONNECT_POSTGRES_HOST", "127.0.0.1")
        .env("SPINA_CONNECT_POSTGRES_PORT", stack.port("postgres")?.to_string())
        .env("SPINA_CONNECT_POSTGRES_USER", "spina")
        // The development server trusts the loopback interface; the property must not be empty.
        .env("SPINA_CONNECT_POSTGRES_PASSWORD", "unused")
        .env("SPINA_CONNECT_POSTGRES_DATABASE", "spina")
        .env("SPINA_CONNECT_REGISTRY_URL", format!("http://127.0.0.1:{}/apis/registry/v2", stack.port("registry")?));
    Ok(java)
}

fn settings(stack: &Stack, plugins: &[PathBuf]) -> Result<String> {
    let plugins: Vec<String> = plugins.iter().map(|folder| folder.display().to_string()).collect();
    template::fill(
        PROPERTIES,
        &[
            ("KAFKA_PORT", &stack.port("kafka")?.to_string()),
            ("CONNECT_PORT", &stack.port("connect")?.to_string()),
            ("REGISTRY_PORT", &stack.port("registry")?.to_string()),
            ("PLUGINS", &plugins.join(",")),
        ],
    )
}
