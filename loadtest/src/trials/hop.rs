//! A bare hop: an exactly-once loop from one topic to others that does nothing else, with the client that we use too.
//!
//! ```text
//! topic ─ group ─▶ what has queued, per partition ─▶ transaction: what is made of it, and offsets ─▶ other topics
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use anyhow::Context;
use futures::FutureExt;
use spina_log::membership::{Inputs, MemberHandle, MembershipEvent, MembershipOptions};
use spina_log::{Admin, Consumed, Fetched, Lane, LaneFactory, Lanes, LogConfig, Membership, NewRecord, Window};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What a hop makes of a record.
pub type Make = Arc<dyn Fn(Fetched) -> anyhow::Result<Vec<NewRecord>> + Send + Sync>;

/// See the [module](self).
#[derive(Clone)]
pub struct Hop {
    /// Its group, after which its transactional ids are named too.
    pub group: String,
    /// What it reads.
    pub topic: Arc<str>,
    /// Most records that it reads in a transaction.
    pub records_max: usize,
    /// Transactional ids of a partition, used in turn.
    pub lanes: usize,
    /// What it writes.
    pub make: Make,
}

/// Hops that run. Dropping it ends them.
pub struct Hopping {
    running: JoinSet<anyhow::Result<()>>,
    stop: watch::Sender<bool>,
}

impl Hopping {
    /// Starts them.
    pub fn begin(config: &LogConfig, hops: impl IntoIterator<Item = Hop>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut running = JoinSet::new();
        for hop in hops {
            running.spawn(hop.run(config.clone(), stopped.clone()));
        }
        Self { running, stop }
    }

    /// Does what is measured meanwhile, then leaves the groups.
    pub async fn during<T>(mut self, measured: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        let measured = tokio::select! {
            measured = measured => measured?,
            Some(ended) = self.running.join_next() => {
                ended.context("join a hop")??;
                anyhow::bail!("a hop ended by itself");
            }
        };
        self.stop.send(true).context("stop the hops")?;
        while let Some(ended) = self.running.join_next().await {
            ended.context("join a hop")??;
        }
        Ok(measured)
    }
}

impl Hop {
    async fn run(self, config: LogConfig, mut stop: watch::Receiver<bool>) -> anyhow::Result<()> {
        let mut membership = Membership::join(&config, MembershipOptions::new(&self.group, &*self.topic, "hop"))?;
        let (admin, factory) = (Admin::connect(&config).await?, LaneFactory::connect(&config).await?);
        let mut copiers = JoinSet::new();
        loop {
            tokio::select! {
                _ = stop.changed() => break,
                Some(ended) = copiers.join_next() => ended.context("join a copier")??,
                event = membership.next() => match event.context("the member ended")?? {
                    MembershipEvent::Assigned { partitions } => for partition in partitions {
                        let (copier, inputs) = self.copier(&admin, &factory, membership.handle(), partition).await?;
                        copiers.spawn(copier.run(inputs));
                    },
                    MembershipEvent::Revoked { .. }
                    | MembershipEvent::Lost { .. }
                    | MembershipEvent::Confirmed { .. } => anyhow::bail!("a hop lost partitions"),
                },
            }
        }
        copiers.shutdown().await;
        membership.leave().await;
        Ok(())
    }

    async fn copier(
        &self,
        admin: &Admin,
        factory: &LaneFactory,
        member: MemberHandle,
        partition: i32,
    ) -> anyhow::Result<(Copier, Inputs)> {
        let ids: Vec<String> = (0..self.lanes).map(|lane| format!("{}.{partition}.{lane}", self.group)).collect();
        let lanes = futures::future::try_join_all(ids.iter().map(|id| factory.open(id))).await?;
        let stands = admin.group_offset(&self.group, &self.topic, partition).await?;
        let inputs = member.begin(partition, stands.next)?;
        Ok((Copier { hop: self.clone(), lanes: lanes.into(), member }, inputs))
    }
}

/// One partition of a hop.
struct Copier {
    hop: Hop,
    lanes: VecDeque<Arc<dyn Lane>>,
    member: MemberHandle,
}

impl Copier {
    async fn run(mut self, mut inputs: Inputs) -> anyhow::Result<()> {
        while let Some(first) = inputs.next().await {
            let (partition, mut next) = (first.partition, first.offset + 1);
            let mut read = vec![first];
            while read.len() < self.hop.records_max
                && let Some(Some(more)) = inputs.next().now_or_never()
            {
                next = more.offset + 1;
                read.push(more);
            }
            let member = self.member.member().context("there is no member")?;
            let consumed = Consumed { member, offsets: vec![(Arc::clone(&self.hop.topic), partition, next)] };
            let mut records = Vec::with_capacity(read.len());
            for record in read {
                records.extend((self.hop.make)(record)?);
            }
            self.lanes.rotate_left(1);
            self.lanes[0].stage(Window { records, consumed: Some(consumed) }).await?;
            self.lanes[0].commit().await?;
        }
        Ok(())
    }
}
