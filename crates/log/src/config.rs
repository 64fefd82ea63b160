//! How to reach the brokers, and the client settings that are ours everywhere.

use std::time::Duration;

use krafka::{Kafka, MetadataRecoveryStrategy};
use rdkafka::ClientConfig;

use crate::LogError;

/// How long a request to a broker may take. Brokers on the same network answer in milliseconds; a broker that died is to be
/// noticed in seconds, not in the clients' default of a minute.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);
/// How long connecting to a broker may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// First pause before a request is tried again; the client doubles it. The usual cause is a coordinator that has not
/// finished the markers of the previous transaction, a matter of a millisecond.
pub(crate) const RETRY_BACKOFF: Duration = Duration::from_millis(1);

/// How to reach the brokers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// `host:port`, several separated by commas.
    pub bootstrap: String,
    /// How this process calls itself in the brokers' logs and quotas.
    pub client_id: String,
}

impl LogConfig {
    /// Brokers at `bootstrap`, this process calling itself `client_id`.
    pub fn new(bootstrap: impl Into<String>, client_id: impl Into<String>) -> Self {
        Self { bootstrap: bootstrap.into(), client_id: client_id.into() }
    }

    /// Settings that every rdkafka client of ours has.
    pub(crate) fn rdkafka(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("client.id", &self.client_id)
            .set("allow.auto.create.topics", "false")
            .set("socket.nagle.disable", "true")
            .set("socket.keepalive.enable", "true")
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000");
        config
    }

    /// Settings that every rdkafka consumer of ours has: committed records only, nothing committed by itself, checksums
    /// verified, and latency before idleness.
    pub(crate) fn consumer(&self) -> ClientConfig {
        let mut config = self.rdkafka();
        config
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("check.crcs", "true")
            .set("fetch.min.bytes", "1")
            .set("fetch.wait.max.ms", "100")
            .set("fetch.error.backoff.ms", "50")
            // The default of a second stalls a reader whose queue was full for a moment.
            .set("fetch.queue.backoff.ms", "2")
            .set("queued.min.messages", "100000")
            .set("queued.max.messages.kbytes", "32768");
        config
    }

    /// A krafka connection pool of its own.
    ///
    /// Transactions wait behind the long poll of a consumer on the same pool, so pools are never shared between uses.
    pub(crate) async fn krafka(&self) -> Result<Kafka, LogError> {
        Kafka::builder(&self.bootstrap)
            .client_id(&self.client_id)
            .request_timeout(REQUEST_TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .allow_auto_create_topics(false)
            .tcp_nodelay(true)
            // Else the client forgets the brokers when all are down, and its transactions never ask for them again: after a
            // restart of the only broker they failed until the process ended.
            .metadata_recovery_strategy(MetadataRecoveryStrategy::None)
            .connect()
            .await
            .map_err(|error| LogError::client(format!("reach Kafka at {}", self.bootstrap), error))
    }
}
