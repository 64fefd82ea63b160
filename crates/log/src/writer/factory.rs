//! Opening lanes with krafka, all on one connection pool.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use krafka::Kafka;
use krafka::producer::{Acks, TransactionalProducer};

use super::lane::KafkaLane;
use super::{Lane, Lanes};
use crate::config::RETRY_BACKOFF;
use crate::{LogConfig, LogError};

/// How long the coordinator lets a transaction stay open before it aborts it. An open one blocks every committed reader of
/// its partitions, so it is short; our transactions take milliseconds.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a record may be on its way, retries included.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(8);
/// How long any one question to a coordinator may take, retries included: the time a restarting broker gets.
const COORDINATOR_TIMEOUT: Duration = Duration::from_secs(8);
/// Bytes of a batch. A window's records of one partition should fit, since a second batch waits for the next request; and
/// uncompressed it must stay under the brokers' default limit of 1 MiB.
const BATCH_BYTES: usize = 768 * 1024;
/// Bytes a lane holds at most, unsent.
const BUFFER_BYTES: usize = 32 * 1024 * 1024;

/// Opens lanes. One for a process: lanes on one connection pool are faster together than with a pool each.
#[derive(Debug, Clone)]
pub struct LaneFactory {
    kafka: Kafka,
}

impl LaneFactory {
    /// Connects to the brokers.
    ///
    /// # Errors
    /// [`LogError::Client`] when no broker is reachable.
    pub async fn connect(config: &LogConfig) -> Result<Self, LogError> {
        Ok(Self { kafka: config.krafka().await? })
    }

    async fn producer(&self, transactional_id: &str) -> Result<TransactionalProducer, LogError> {
        self.kafka
            .producer()
            .acks(Acks::All)
            .idempotent(true)
            .linger(Duration::ZERO)
            .batch_size(BATCH_BYTES)
            .buffer_memory(BUFFER_BYTES)
            .retry_backoff(RETRY_BACKOFF)
            .delivery_timeout(DELIVERY_TIMEOUT)
            .max_block(COORDINATOR_TIMEOUT)
            .transaction_timeout(TRANSACTION_TIMEOUT)
            .metrics_push(false)
            .build_transactional(transactional_id)
            .await
            .map_err(|error| LogError::client(format!("open the transactional id {transactional_id}"), error))
    }
}

#[async_trait]
impl Lanes for LaneFactory {
    async fn open(&self, transactional_id: &str) -> Result<Arc<dyn Lane>, LogError> {
        let producer = self.producer(transactional_id).await?;
        // When its question about the cluster's features is disturbed, the client falls back to v1 without a word.
        let version = producer.transaction_version();
        if !version.is_v2() {
            return Err(LogError::OldTransactions { found: version.to_string() });
        }
        Ok(Arc::new(KafkaLane::new(producer)))
    }
}
