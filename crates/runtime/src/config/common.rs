//! Settings that every service has, under the same names.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::http::HttpLimits;
use crate::telemetry::TelemetryConfig;

/// Form of the log lines on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line, for machines.
    Json,
    /// For people at a terminal.
    Text,
}

/// Settings shared by all services. Services flatten it into their own struct.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CommonConfig {
    /// Address of the HTTP server.
    pub http_listen: SocketAddr,
    /// Longest time a request may take until its response begins, in milliseconds; streaming routes are exempt.
    pub http_timeout_ms: u64,
    /// Largest request body in bytes; streaming routes are exempt.
    pub http_body_bytes_max: usize,
    /// Most HTTP connections open at once; further ones wait in the accept queue.
    pub http_connections_max: usize,
    /// How long a client may take nothing of a response that waits for it, in milliseconds; then it is cut off.
    pub http_stall_ms: u64,
    /// Kafka bootstrap servers, comma separated `host:port`.
    pub kafka: String,
    /// Base URL of the schema registry (Confluent API).
    pub registry_url: String,
    /// PostgreSQL connection URL.
    pub postgres_url: String,
    /// Folder of the contexts' topology files.
    pub topology_dir: PathBuf,
    /// Folder of the contexts' Avro schemas.
    pub schemas_dir: PathBuf,
    /// Log filter, such as `info,spina_log=debug`.
    pub log: String,
    /// Form of the log lines.
    pub log_format: LogFormat,
    /// OTLP gRPC endpoint for traces, such as `http://localhost:4317`; none or empty: no export.
    pub otlp_endpoint: Option<String>,
    /// Time to finish work after a stop signal, in milliseconds.
    pub drain_ms: u64,
}

impl CommonConfig {
    /// The defaults, with the HTTP server on the given local port.
    #[must_use]
    pub fn on_port(port: u16) -> Self {
        Self {
            http_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            http_timeout_ms: 30_000,
            http_body_bytes_max: 4 << 20,
            http_connections_max: 10_000,
            http_stall_ms: 30_000,
            kafka: "127.0.0.1:9092".into(),
            registry_url: "http://127.0.0.1:8081".into(),
            postgres_url: "postgres://spina:spina@127.0.0.1:5432/spina".into(),
            topology_dir: "topology".into(),
            schemas_dir: "schemas".into(),
            log: "info".into(),
            log_format: LogFormat::Json,
            otlp_endpoint: None,
            // With the bounded flush of telemetry after it, the whole stop stays under 5 s.
            drain_ms: 4_000,
        }
    }

    /// The part that concerns logs and traces.
    #[must_use]
    pub fn telemetry(&self) -> TelemetryConfig {
        TelemetryConfig {
            log: self.log.clone(),
            log_format: self.log_format,
            otlp_endpoint: self.otlp_endpoint.clone().filter(|endpoint| !endpoint.is_empty()),
        }
    }

    /// The part that concerns HTTP.
    #[must_use]
    pub fn http_limits(&self) -> HttpLimits {
        HttpLimits {
            timeout: Duration::from_millis(self.http_timeout_ms),
            body_bytes_max: self.http_body_bytes_max,
            connections_max: self.http_connections_max,
            stall: Duration::from_millis(self.http_stall_ms),
        }
    }

    /// Time to finish work after a stop signal.
    #[must_use]
    pub fn drain(&self) -> Duration {
        Duration::from_millis(self.drain_ms)
    }
}
