//! The reader's thread: polls the client, copies, sends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::BorrowedMessage;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Message, Offset};
use tokio::sync::mpsc;

use super::{Batch, ReaderOptions, Start, starts};
use crate::client::{BATCH_BYTES_MAX, Quiet, Trouble, ends_reading};
use crate::record::is_mark;
use crate::{LogConfig, LogError, copy};

/// How long the thread sleeps in the client when there is nothing to read; also how late it notices that it is to stop.
const IDLE_POLL: Duration = Duration::from_millis(100);

/// What the thread sends to the reader.
#[derive(Debug)]
pub(super) enum Sent {
    Batch(Batch),
    Complete,
    Failed(LogError),
}

/// A consumer that reads by assignment only. It names a group because librdkafka demands one; it never joins it.
pub(super) fn consumer(config: &LogConfig, isolation: &str) -> KafkaResult<BaseConsumer<Quiet>> {
    let mut client = config.consumer();
    client.set("isolation.level", isolation);
    client.set("group.id", "spina.readers").set("auto.offset.reset", "error").set("enable.partition.eof", "true");
    client.create_with_context(Quiet)
}

/// The thread's state.
pub(super) struct Pump {
    topic: Arc<str>,
    options: ReaderOptions,
    sender: mpsc::Sender<Sent>,
    stop: Arc<AtomicBool>,
    /// Next offset of each partition, as far as records tell.
    positions: Vec<(i32, i64)>,
    /// Partitions whose end was not reached yet.
    open_ends: Vec<i32>,
    trouble: Trouble,
}

impl Pump {
    pub(super) fn new(topic: &str, options: ReaderOptions, sender: mpsc::Sender<Sent>, stop: Arc<AtomicBool>) -> Self {
        let trouble = Trouble::new(format!("reading {topic}"));
        Self { topic: topic.into(), options, sender, stop, positions: Vec::new(), open_ends: Vec::new(), trouble }
    }

    /// Reads until stopped, complete or failed. The consumer is dropped at the end, here.
    pub(super) fn run(mut self, consumer: BaseConsumer<Quiet>, starts: Vec<(i32, Start)>) {
        let last = match self.read(&consumer, &starts) {
            Ok(()) => Sent::Complete,
            Err(error) => Sent::Failed(error),
        };
        // Nobody may be listening any more, which is fine.
        let _ = self.sender.blocking_send(last);
    }

    fn read(&mut self, consumer: &BaseConsumer<Quiet>, starts: &[(i32, Start)]) -> Result<(), LogError> {
        let Some(positions) = starts::assign(consumer, &self.topic, starts, &self.stop, &mut self.trouble)? else {
            return Ok(());
        };
        self.open_ends = positions.iter().map(|(partition, _)| *partition).collect();
        self.positions = positions;
        while !self.stop.load(Ordering::Relaxed) && !self.complete() {
            let batch = self.collect(consumer)?;
            if !batch.is_empty() && self.sender.blocking_send(Sent::Batch(batch)).is_err() {
                break;
            }
        }
        Ok(())
    }

    fn complete(&self) -> bool {
        self.options.stop_at_end && self.open_ends.is_empty()
    }

    /// Waits for a first event, then takes what is there.
    fn collect(&mut self, consumer: &BaseConsumer<Quiet>) -> Result<Batch, LogError> {
        let mut batch = Batch::default();
        let mut bytes = 0;
        let mut event = consumer.poll(IDLE_POLL);
        while let Some(happened) = event {
            match happened {
                Ok(message) => {
                    bytes += message.key_len() + message.payload_len();
                    self.take(&message, &mut batch);
                }
                Err(KafkaError::PartitionEOF(partition)) => self.reach_end(consumer, partition, &mut batch),
                Err(error) => self.judge(consumer, error)?,
            }
            if batch.records.len() >= self.options.batch_records_max || bytes >= BATCH_BYTES_MAX {
                break;
            }
            event = consumer.poll(Duration::ZERO);
        }
        Ok(batch)
    }

    fn take(&mut self, message: &BorrowedMessage<'_>, batch: &mut Batch) {
        if let Some((_, next)) = self.positions.iter_mut().find(|(partition, _)| *partition == message.partition()) {
            *next = message.offset() + 1;
        }
        if batch.records.capacity() == 0 {
            batch.records.reserve(self.options.batch_records_max.min(FIRST_CAPACITY));
        }
        let record = copy::fetched(&self.topic, message);
        if !is_mark(&record) {
            batch.records.push(record);
        }
    }

    fn reach_end(&mut self, consumer: &BaseConsumer<Quiet>, partition: i32, batch: &mut Batch) {
        let Some((_, next)) = self.positions.iter_mut().find(|(known, _)| *known == partition) else { return };
        // The client's position has stepped over transaction markers, which we are never shown.
        *next = (*next).max(position(consumer, &self.topic, partition).unwrap_or(*next));
        self.open_ends.retain(|open| *open != partition);
        batch.ends.push((partition, *next));
    }

    fn judge(&mut self, consumer: &BaseConsumer<Quiet>, error: KafkaError) -> Result<(), LogError> {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                Err(starts::out_of_range(consumer, &self.topic, &self.positions))
            }
            Some(RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition) => {
                Err(LogError::UnknownTopic(self.topic.to_string()))
            }
            Some(code) if !ends_reading(code) => {
                self.trouble.note(&error);
                Ok(())
            }
            Some(_) | None => Err(LogError::client(format!("read {}", self.topic), error)),
        }
    }
}

/// Records that a batch has room for at once.
const FIRST_CAPACITY: usize = 256;

/// The client's position. The list it comes in is dropped here: while one lives, dropping the consumer hangs.
fn position(consumer: &BaseConsumer<Quiet>, topic: &str, partition: i32) -> Option<i64> {
    match consumer.position().ok()?.find_partition(topic, partition)?.offset() {
        Offset::Offset(next) => Some(next),
        Offset::Beginning | Offset::End | Offset::Stored | Offset::Invalid | Offset::OffsetTail(_) => None,
    }
}
