//! Properties and ports of a broker.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use super::ClusterOptions;
use crate::stack::{free_port, root};

/// Where a broker listens, on 127.0.0.1.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    /// For clients and other brokers.
    pub direct: u16,
    /// For the proxy.
    pub proxied: u16,
    /// Where the proxy listens for this broker.
    pub proxy: u16,
    /// For controllers.
    pub controller: u16,
}

impl Ports {
    /// Ports that nobody listens on now.
    pub fn choose() -> Self {
        Self { direct: free_port(), proxied: free_port(), proxy: free_port(), controller: free_port() }
    }
}

/// The properties of broker `node` (from 1): those of `spina up`, and what differs.
pub(super) fn properties(node: usize, all: &[Ports], dir: &Path, options: &ClusterOptions) -> String {
    let own = all[node - 1];
    let mut text = fs::read_to_string(root().join("dev/kafka/server.properties")).unwrap();
    for (word, value) in [
        ("@KAFKA_PORT@", own.direct.to_string()),
        ("@KAFKA_CONTROLLER_PORT@", own.controller.to_string()),
        ("@DATA_DIR@", dir.join("data").display().to_string()),
    ] {
        text = text.replace(word, &value);
    }
    // The last one of equal names wins.
    for (name, value) in differing(node, all, options) {
        writeln!(text, "{name}={value}").unwrap();
    }
    text
}

fn differing(node: usize, all: &[Ports], options: &ClusterOptions) -> Vec<(String, String)> {
    let own = all[node - 1];
    let voters: Vec<String> =
        (1..).zip(all).map(|(id, ports)| format!("{id}@127.0.0.1:{}", ports.controller)).collect();
    let mut listeners = format!("PLAINTEXT://127.0.0.1:{}", own.direct);
    let mut advertised = listeners.clone();
    if options.proxied {
        write!(listeners, ",PROXIED://127.0.0.1:{}", own.proxied).unwrap();
        write!(advertised, ",PROXIED://127.0.0.1:{}", own.proxy).unwrap();
    }
    write!(listeners, ",CONTROLLER://127.0.0.1:{}", own.controller).unwrap();
    let replicas = all.len();
    let needed = replicas.div_ceil(2);
    let mut set: Vec<(String, String)> = [
        ("node.id", node.to_string()),
        ("listeners", listeners),
        ("advertised.listeners", advertised),
        ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned()),
        // Voters that never change: three disks can be formatted as one and be copied.
        ("controller.quorum.bootstrap.servers", String::new()),
        ("controller.quorum.voters", voters.join(",")),
        ("default.replication.factor", replicas.to_string()),
        ("min.insync.replicas", needed.to_string()),
        ("offsets.topic.replication.factor", replicas.to_string()),
        ("transaction.state.log.replication.factor", replicas.to_string()),
        ("transaction.state.log.min.isr", needed.to_string()),
        ("share.coordinator.state.topic.replication.factor", replicas.to_string()),
        ("share.coordinator.state.topic.min.isr", needed.to_string()),
        // A dead broker is noticed in seconds, as are members of a group.
        ("broker.session.timeout.ms", "3000".to_owned()),
        ("broker.heartbeat.interval.ms", "500".to_owned()),
        ("log.cleaner.dedupe.buffer.size", "16777216".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    set.extend(options.properties.iter().cloned());
    set
}
