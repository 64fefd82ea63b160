//! The Kafka broker: one KRaft node that is its own controller.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

use super::{launch, part::Part, state::Stack, template};

const PROPERTIES: &str = include_str!("../../../../dev/kafka/server.properties");
const LOGGING: &str = include_str!("../../../../dev/kafka/log4j2.xml");

/// After a crash the broker replays unflushed segments before it answers.
const START_LIMIT: Duration = Duration::from_secs(180);

/// Brings the broker up from `jars`, unless it runs.
pub async fn up(stack: &Stack, jars: &Path) -> Result<()> {
    let port = stack.port("kafka")?;
    let prepare = async || {
        let home = Home::of(stack);
        home.configure(stack)?;
        home.format(jars).await?;
        let mut broker = home.java(jars)?;
        broker
            .args(["-Xms256m", "-Xmx1g", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"])
            .arg("-XX:+ExplicitGCInvokesConcurrent")
            .arg("kafka.Kafka")
            .arg(&home.properties);
        Ok(broker)
    };
    launch::bring_up(stack, Part::Kafka, START_LIMIT, prepare, || has_unfenced_broker(port)).await
}

/// The files of the broker.
struct Home {
    dir: PathBuf,
    properties: PathBuf,
    logging: PathBuf,
}

impl Home {
    fn of(stack: &Stack) -> Self {
        let dir = stack.dir().join("kafka");
        Self { properties: dir.join("server.properties"), logging: dir.join("log4j2.xml"), dir }
    }

    fn configure(&self, stack: &Stack) -> Result<()> {
        let properties = template::fill(
            PROPERTIES,
            &[
                ("KAFKA_PORT", &stack.port("kafka")?.to_string()),
                ("KAFKA_CONTROLLER_PORT", &stack.port("kafka-controller")?.to_string()),
                ("DATA_DIR", &self.dir.join("data").display().to_string()),
            ],
        )?;
        fs::create_dir_all(&self.dir)
            .and_then(|()| fs::write(&self.properties, properties))
            .and_then(|()| fs::write(&self.logging, LOGGING))
            .with_context(|| format!("configure Kafka in {}", self.dir.display()))
    }

    /// Formats the storage once. The marker comes last: without it, whatever an
    /// interrupted attempt left behind is cleared first.
    async fn format(&self, jars: &Path) -> Result<()> {
        let marker = self.dir.join("formatted");
        if marker.exists() {
            return Ok(());
        }
        let storage = self.dir.join("data");
        if storage.exists() {
            fs::remove_dir_all(&storage).context("clear an unfinished format of Kafka")?;
        }
        let mut tool = self.java(jars)?;
        tool.args(["kafka.tools.StorageTool", "format", "--standalone", "--cluster-id"])
            .arg(Uuid::new_v4().to_string())
            .arg("--config")
            .arg(&self.properties);
        launch::to_end("formatting Kafka's storage", tool).await?;
        fs::write(&marker, "").context("mark Kafka's storage as formatted")
    }

    fn java(&self, jars: &Path) -> Result<Command> {
        let mut java = Command::new(launch::program("java", &[])?);
        java.current_dir(&self.dir)
            .arg("-cp")
            .arg(jars.join("*"))
            .arg(format!("-Dlog4j2.configurationFile={}", self.logging.display()))
            .arg("-Djava.awt.headless=true");
        Ok(java)
    }
}

/// Asks for the cluster's metadata (KIP-4, version 4, no topics). A broker that
/// still starts refuses, or knows of no broker that takes clients.
async fn has_unfenced_broker(port: u16) -> Result<()> {
    const REQUEST: [u8; 19] = [
        0, 0, 0, 15, // length of what follows
        0, 3, 0, 4, // Metadata, version 4
        0, 0, 0, 1, // correlation id
        0xff, 0xff, // no client id
        0, 0, 0, 0, // no topics
        0, // create none
    ];
    let mut broker = TcpStream::connect(("127.0.0.1", port)).await.context("connect to Kafka")?;
    broker.write_all(&REQUEST).await.context("ask Kafka for its brokers")?;
    let mut response = [0; 16];
    broker.read_exact(&mut response).await.context("read Kafka's brokers")?;
    let [.., a, b, c, d] = response;
    // length, correlation id, throttle time, count of brokers
    let brokers = i32::from_be_bytes([a, b, c, d]);
    ensure!(brokers > 0, "no broker takes clients yet");
    Ok(())
}
