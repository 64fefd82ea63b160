//! The processes under test: event-stores that share a context, a projector, and brokers of their own.

use std::process::ExitStatus;
use std::time::Duration;

use crate::context::Context;
use crate::kafka::Cluster;
use crate::service::Service;

/// See the [module](self).
#[derive(Debug)]
pub struct Nodes {
    /// The event-stores.
    pub stores: Vec<Service>,
    /// The projector, if there is one.
    pub projector: Option<Service>,
    /// The brokers that all of them talk to. They end last.
    pub cluster: Cluster,
}

impl Nodes {
    /// Starts so many event-stores behind the cluster's proxy, and waits until each has its share and serves it. A
    /// projector reads past the proxy.
    pub async fn start(cluster: Cluster, context: &Context, stores: usize, projector: bool) -> Self {
        let (stack, proxied) = (&cluster.stack(), &cluster.proxied_stack());
        let start = |number: usize| {
            let instance = format!("store-{number}");
            let more = [("SPINA_INSTANCE", instance.as_str()), ("SPINA_QUEUE_MAX", "256")];
            Service::start_with(proxied, "event-store", context, &more)
        };
        let mut nodes = Self { stores: (1..=stores).map(start).collect(), projector: None, cluster };
        for store in &mut nodes.stores {
            store.ready().await;
        }
        if projector {
            nodes.projector.insert(Service::start(stack, "projector", context)).ready().await;
        }
        nodes
    }

    /// Base URLs of the event-stores.
    pub fn urls(&self) -> Vec<String> {
        self.stores.iter().map(|store| store.url.clone()).collect()
    }

    /// Waits until an event-store has ended by itself, and says how; `None` if it has not in time.
    pub async fn ends(&mut self, store: usize, limit: Duration) -> Option<ExitStatus> {
        let begun = tokio::time::Instant::now();
        while begun.elapsed() < limit {
            if let Some(status) = self.stores[store].ended() {
                return Some(status);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        None
    }
}
