//! Which port each part listens on: the pinned default, or a free one that
//! `stack.json` remembers.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::{part::Part, versions};

/// What to do about a default port that somebody else holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortChoice {
    /// Use the pinned ports, and refuse to start when one is taken.
    Default,
    /// Pick free ports, once; later starts use the same.
    Free,
}

/// The ports of one stack, by listener.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports(BTreeMap<String, u16>);

/// The listeners of a part: the name in `stack.json` and the key in `dev/versions.env`.
fn listeners(part: Part) -> &'static [(&'static str, &'static str)] {
    match part {
        Part::Postgres => &[("postgres", "POSTGRES_PORT")],
        Part::Kafka => &[("kafka", "KAFKA_PORT"), ("kafka-controller", "KAFKA_CONTROLLER_PORT")],
        Part::Registry => &[("registry", "REGISTRY_PORT")],
        Part::Connect => &[("connect", "CONNECT_PORT")],
        Part::EventStore => &[("event-store", "EVENT_STORE_PORT")],
        Part::Projector => &[("projector", "PROJECTOR_PORT")],
        Part::SagaOrchestrator => &[("saga-orchestrator", "SAGA_ORCHESTRATOR_PORT")],
        Part::AlertCorrelator => &[("alert-correlator", "ALERT_CORRELATOR_PORT")],
    }
}

impl Ports {
    /// The port of a listener, once [`Ports::settle`] has chosen it.
    pub fn get(&self, listener: &str) -> Result<u16> {
        self.0.get(listener).copied().with_context(|| format!("no port is assigned to {listener}; run `spina up`"))
    }

    /// Chooses a port for every listener of `parts`, none of which runs now, and
    /// makes sure that nobody else holds it.
    pub fn settle(&mut self, parts: &[Part], choice: PortChoice) -> Result<()> {
        // Held until all are chosen, so that no free port is handed out twice.
        let mut held = Vec::new();
        for (part, name, key) in
            parts.iter().flat_map(|&part| listeners(part).iter().map(move |&(name, key)| (part, name, key)))
        {
            let wanted = match (self.0.get(name), choice) {
                (Some(&port), _) => port,
                (None, PortChoice::Default) => versions::port(key)?,
                (None, PortChoice::Free) => 0,
            };
            let listener = match (listen(wanted), choice) {
                (Ok(listener), _) => listener,
                (Err(_), PortChoice::Free) => listen(0).context("find a free port")?,
                (Err(error), PortChoice::Default) => bail!(taken(part, wanted, &error)),
            };
            let port = listener.local_addr().context("read the chosen port")?.port();
            self.0.insert(name.to_owned(), port);
            held.push(listener);
        }
        Ok(())
    }
}

fn listen(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
}

fn taken(part: Part, port: u16, error: &std::io::Error) -> String {
    format!(
        "port {port} of 127.0.0.1, wanted for {part}, is not available ({error}); \
         stop what uses it (`ss -ltnp sport = :{port}` names it), \
         or run `spina up --free-ports` to let Spina choose other ports"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named_together_with_the_way_out() {
        let somebody = listen(0).unwrap();
        let port = somebody.local_addr().unwrap().port();
        let mut ports = Ports(BTreeMap::from([("registry".to_owned(), port)]));

        let refusal = ports.settle(&[Part::Registry], PortChoice::Default).unwrap_err();

        let text = refusal.to_string();
        assert!(text.contains(&port.to_string()) && text.contains("--free-ports"), "{text}");
    }

    #[test]
    fn free_ports_leave_a_taken_port_and_stay_the_same_afterwards() {
        let somebody = listen(0).unwrap();
        let port = somebody.local_addr().unwrap().port();
        let mut ports = Ports(BTreeMap::from([("kafka".to_owned(), port)]));

        ports.settle(&Part::SERVERS, PortChoice::Free).unwrap();
        assert_ne!(ports.get("kafka").unwrap(), port);
        let first = ports.clone();
        ports.settle(&Part::SERVERS, PortChoice::Free).unwrap();

        assert_eq!(ports, first);
        assert_eq!(ports.0.len(), 4);
    }
}
