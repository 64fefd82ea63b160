//! Opening lanes with krafka, all on one connection pool.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use krafka::producer::{Acks, TransactionalProducer};
use krafka::{Compression, Kafka};
use tokio::sync::Mutex;

use super::lane::KafkaLane;
use super::limits::{BATCH_BYTES, COORDINATOR_TIMEOUT, DELIVERY_TIMEOUT, TRANSACTION_TIMEOUT};
use super::{Lane, Lanes};
use crate::config::RETRY_BACKOFF;
use crate::{LogConfig, LogError};

/// Bytes a lane holds at most, unsent.
const BUFFER_BYTES: usize = 32 * 1024 * 1024;

/// How often opening an id is tried, each time on a new connection pool.
const OPEN_TRIES: usize = 2;

/// Opens lanes. One for a process: lanes on one connection pool are faster together than with a pool each.
#[derive(Debug)]
pub struct LaneFactory {
    config: LogConfig,
    pool: Mutex<Pool>,
}

/// A connection pool, and which one it is: they are counted.
#[derive(Debug, Clone)]
struct Pool {
    kafka: Kafka,
    number: u64,
}

impl LaneFactory {
    /// Connects to the brokers.
    ///
    /// # Errors
    /// [`LogError::Client`] when no broker is reachable.
    pub async fn connect(config: &LogConfig) -> Result<Self, LogError> {
        let pool = Pool { kafka: config.krafka().await?, number: 0 };
        Ok(Self { config: config.clone(), pool: Mutex::new(pool) })
    }

    /// Replaces the pool that failed, unless somebody has by now. Known brokers that moved are found by that: the new pool
    /// asks the bootstrap addresses.
    async fn replace(&self, failed: u64) -> Result<(), LogError> {
        let mut pool = self.pool.lock().await;
        if pool.number == failed {
            *pool = Pool { kafka: self.config.krafka().await?, number: failed + 1 };
        }
        Ok(())
    }
}

impl Pool {
    async fn producer(&self, transactional_id: &str) -> Result<TransactionalProducer, LogError> {
        self.kafka
            .producer()
            .acks(Acks::All)
            .idempotent(true)
            .linger(Duration::ZERO)
            .batch_size(BATCH_BYTES)
            // Four interleaved runs with windows of 2,000 records of about 550 bytes: the broker used 71 against 109
            // hundredths of a second, we 3 % more.
            .compression(Compression::Lz4)
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
        let mut tries_left = OPEN_TRIES;
        loop {
            tries_left -= 1;
            let pool = self.pool.lock().await.clone();
            let refused = match pool.producer(transactional_id).await {
                Ok(producer) if producer.transaction_version().is_v2() => {
                    return Ok(Arc::new(KafkaLane::new(producer)));
                }
                // The cluster is old, or the client's question was disturbed: then it falls back to v1 without a word.
                Ok(producer) => LogError::OldTransactions { found: producer.transaction_version().to_string() },
                Err(error) => error,
            };
            if tries_left == 0 {
                return Err(refused);
            }
            tracing::warn!(error = %refused, transactional_id, "connecting anew to open it once more");
            self.replace(pool.number).await?;
        }
    }
}
