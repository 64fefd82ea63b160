//! What our rdkafka clients have in common: quiet logs, and which errors pass by themselves.

use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

/// A batch of records read is handed over once it holds this much, whatever its number of records.
pub(crate) const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// librdkafka writes a line for every attempt to reach a broker that is down. Those lines go to debug; what matters reaches
/// the caller as an error, or the log through [`Trouble`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(?level, facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, "{reason}");
    }
}

impl ConsumerContext for Quiet {}

/// How often the same lasting trouble is logged.
const TROUBLE_INTERVAL: Duration = Duration::from_secs(30);

/// Logs errors that the client mends by itself, at most once in a while.
#[derive(Debug)]
pub(crate) struct Trouble {
    doing: String,
    noted: Option<Instant>,
}

impl Trouble {
    pub(crate) fn new(doing: String) -> Self {
        Self { doing, noted: None }
    }

    pub(crate) fn note(&mut self, error: &KafkaError) {
        if self.noted.is_none_or(|noted| noted.elapsed() >= TROUBLE_INTERVAL) {
            self.noted = Some(Instant::now());
            tracing::warn!(%error, "trouble {}, the client goes on trying", self.doing);
        }
    }
}

/// Whether the error cannot be mended by waiting: the client said so, access is denied, or the data is damaged.
///
/// All others are brokers that are down, elections, overload: librdkafka goes on by itself.
pub(crate) fn ends_reading(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::Fatal
            | RDKafkaErrorCode::Authentication
            | RDKafkaErrorCode::SaslAuthenticationFailed
            | RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::GroupAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::BadMessage
            | RDKafkaErrorCode::BadCompression
            | RDKafkaErrorCode::InvalidMessage
            | RDKafkaErrorCode::InvalidTopic
            | RDKafkaErrorCode::InvalidArgument
            | RDKafkaErrorCode::UnknownPartition
            | RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::FencedInstanceId
            | RDKafkaErrorCode::InconsistentGroupProtocol
    )
}
