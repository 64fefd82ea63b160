//! The floor of the commands topic: an exactly-once copy that does nothing else.
//!
//! ```text
//! commands topic ─ group ─▶ window per partition ─▶ transaction: records and offsets ─▶ scratch topic
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use anyhow::Context;
use futures::FutureExt;
use spina_log::membership::{Inputs, MemberHandle, MembershipEvent, MembershipOptions};
use spina_log::{Admin, Consumed, Fetched, Lane, LaneFactory, Lanes, LogConfig, Membership, NewRecord, Window, names};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::log::SCRATCH;

/// The group that copies.
const GROUP: &str = "bench.copy";
/// Records in a window; the event-store's default.
const WINDOW_RECORDS_MAX: usize = 4_000;
/// Transactional ids of a partition, used in turn; the event-store's default.
const LANES: usize = 4;

/// Copies what the commands topic holds beyond what earlier rounds have copied, until `records` are written.
pub async fn run(config: &LogConfig, records: u64) -> anyhow::Result<()> {
    let topic: Arc<str> = names::commands_topic(&"bench".parse()?).into();
    let options = MembershipOptions::new(GROUP, &*topic, "copy");
    let mut membership = Membership::join(config, options)?;
    let admin = Admin::connect(config).await?;
    let factory = LaneFactory::connect(config).await?;
    let (written, mut counts) = mpsc::channel(1_024);
    let mut copiers = JoinSet::new();
    let mut left = records;
    while left > 0 {
        tokio::select! {
            Some(count) = counts.recv() => left = left.saturating_sub(count),
            Some(ended) = copiers.join_next() => ended.context("join a copier")??,
            event = membership.next() => match event.context("the member ended")?? {
                MembershipEvent::Assigned { partitions } => {
                    for partition in partitions {
                        let ids: Vec<String> =
                            (0..LANES).map(|lane| format!("bench.copy.{partition}.{lane}")).collect();
                        let lanes = futures::future::try_join_all(ids.iter().map(|id| factory.open(id))).await?;
                        let stands = admin.group_offset(GROUP, &topic, partition).await?;
                        let member = membership.handle();
                        let inputs = member.begin(partition, stands.next)?;
                        let (topic, written) = (Arc::clone(&topic), written.clone());
                        copiers.spawn(Copier { lanes: lanes.into(), member, topic, written }.run(inputs));
                    }
                }
                MembershipEvent::Revoked { .. } | MembershipEvent::Lost { .. } | MembershipEvent::Confirmed { .. } => {
                    anyhow::bail!("the copy lost partitions")
                }
            },
        }
    }
    copiers.shutdown().await;
    membership.leave().await;
    Ok(())
}

/// Copies one partition.
struct Copier {
    lanes: VecDeque<Arc<dyn Lane>>,
    member: MemberHandle,
    topic: Arc<str>,
    written: mpsc::Sender<u64>,
}

impl Copier {
    async fn run(mut self, mut inputs: Inputs) -> anyhow::Result<()> {
        let scratch: Arc<str> = SCRATCH.into();
        while let Some(first) = inputs.next().await {
            let (partition, mut next) = (first.partition, first.offset + 1);
            let mut records = vec![first];
            while records.len() < WINDOW_RECORDS_MAX
                && let Some(Some(more)) = inputs.next().now_or_never()
            {
                next = more.offset + 1;
                records.push(more);
            }
            let member = self.member.member().context("there is no member")?;
            let consumed = Consumed { member, offsets: vec![(Arc::clone(&self.topic), partition, next)] };
            let count = records.len() as u64;
            let records = records.into_iter().map(|record| copy_of(record, &scratch)).collect();
            self.lanes.rotate_left(1);
            self.lanes[0].stage(Window { records, consumed: Some(consumed) }).await?;
            self.lanes[0].commit().await?;
            // Nobody counts any more once all is written.
            let _enough = self.written.send(count).await;
        }
        Ok(())
    }
}

fn copy_of(record: Fetched, topic: &Arc<str>) -> NewRecord {
    NewRecord {
        topic: Arc::clone(topic),
        partition: record.partition,
        key: record.key.unwrap_or_default(),
        value: record.value,
        headers: record.headers,
        timestamp_ms: None,
    }
}
