//! Taking a partition over: fence, then read. In this order what is read is complete.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use futures::stream::{BoxStream, StreamExt};
use spina_log::admin::GroupOffset;
use spina_log::{Admin, Fetched, Lane, Lanes, LogConfig, LogError, LogReader, ReaderOptions, Start, names, settled};

use super::{Place, Stage};

/// Transactional ids of a partition. Two take turns, so that no transaction begins before the markers of the last one on
/// its id are written.
pub(super) const LANES: usize = 2;
/// How long a transaction that stays open is waited for. The coordinator ends an abandoned one after 10 s.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(15);

/// A log whose partitions can be read to their very end.
#[async_trait]
pub trait StateLog: Send + Sync {
    /// Waits until nothing is open in the partition; then everything committed in it from an offset on, in parts.
    ///
    /// # Errors
    /// [`LogError::Hanging`] when a transaction stays open; otherwise when the log cannot be read.
    async fn read_settled(
        &self,
        topic: &str,
        partition: i32,
        from: i64,
    ) -> Result<BoxStream<'static, Result<Vec<Fetched>, LogError>>, LogError>;

    /// Where the group stands in the partition.
    ///
    /// # Errors
    /// When the log cannot be asked.
    async fn group_offset(&self, group: &str, topic: &str, partition: i32) -> Result<GroupOffset, LogError>;
}

/// The log on brokers.
pub struct BrokerLog {
    /// Where they are.
    pub config: LogConfig,
    /// Asks them.
    pub admin: Arc<Admin>,
}

#[async_trait]
impl StateLog for BrokerLog {
    async fn read_settled(
        &self,
        topic: &str,
        partition: i32,
        from: i64,
    ) -> Result<BoxStream<'static, Result<Vec<Fetched>, LogError>>, LogError> {
        let end = settled::wait(&self.admin, topic, partition, SETTLE_TIMEOUT).await?.stable;
        if from > end {
            // The snapshot is of a log that was lost since.
            return Err(LogError::Truncated { topic: topic.to_owned() });
        }
        let start = if from == 0 { Start::Earliest } else { Start::At(from) };
        let options = ReaderOptions { stop_at_end: true, ..ReaderOptions::default() };
        let reader = LogReader::open(&self.config, topic, vec![(partition, start)], options)?;
        let parts = futures::stream::unfold(reader, async |mut reader| {
            let part = reader.next().await?.map(|batch| batch.records);
            Some((part, reader))
        });
        Ok(parts.boxed())
    }

    async fn group_offset(&self, group: &str, topic: &str, partition: i32) -> Result<GroupOffset, LogError> {
        self.admin.group_offset(group, topic, partition).await
    }
}

/// A partition, ready to be served.
pub(super) struct Taken<P> {
    pub processor: P,
    pub lanes: Vec<Arc<dyn Lane>>,
    /// The first input that is not processed.
    pub inputs_from: i64,
}

/// Fences the predecessor and folds what it left.
pub(super) async fn take_over<S: Stage>(
    stage: &S,
    place: &Place,
    partition: i32,
    factory: &dyn Lanes,
    log: &dyn StateLog,
) -> anyhow::Result<Taken<S::Processor>> {
    let ids: Vec<String> =
        (0..LANES).map(|lane| names::processor_transactional_id(&place.group, partition, lane)).collect();
    // The first one before the others, and the first batch goes through it: of two processes that take over at the same
    // time, one then cannot commit anything (ADR 0025).
    let (first, others) = ids.split_at(1);
    let mut lanes = futures::future::try_join_all(first.iter().map(|id| factory.open(id))).await?;
    lanes.extend(futures::future::try_join_all(others.iter().map(|id| factory.open(id))).await?);
    let (mut processor, from) = stage.open(partition).await.context("read the snapshot")?;
    if let Some(topic) = &place.state_topic {
        let mut found = from == 0;
        match log.read_settled(topic, partition, from).await {
            Ok(mut parts) => {
                while let Some(records) = parts.next().await {
                    let records = records?;
                    found |= !records.is_empty();
                    stage.restore(&mut processor, records).await.context("fold the state")?;
                }
            }
            Err(LogError::Truncated { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        if !found {
            stage.distrust(partition).await;
            anyhow::bail!("the snapshot is of another log: {topic} ends before offset {from}");
        }
    }
    let inputs = log.group_offset(&place.group, &place.input_topic, partition).await?;
    anyhow::ensure!(!inputs.hangs, "the group's offset hangs in a transaction");
    Ok(Taken { processor, lanes, inputs_from: inputs.next })
}
