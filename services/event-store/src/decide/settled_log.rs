//! Reading a partition up to its stable end, once no transaction is open behind it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use spina_log::admin::{GroupOffset, OpenTransaction};
use spina_log::{Admin, Fetched, LogConfig, LogError, LogReader, ReaderOptions, Start, settled};

/// How long a hanging transaction may keep the stable end behind before the read is given up. The coordinator ends an
/// abandoned transaction after its time-out, 10 s.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(15);

/// How long an open transaction may keep the stable end behind before it is looked at. With the lanes open, what they left
/// is settled in milliseconds.
const HANGING_AFTER: Duration = Duration::from_secs(3);

/// A transaction that is open although every lane was initialised; the first one of its partition.
#[derive(Debug)]
pub struct Hanging {
    /// As the broker sees it.
    pub open: OpenTransaction,
    /// The lane it is of; none if another writer's.
    pub lane: Option<usize>,
    /// Its records, and what lies behind them up to the next open transaction.
    pub records: Vec<Fetched>,
}

/// What was read.
#[derive(Debug)]
pub struct SettledRead {
    /// One past the last offset of the partition; its stable end too.
    pub end: i64,
    /// The committed records from the offset asked for on. Empty if that lies beyond the end.
    pub records: Vec<Fetched>,
}

/// A log whose partitions can be read to their very end.
#[async_trait]
pub trait SettledLog: Send + Sync {
    /// Waits until nothing is open in the partition, then reads everything committed from an offset on.
    ///
    /// # Errors
    /// [`LogError::Hanging`] when a transaction stays open; otherwise when the log cannot be read.
    async fn read_settled(&self, topic: &Arc<str>, partition: i32, from: i64) -> Result<SettledRead, LogError> {
        let mut records = Vec::new();
        let end = self.each_settled(topic, partition, from, &mut |part| records.extend(part)).await?;
        Ok(SettledRead { end, records })
    }

    /// The same, told in parts as they are read, for what may be more than memory holds; the end of the partition.
    ///
    /// # Errors
    /// As [`read_settled`](Self::read_settled); parts may have been told before.
    async fn each_settled(
        &self,
        topic: &Arc<str>,
        partition: i32,
        from: i64,
        tell: &mut (dyn FnMut(Vec<Fetched>) + Send),
    ) -> Result<i64, LogError>;

    /// The first transaction that hangs on the partition; `ids` are those of the lanes, in their order.
    ///
    /// # Errors
    /// When the log cannot be asked.
    async fn hanging(&self, topic: &Arc<str>, partition: i32, ids: &[String]) -> Result<Option<Hanging>, LogError>;

    /// Tells what is committed from an offset on, up to the first open transaction.
    ///
    /// # Errors
    /// When the log cannot be read.
    async fn each_committed(
        &self,
        topic: &Arc<str>,
        partition: i32,
        from: i64,
        tell: &mut (dyn FnMut(Vec<Fetched>) + Send),
    ) -> Result<(), LogError>;

    /// The newest committed records of the partition, in order: at most so many offsets.
    ///
    /// # Errors
    /// When the log cannot be read.
    async fn newest(&self, topic: &Arc<str>, partition: i32, offsets_max: i64) -> Result<Vec<Fetched>, LogError>;

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
impl SettledLog for BrokerLog {
    async fn each_settled(
        &self,
        topic: &Arc<str>,
        partition: i32,
        from: i64,
        tell: &mut (dyn FnMut(Vec<Fetched>) + Send),
    ) -> Result<i64, LogError> {
        let end = settled::wait(&self.admin, topic, partition, SETTLE_TIMEOUT).await?.stable;
        if from <= end {
            self.each_committed(topic, partition, from, tell).await?;
        }
        Ok(end)
    }

    async fn hanging(&self, topic: &Arc<str>, partition: i32, ids: &[String]) -> Result<Option<Hanging>, LogError> {
        let from = match settled::wait(&self.admin, topic, partition, HANGING_AFTER).await {
            Err(LogError::Hanging { stable, .. }) => stable,
            settled => return settled.map(|_| None),
        };
        let mut open = self.admin.open_transactions(topic, partition).await?.into_iter();
        // None, if it has ended by now.
        let Some(first) = open.next() else { return Ok(None) };
        let lane = self.admin.producers_of(ids).await?.iter().position(|id| *id == Some(first.producer_id));
        let until = open.next().map_or(i64::MAX, |next| next.start);
        let starts = vec![(partition, Start::At(from.min(first.start)))];
        let mut records = Vec::new();
        let mut reader = LogReader::open_uncommitted(&self.config, topic, starts, TO_THE_END)?;
        while let Some(batch) = reader.next().await {
            records.extend(batch?.records.into_iter().filter(|record| record.offset < until));
        }
        Ok(Some(Hanging { open: first, lane, records }))
    }

    async fn each_committed(
        &self,
        topic: &Arc<str>,
        partition: i32,
        from: i64,
        tell: &mut (dyn FnMut(Vec<Fetched>) + Send),
    ) -> Result<(), LogError> {
        let mut reader = LogReader::open(&self.config, topic, vec![(partition, Start::At(from))], TO_THE_END)?;
        while let Some(batch) = reader.next().await {
            tell(batch?.records);
        }
        Ok(())
    }

    async fn newest(&self, topic: &Arc<str>, partition: i32, offsets_max: i64) -> Result<Vec<Fetched>, LogError> {
        let ends = self.admin.partition_ends(topic, partition).await?;
        let from = ends.earliest.max(ends.stable - offsets_max);
        let mut records = Vec::new();
        self.each_committed(topic, partition, from, &mut |part| records.extend(part)).await?;
        Ok(records)
    }

    async fn group_offset(&self, group: &str, topic: &str, partition: i32) -> Result<GroupOffset, LogError> {
        self.admin.group_offset(group, topic, partition).await
    }
}

/// Reads what is there and ends.
const TO_THE_END: ReaderOptions = ReaderOptions { batch_records_max: 2_000, queue_batches_max: 4, stop_at_end: true };
