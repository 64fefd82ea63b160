//! A run: open, follow the schedule, end, judge.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::sleep;

use super::arena::Arena;
use super::event;
use super::journal::Journal;
use super::nemesis::schedule::{Scenario, plan};
use super::nemesis::{Happened, perform};
use super::nodes::Nodes;
use super::swarm::{Sizes, Swarm};
use super::verdict::Verdict;
use crate::kafka::{Cluster, ClusterOptions};
use crate::stack::Stack;

/// What a run is.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Decides everything that is not decided by how fast the machine is.
    pub seed: u64,
    /// Brokers: 1, or 3 with everything replicated.
    pub brokers: usize,
    /// Event-stores.
    pub stores: usize,
    /// Partitions.
    pub partitions: i32,
    /// Clients.
    pub sizes: Sizes,
    /// Whether there is a read model.
    pub projector: bool,
    /// How soon after the last fault every client must have succeeded: I14.
    pub liveness_limit: Duration,
}

/// A run under way.
pub struct Gate {
    /// What all share.
    pub arena: Arc<Arena>,
    /// The processes.
    pub nodes: Nodes,
    settings: Settings,
    swarm: Swarm,
}

/// What came of a run.
#[derive(Debug)]
pub struct Ended {
    /// Broken invariants.
    pub verdict: Verdict,
    /// What the clients did; their operations are gone.
    pub journals: Vec<Journal>,
    /// Faults, with how long recovering took.
    pub happened: Vec<Happened>,
    /// Events acknowledged, each counted once.
    pub acknowledged: u64,
    /// How long appends were sent.
    pub time: Duration,
    /// Events acknowledged per second before the first fault.
    pub calm_rate: f64,
    /// How long after the last fault each client first succeeded.
    pub revived: Vec<(String, Option<Duration>)>,
}

impl Gate {
    /// Starts processes and clients.
    pub async fn open(settings: Settings) -> Self {
        let options =
            ClusterOptions { brokers: settings.brokers, heap_mib: 512, proxied: true, ..ClusterOptions::default() };
        let cluster = Cluster::start(&Stack::get(), &options).await;
        let stack = cluster.stack();
        let context = event::declare(&stack, "gate", settings.partitions);
        let nodes = Nodes::start(cluster, &context, settings.stores, settings.projector).await;
        let arena = Arc::new(Arena::new(stack, context, settings.partitions, nodes.urls()).await);
        let swarm = Swarm::start(&arena, settings.sizes, settings.seed);
        Self { arena, nodes, settings, swarm }
    }

    /// Follows a scenario for so long, then stays calm for a while, then ends.
    pub async fn run(mut self, scenario: Scenario, time: Duration, calm_end: Duration) -> Ended {
        let planned = plan(scenario, self.settings.seed, time, self.settings.stores, self.settings.brokers);
        let calm = planned.first().map_or(time, |(at, _)| *at);
        let arena = Arc::clone(&self.arena);
        let first = async {
            sleep(calm).await;
            arena.acknowledged.load(Ordering::Relaxed) as f64 / calm.as_secs_f64()
        };
        let faults = perform::follow(&self.arena, &mut self.nodes, &planned, time);
        let (calm_rate, happened) = tokio::join!(first, faults);
        if let Some(left) = time.checked_sub(Duration::from_micros(self.arena.now_us())) {
            sleep(left).await;
        }
        let mut ended = self.end(happened, calm_end).await;
        ended.calm_rate = calm_rate;
        ended
    }

    /// Ends the run after it was calm for a while, and judges it.
    pub async fn end(mut self, mut happened: Vec<Happened>, calm_end: Duration) -> Ended {
        for store in &mut self.nodes.stores {
            store.ready().await;
        }
        if let Some(projector) = &mut self.nodes.projector {
            projector.ready().await;
        }
        let healed = happened.iter().map(|fault| fault.healed_us).max().unwrap_or_default();
        sleep(calm_end).await;
        let time = Duration::from_micros(self.arena.now_us());
        let (mut journals, mut followers) = self.swarm.end(&self.arena).await;
        let mut followed = Vec::new();
        while let Some(one) = followers.join_next().await {
            followed.push(one.unwrap());
        }
        let verdict = Verdict::of(&self.arena, &self.nodes, &mut journals, &followed, self.settings.seed).await;
        happened.iter_mut().for_each(|fault| fault.measure(&self.arena));
        let acknowledged = verdict.acknowledged;
        let revived = journals.iter().map(|journal| (journal.client.clone(), journal.revived(healed))).collect();
        let mut ended = Ended { verdict, journals, happened, acknowledged, time, calm_rate: 0.0, revived };
        ended.judge_liveness(self.settings.liveness_limit);
        ended
    }
}

impl Ended {
    /// I14 and I15: every client succeeded soon after the last fault, and every kind of client did something.
    fn judge_liveness(&mut self, limit: Duration) {
        for (client, after) in &self.revived {
            if after.is_none_or(|after| after > limit) {
                self.verdict.add(format!("I14: {client} succeeded {after:?} after the last fault, limit {limit:?}"));
            }
        }
        for fault in self.happened.iter().filter(|fault| fault.recovered_us.is_none()) {
            self.verdict.add(format!("I14: not every partition was served again after {:?}", fault.fault));
        }
    }
}

impl Journal {
    /// How long after a moment it first succeeded.
    fn revived(&self, since: u64) -> Option<Duration> {
        let first = self.successes.iter().find(|success| **success >= since)?;
        Some(Duration::from_micros(first - since))
    }
}
