//! Where the parts of a stack can be reached.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::{DEFAULT_DIR, part::Part, ports::Ports, state::Stack};

/// Addresses of one stack, as clients write them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    /// Kafka's bootstrap servers: `host:port`.
    pub kafka: String,
    /// The registry's Confluent-compatible API, without a slash at the end.
    pub registry: String,
    /// A `postgres://` URL of the database `spina`.
    pub postgres: String,
    /// The REST API of the Connect worker, without a slash at the end, once one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<String>,
    /// Base URLs of the services by name, without a slash at the end.
    pub services: BTreeMap<String, String>,
}

impl Endpoints {
    /// Reads the endpoints of the stack in `dir`, or in `.spina`.
    pub fn discover(dir: Option<&Path>) -> Result<Self> {
        let dir = dir.unwrap_or(Path::new(DEFAULT_DIR));
        Stack::load(dir)?
            .endpoints()
            .with_context(|| format!("no stack is described in {}; run `spina up`", dir.display()))
    }

    /// The base URL of one service.
    pub fn service(&self, part: Part) -> Result<&str> {
        self.services
            .get(part.name())
            .map(String::as_str)
            .with_context(|| format!("{part} has no address yet; run `spina up`"))
    }

    pub(super) fn of(ports: &Ports) -> Result<Self> {
        let services = Part::SERVICES
            .iter()
            .filter_map(|part| Some((part.name(), ports.get(part.name()).ok()?)))
            .map(|(name, port)| (name.to_owned(), format!("http://127.0.0.1:{port}")))
            .collect();
        Ok(Self {
            kafka: format!("127.0.0.1:{}", ports.get("kafka")?),
            registry: format!("http://127.0.0.1:{}/apis/ccompat/v7", ports.get("registry")?),
            postgres: format!("postgres://spina@127.0.0.1:{}/spina", ports.get("postgres")?),
            connect: ports.get("connect").ok().map(|port| format!("http://127.0.0.1:{port}")),
            services,
        })
    }
}
