//! rdkafka's producer as the lane's thread uses it: every call blocks, and deliveries and disturbances are counted.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode;

use super::outcome::{Failure, is_fencing};
use crate::config::REQUEST_TIMEOUT;
use crate::publisher::native_headers;
use crate::writer::Consumed;
use crate::writer::limits::{BATCH_BYTES, COORDINATOR_TIMEOUT, DELIVERY_TIMEOUT, TRANSACTION_TIMEOUT};
use crate::{LogConfig, LogError, NewRecord, native};

/// How long the client's events are awaited at a time. It waits to the end of it, also when there is nothing more to come.
const POLL: Duration = Duration::from_millis(1);
/// How much longer than the client's own limit an answer to a record is awaited.
const DELIVERY_GRACE: Duration = Duration::from_secs(4);

/// How long an abort waits for records that are on their way. After that the abort counts as a disturbance.
const DRAIN: Duration = Duration::from_millis(500);

/// A transactional producer.
pub(super) struct ProducerV1 {
    producer: BaseProducer<Watch>,
}

/// What the client has told.
#[derive(Default)]
struct Watch {
    /// A connection was lost, or a request timed out: it may arrive yet.
    disturbed: AtomicBool,
    deliveries: Mutex<Deliveries>,
}

/// Answers to the records of one window, by their place in it.
#[derive(Default)]
struct Deliveries {
    offsets: Vec<Option<i64>>,
    answered: usize,
    failure: Option<Failure>,
}

impl ClientContext for Watch {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // The client writes one of these lines in the same thread that then sends a request again, and has it in its queue
        // before: whoever polls after the call has seen it. There is no other sign (librdkafka 2.12, no error event).
        if matches!(facility, "FAIL" | "REQTMOUT") {
            self.disturbed.store(true, Ordering::Relaxed);
        }
        if level as i32 <= RDKafkaLogLevel::Info as i32 {
            tracing::debug!(?level, facility, "{message}");
        }
    }

    fn error(&self, error: rdkafka::error::KafkaError, reason: &str) {
        tracing::debug!(%error, "{reason}");
    }
}

impl ProducerContext for Watch {
    type DeliveryOpaque = Box<usize>;

    fn delivery(&self, result: &DeliveryResult<'_>, place: Box<usize>) {
        let mut deliveries = self.deliveries.lock().expect("nobody panics with it");
        deliveries.answered += 1;
        match result {
            // The broker had the batch already and no longer knows its offset.
            Ok(message) if message.offset() < 0 => {
                deliveries.failure.get_or_insert(Failure::ours("a record was written whose offset is not known"));
            }
            Ok(message) => deliveries.offsets[*place] = Some(message.offset()),
            Err((error, _)) => {
                let fenced = error.rdkafka_error_code().is_some_and(is_fencing);
                let failure = Failure { fenced, ..Failure::ours(error.to_string()) };
                deliveries.failure.get_or_insert(failure);
            }
        }
    }
}

impl ProducerV1 {
    /// Opens the transactional id.
    pub(super) fn open(config: &LogConfig, transactional_id: &str) -> Result<Self, LogError> {
        let failed = |error| LogError::client(format!("open the transactional id {transactional_id}"), error);
        let ms = |time: Duration| time.as_millis().to_string();
        let mut client = config.rdkafka();
        client
            .set("transactional.id", transactional_id)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "0")
            .set("compression.type", "lz4")
            .set("batch.size", BATCH_BYTES.to_string())
            .set("batch.num.messages", "100000")
            .set("retry.backoff.ms", "1")
            .set("retry.backoff.max.ms", "100")
            .set("socket.timeout.ms", ms(REQUEST_TIMEOUT))
            .set("message.timeout.ms", ms(DELIVERY_TIMEOUT))
            .set("transaction.timeout.ms", ms(TRANSACTION_TIMEOUT))
            .set("topic.metadata.propagation.max.ms", "3000")
            // Lines about connections, among them the disturbances. Without it a line that equals one of the last half
            // minute is left out.
            .set("debug", "broker")
            .set_log_level(RDKafkaLogLevel::Debug);
        let producer: BaseProducer<Watch> = client.create_with_context(Watch::default()).map_err(failed)?;
        producer.init_transactions(COORDINATOR_TIMEOUT).map_err(failed)?;
        let producer = Self { producer };
        // From here on: the epoch is new, nothing older can do harm.
        producer.hear();
        producer.watch().disturbed.store(false, Ordering::Relaxed);
        Ok(producer)
    }

    /// Whether a request may be left in the network since the id was opened.
    pub(super) fn is_disturbed(&self) -> bool {
        self.hear();
        self.watch().disturbed.load(Ordering::Relaxed)
    }

    /// Begins a transaction, writes the records and waits for all answers; the offset of each.
    pub(super) fn write(&self, records: &[NewRecord], consumed: Option<&Consumed>) -> Result<Vec<i64>, Failure> {
        *self.deliveries() = Deliveries { offsets: vec![None; records.len()], ..Deliveries::default() };
        self.producer.begin_transaction()?;
        let deadline = Instant::now() + DELIVERY_TIMEOUT + DELIVERY_GRACE;
        for (place, record) in records.iter().enumerate() {
            self.send(place, record, deadline)?;
        }
        if let Some(consumed) = consumed.filter(|consumed| !consumed.offsets.is_empty()) {
            self.send_consumed(consumed)?;
        }
        self.deliver(records.len(), deadline)
    }

    /// Ends the transaction; all records are delivered.
    pub(super) fn commit(&self) -> Result<(), Failure> {
        Ok(self.producer.commit_transaction(COORDINATOR_TIMEOUT)?)
    }

    /// Drops the transaction. Records that are on their way get a moment to arrive, so that they do so now and not later;
    /// the client hears their answers only while it is polled.
    pub(super) fn abort(&self) -> Result<(), Failure> {
        let deadline = Instant::now() + DRAIN;
        while self.producer.in_flight_count() > 0 && Instant::now() < deadline {
            self.hear();
        }
        if self.producer.in_flight_count() == 0 {
            return Ok(self.producer.abort_transaction(COORDINATOR_TIMEOUT)?);
        }
        self.watch().disturbed.store(true, Ordering::Relaxed);
        thread::scope(|scope| {
            let abort = scope.spawn(|| self.producer.abort_transaction(COORDINATOR_TIMEOUT));
            while !abort.is_finished() {
                self.hear();
            }
            Ok(abort.join().map_err(|_| Failure::ours("the client panicked"))??)
        })
    }

    fn send(&self, place: usize, record: &NewRecord, deadline: Instant) -> Result<(), Failure> {
        let mut out: BaseRecord<'_, [u8], [u8], Box<usize>> =
            BaseRecord::with_opaque_to(&record.topic, Box::new(place)).partition(record.partition).key(&record.key);
        out.payload = record.value.as_deref();
        out.timestamp = record.timestamp_ms;
        out.headers = Some(native_headers(&record.headers));
        while let Err((error, refused)) = self.producer.send(out) {
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) || Instant::now() >= deadline {
                return Err(error.into());
            }
            self.hear();
            out = refused;
        }
        Ok(())
    }

    fn send_consumed(&self, consumed: &Consumed) -> Result<(), Failure> {
        let mut offsets = TopicPartitionList::new();
        for (topic, partition, next) in &consumed.offsets {
            offsets.add_partition_offset(topic, *partition, Offset::Offset(*next))?;
        }
        let client = self.producer.client().native_client();
        Ok(native::send_offsets(client, &offsets, &consumed.member, COORDINATOR_TIMEOUT)?)
    }

    fn deliver(&self, records: usize, deadline: Instant) -> Result<Vec<i64>, Failure> {
        loop {
            self.hear();
            let mut deliveries = self.deliveries();
            if let Some(failure) = deliveries.failure.take() {
                return Err(failure);
            }
            if deliveries.answered == records {
                let offsets: Option<Vec<i64>> = deliveries.offsets.iter().copied().collect();
                return offsets.ok_or_else(|| Failure::ours("a record was answered twice"));
            }
            if Instant::now() >= deadline {
                return Err(Failure::ours("records were not answered in time"));
            }
        }
    }

    /// Takes in what the client has to tell.
    fn hear(&self) {
        self.producer.poll(POLL);
    }

    fn watch(&self) -> &Watch {
        self.producer.context()
    }

    fn deliveries(&self) -> std::sync::MutexGuard<'_, Deliveries> {
        self.watch().deliveries.lock().expect("nobody panics with it")
    }
}
