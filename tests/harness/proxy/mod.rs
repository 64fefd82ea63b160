//! A proxy that understands Kafka well enough to hold, drop, repeat or delay single requests.
//!
//! ```text
//!   client --requests--> [rules: by API, transactional id, commit or abort, n-th] --> broker
//!          <-responses-- [what the request's rule says of its answer]            <--
//! ```
//!
//! A test states a rule ([`Matching`] and [`Act`]), waits until it was met ([`Rule::hit`], [`Rule::held`]) and decides what
//! becomes of a held request ([`Stray`]): that is how a request of one transaction arrives inside a later one.

mod connection;
mod frame;
mod rule;
mod stray;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use frame::{Api, Request};
pub use rule::{Act, Matching, Rule};
pub use stray::Stray;

use rule::Standing;

/// Where the proxy listens for a broker, and where that listens for the proxy; both on 127.0.0.1.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// The port that clients know.
    pub listen: u16,
    /// The broker's.
    pub broker: u16,
}

/// A proxy in front of the brokers of a cluster. Ends when dropped, or with the runtime that started it.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    _listeners: JoinSet<()>,
}

/// What all connections look at.
#[derive(Debug, Default)]
struct Shared {
    rules: Mutex<Vec<Weak<Standing>>>,
    counts: Mutex<BTreeMap<Api, u64>>,
    cut_all: CancellationToken,
}

impl Proxy {
    /// Listens on all routes. Brokers that are down are like brokers that refuse.
    ///
    /// # Panics
    /// When a port is taken.
    pub async fn start(routes: Vec<Route>) -> Self {
        let shared = Arc::new(Shared::default());
        let mut listeners = JoinSet::new();
        for Route { listen, broker } in routes {
            let listener = TcpListener::bind(("127.0.0.1", listen)).await.unwrap();
            let shared = Arc::clone(&shared);
            listeners.spawn(async move {
                let mut connections = JoinSet::new();
                while let Ok((client, _)) = listener.accept().await {
                    connections.spawn(connection::carry(Arc::clone(&shared), client, broker));
                    while connections.try_join_next().is_some() {}
                }
            });
        }
        Self { shared, _listeners: listeners }
    }

    /// Does this with those requests, as long as the rule is not dropped. The first rule that means a request wins.
    pub fn rule(&self, matching: Matching, act: Act) -> Rule {
        let (standing, rule) = rule::rule(matching, act);
        let mut rules = self.shared.rules.lock().expect("nobody panics with it");
        rules.retain(|rule| rule.strong_count() > 0);
        rules.push(standing);
        rule
    }

    /// Requests of a kind that have come so far.
    pub fn requests(&self, api: Api) -> u64 {
        self.shared.counts.lock().expect("nobody panics with it").get(&api).copied().unwrap_or_default()
    }
}

impl Shared {
    fn judge(&self, request: &Request) -> Option<(Arc<Standing>, Act)> {
        let rules: Vec<_> =
            self.rules.lock().expect("nobody panics with it").iter().filter_map(Weak::upgrade).collect();
        rules.into_iter().find_map(|rule| rule.judge(request).map(|act| (rule, act)))
    }

    fn count(&self, api: Api) {
        *self.counts.lock().expect("nobody panics with it").entry(api).or_default() += 1;
    }
}
