//! A Kafka cluster of a test's own: one broker or three, each of which can be killed, frozen and started again.
//!
//! ```text
//!   clients --bootstrap()--> PLAINTEXT  ┐
//!                                       ├ broker (also controller), its own process and folder
//!   clients --proxied()---> proxy -> PROXIED ┘   advertises the proxy, so these clients never get past it
//! ```
//!
//! The jars are those of the servers that the whole run shares. A broker ends when the cluster is dropped, and also when
//! the test process is killed ([`guardian`]).

mod broker;
mod guardian;
mod settings;

use std::path::PathBuf;

use rustix::process::Signal;

use crate::proxy::{Proxy, Route};
use crate::stack::Stack;
use broker::Broker;
pub use settings::Ports;

/// What a cluster is to be like.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// Brokers: 1, or 3 with everything replicated three times and two of them needed for a write.
    pub brokers: usize,
    /// Heap of each broker, in MiB.
    pub heap_mib: u32,
    /// Whether there is a proxy in front of each broker.
    pub proxied: bool,
    /// More broker properties, which win over the usual ones.
    pub properties: Vec<(String, String)>,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self { brokers: 1, heap_mib: 384, proxied: false, properties: Vec::new() }
    }
}

/// Brokers that run, or ran and can be started again on the same ports. Ends when dropped.
#[derive(Debug)]
pub struct Cluster {
    stack: Stack,
    brokers: Vec<Broker>,
    proxy: Option<Proxy>,
    dir: PathBuf,
}

impl Cluster {
    /// Starts a cluster and waits until it takes clients.
    ///
    /// # Panics
    /// When it does not, with the end of the broker's log.
    pub async fn start(stack: &Stack, options: &ClusterOptions) -> Self {
        assert!(matches!(options.brokers, 1 | 3), "a cluster has one broker or three");
        let dir = stack.folder(&format!("kafka-{}", uuid::Uuid::new_v4().simple()));
        let ports: Vec<Ports> = (0..options.brokers).map(|_| Ports::choose()).collect();
        let routes = ports.iter().map(|ports| Route { listen: ports.proxy, broker: ports.proxied });
        let proxy = if options.proxied { Some(Proxy::start(routes.collect()).await) } else { None };
        let brokers = broker::prepare(stack, &dir, &ports, options);
        let mut cluster = Self { stack: stack.clone(), brokers, proxy, dir };
        for broker in 0..options.brokers {
            cluster.brokers[broker].start();
        }
        for broker in 0..options.brokers {
            cluster.ready(broker).await;
        }
        cluster
    }

    /// How many brokers it has, whether they run or not.
    pub fn size(&self) -> usize {
        self.brokers.len()
    }

    /// Bootstrap servers for clients that no proxy is to disturb.
    pub fn bootstrap(&self) -> String {
        self.addresses(|ports| ports.direct)
    }

    /// Bootstrap servers for clients that are to go through the proxy.
    ///
    /// # Panics
    /// When the cluster has no proxy.
    pub fn proxied(&self) -> String {
        assert!(self.proxy.is_some(), "the cluster was started without a proxy");
        self.addresses(|ports| ports.proxy)
    }

    /// The proxy.
    ///
    /// # Panics
    /// When the cluster has none.
    pub fn proxy(&self) -> &Proxy {
        self.proxy.as_ref().expect("the cluster was started with a proxy")
    }

    /// The shared servers, with this cluster for Kafka.
    pub fn stack(&self) -> Stack {
        self.stack.with_kafka(self.bootstrap())
    }

    /// The shared servers, with this cluster behind its proxy for Kafka.
    pub fn proxied_stack(&self) -> Stack {
        self.stack.with_kafka(self.proxied())
    }

    /// `kill -9`.
    pub fn kill(&mut self, broker: usize) {
        self.brokers[broker].kill();
    }

    /// SIGSTOP: the broker keeps its connections and says nothing.
    pub fn freeze(&mut self, broker: usize) {
        self.brokers[broker].signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn thaw(&mut self, broker: usize) {
        self.brokers[broker].signal(Signal::CONT);
    }

    /// Starts a killed broker again, with what its disk has. It is not ready yet.
    pub fn start_again(&mut self, broker: usize) {
        self.brokers[broker].start();
    }

    /// Waits until the broker takes clients.
    ///
    /// # Panics
    /// When it does not, with the end of its log.
    pub async fn ready(&mut self, broker: usize) {
        self.brokers[broker].ready().await;
    }

    fn addresses(&self, port: impl Fn(&Ports) -> u16) -> String {
        let addresses: Vec<String> =
            self.brokers.iter().map(|broker| format!("127.0.0.1:{}", port(broker.ports()))).collect();
        addresses.join(",")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for broker in &mut self.brokers {
            if std::thread::panicking() {
                eprintln!("{}", broker.tail());
            }
            broker.kill();
        }
        // A failed test keeps what the brokers wrote, as long as the stack keeps its folder.
        if !std::thread::panicking() && std::env::var_os("SPINA_TEST_KEEP").is_none() {
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}
