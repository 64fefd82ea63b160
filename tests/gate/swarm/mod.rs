//! The clients. Each runs until the arena stops, and hands its journal over.

pub mod contender;
pub mod follower;
pub mod importer;
pub mod probe;
pub mod publisher;
pub mod repeater;
pub mod replies;
pub mod writer;

use std::sync::Arc;

use tokio::task::JoinSet;

use super::arena::Arena;
use super::journal::Journal;
use super::rng::Rng;
use follower::Followed;
use replies::Replies;

/// How many clients of each kind.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Append to streams of their own, one request at a time.
    pub writers: u32,
    /// Fight over a few streams.
    pub contenders: u32,
    /// Send everything twice, and old requests again.
    pub repeaters: u32,
    /// Publish to the commands topic.
    pub publishers: u32,
    /// Import many lines at a time.
    pub importers: u32,
    /// Lines of an import.
    pub import_lines: u32,
    /// Subscribe to everything that is not imported.
    pub followers: u32,
}

/// A swarm at work.
pub struct Swarm {
    clients: JoinSet<Journal>,
    followers: JoinSet<Followed>,
}

impl Swarm {
    /// Starts all clients: those of `sizes`, and one probe for each partition.
    pub fn start(arena: &Arc<Arena>, sizes: Sizes, seed: u64) -> Self {
        let mut swarm = Self { clients: JoinSet::new(), followers: JoinSet::new() };
        let mut seeds = Rng::new(seed);
        // Clients' numbers: one in the read model for each.
        let mut number = 0_u32;
        let mut next = || {
            number += 1;
            (number, Rng::new(seeds.number()))
        };
        for partition in 0..arena.partitions {
            let (id, _) = next();
            swarm.clients.spawn(probe::run(Arc::clone(arena), id, partition));
        }
        for _ in 0..sizes.writers {
            let (id, rng) = next();
            swarm.clients.spawn(writer::run(Arc::clone(arena), id, rng));
        }
        for _ in 0..sizes.contenders {
            let (id, rng) = next();
            swarm.clients.spawn(contender::run(Arc::clone(arena), id, rng));
        }
        for _ in 0..sizes.repeaters {
            let (id, rng) = next();
            swarm.clients.spawn(repeater::run(Arc::clone(arena), id, rng));
        }
        for _ in 0..sizes.importers {
            let (id, rng) = next();
            swarm.clients.spawn(importer::run(Arc::clone(arena), id, rng, sizes.import_lines));
        }
        if sizes.publishers > 0 {
            let replies = Replies::read(arena);
            let publisher = spina_log::Publisher::new(&arena.log()).unwrap();
            for _ in 0..sizes.publishers {
                let (id, rng) = next();
                let (replies, publisher) = (Arc::clone(&replies), publisher.clone());
                swarm.clients.spawn(publisher::run(Arc::clone(arena), id, rng, publisher, replies));
            }
        }
        for _ in 0..sizes.followers {
            let (_, rng) = next();
            swarm.followers.spawn(follower::run(Arc::clone(arena), rng));
        }
        swarm
    }

    /// Tells all to end and waits for their journals. Followers go on until `last` of them have nothing more to come.
    pub async fn end(mut self, arena: &Arena) -> (Vec<Journal>, JoinSet<Followed>) {
        arena.stop();
        let mut journals = Vec::new();
        while let Some(journal) = self.clients.join_next().await {
            journals.push(journal.unwrap());
        }
        (journals, self.followers)
    }
}
