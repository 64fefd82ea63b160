//! Records outside a transaction: written once (idempotently), visible at once, not fenced.
//!
//! For callers that asked for just that: publishing commands, loading tests. The owner of a partition writes through
//! [`crate::writer`].

use std::time::Duration;

use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;
use spina_codec::Headers;

use crate::client::Quiet;
use crate::{LogConfig, LogError, NewRecord};

/// Pause before a full queue is tried again.
const FULL_PAUSE: Duration = Duration::from_millis(1);
/// How long a record may be on its way, retries included.
const DELIVERY_TIMEOUT_MS: &str = "20000";

/// Publishes records. Clones share one client.
#[derive(Clone)]
pub struct Publisher {
    producer: FutureProducer<Quiet>,
}

/// A record that is on its way. Dropping it gives up the answer, not the record.
pub struct Delivery {
    topic: String,
    delivery: DeliveryFuture,
}

impl Publisher {
    /// A publisher to those brokers; it does not ask whether they are there.
    ///
    /// # Errors
    /// [`LogError::Client`] when the client refuses its settings.
    pub fn new(config: &LogConfig) -> Result<Self, LogError> {
        Self::waiting(config, "2")
    }

    /// The same for single records that somebody waits for: it does not wait for more of them.
    ///
    /// # Errors
    /// As for [`Publisher::new`].
    pub fn prompt(config: &LogConfig) -> Result<Self, LogError> {
        Self::waiting(config, "0")
    }

    fn waiting(config: &LogConfig, linger_ms: &str) -> Result<Self, LogError> {
        let mut client = config.rdkafka();
        client
            .set("acks", "all")
            .set("enable.idempotence", "true")
            // Java's partitioner: a record goes where Java, Connect and the event-store expect its key.
            .set("partitioner", "murmur2_random")
            .set("linger.ms", linger_ms)
            .set("batch.size", "262144")
            .set("retry.backoff.ms", "10")
            .set("delivery.timeout.ms", DELIVERY_TIMEOUT_MS)
            // How long a topic that nobody knows may be one that was just created.
            .set("topic.metadata.propagation.max.ms", "3000")
            .set("queue.buffering.max.messages", "100000")
            .set("queue.buffering.max.kbytes", "65536");
        let producer =
            client.create_with_context(Quiet).map_err(|error| LogError::client("set up a publisher", error))?;
        Ok(Self { producer })
    }

    /// Publishes the record and returns its offset.
    ///
    /// # Errors
    /// [`LogError::UnknownTopic`]; [`LogError::Client`] when it was not acknowledged in time (20 s) or refused.
    pub async fn publish(&self, record: &NewRecord) -> Result<i64, LogError> {
        Ok(self.enqueue(record).await?.wait().await?.1)
    }

    /// Publishes a record to the partition its key belongs to, and returns partition and offset.
    ///
    /// # Errors
    /// As for [`Publisher::publish`].
    pub async fn publish_keyed(
        &self,
        topic: &str,
        key: &[u8],
        value: Option<&[u8]>,
        headers: &Headers,
    ) -> Result<(i32, i64), LogError> {
        self.enqueue_keyed(topic, key, value, headers).await?.wait().await
    }

    /// Puts the record into the client's queue, waiting while that is full; records of one partition keep their order.
    ///
    /// # Errors
    /// As for [`Publisher::publish`].
    pub async fn enqueue(&self, record: &NewRecord) -> Result<Delivery, LogError> {
        let mut out = outgoing(&record.topic, &record.key, record.value.as_deref(), &record.headers);
        out.partition = Some(record.partition);
        out.timestamp = record.timestamp_ms;
        self.queue(out).await
    }

    /// Like [`Publisher::enqueue`], to the partition the key belongs to.
    ///
    /// # Errors
    /// As for [`Publisher::publish`].
    pub async fn enqueue_keyed(
        &self,
        topic: &str,
        key: &[u8],
        value: Option<&[u8]>,
        headers: &Headers,
    ) -> Result<Delivery, LogError> {
        self.queue(outgoing(topic, key, value, headers)).await
    }

    /// Waits until every record queued so far has its answer.
    ///
    /// # Errors
    /// [`LogError::Client`] when that takes longer than `timeout`.
    pub async fn flush(&self, timeout: Duration) -> Result<(), LogError> {
        let producer = self.producer.clone();
        tokio::task::spawn_blocking(move || producer.flush(timeout))
            .await
            .map_err(|_| LogError::Stopped("publisher"))?
            .map_err(|error| LogError::client("flush what was published", error))
    }

    async fn queue(&self, mut record: FutureRecord<'_, [u8], [u8]>) -> Result<Delivery, LogError> {
        loop {
            let topic = record.topic.to_owned();
            match self.producer.send_result(record) {
                Ok(delivery) => return Ok(Delivery { topic, delivery }),
                Err((error, refused)) => match error.rdkafka_error_code() {
                    Some(RDKafkaErrorCode::QueueFull) => record = refused,
                    Some(_) | None => return Err(failed(topic, error)),
                },
            }
            tokio::time::sleep(FULL_PAUSE).await;
        }
    }
}

impl Delivery {
    /// Waits for the answer: partition and offset.
    ///
    /// # Errors
    /// As for [`Publisher::publish`].
    pub async fn wait(self) -> Result<(i32, i64), LogError> {
        match self.delivery.await {
            Ok(Ok(delivered)) => Ok((delivered.partition, delivered.offset)),
            Ok(Err((error, _))) => Err(failed(self.topic, error)),
            Err(_) => Err(LogError::Stopped("publisher")),
        }
    }
}

fn failed(topic: String, error: rdkafka::error::KafkaError) -> LogError {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition) => {
            LogError::UnknownTopic(topic)
        }
        Some(_) | None => LogError::client(format!("publish to {topic}"), error),
    }
}

fn outgoing<'a>(
    topic: &'a str,
    key: &'a [u8],
    value: Option<&'a [u8]>,
    headers: &Headers,
) -> FutureRecord<'a, [u8], [u8]> {
    let mut out = FutureRecord::to(topic).key(key);
    out.payload = value;
    out.headers(native_headers(headers))
}

/// The client's headers.
pub(crate) fn native_headers(headers: &Headers) -> OwnedHeaders {
    let native = OwnedHeaders::new_with_capacity(headers.len());
    headers.iter().fold(native, |native, (key, value)| native.insert(Header { key, value }))
}
