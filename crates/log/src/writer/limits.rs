//! Limits that both writers keep.

use std::time::Duration;

/// How long the coordinator lets a transaction stay open before it aborts it. An open one blocks every committed reader of
/// its partitions, so it is short; our transactions take milliseconds.
pub(super) const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a record may be on its way, retries included.
pub(super) const DELIVERY_TIMEOUT: Duration = Duration::from_secs(8);
/// How long any one question to a coordinator may take, retries included: the time a restarting broker gets.
pub(super) const COORDINATOR_TIMEOUT: Duration = Duration::from_secs(8);
/// Bytes of a batch. A window's records of one partition should fit, since a second batch waits for the next request; and
/// uncompressed it must stay under the brokers' default limit of 1 MiB.
pub(super) const BATCH_BYTES: usize = 768 * 1024;
