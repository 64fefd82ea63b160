//! How the client of a member is set.

use std::time::Duration;

use rdkafka::ClientConfig;

use super::MembershipOptions;
use crate::LogConfig;

/// A member hears that the group is sharing out anew with the answer to its next heartbeat, so this is a good part of what
/// moving a partition takes. Sent by a thread of the client's own, however busy we are.
const HEARTBEAT_MS: &str = "200";
/// How long the others wait in a rebalance for a member that does not join again; then they go on without it, and it comes
/// back when it hears of that. Also the longest time between two polls.
///
/// A session that is longer than this makes it longer: the client wants it so.
const REJOIN_LIMIT: Duration = Duration::from_secs(30);

/// Bytes that are fetched ahead for each partition, in KiB. The client counts so because each has a queue of its own.
const QUEUE_KIB_MAX: &str = "8192";

/// The settings of a client that is to be this member.
pub(super) fn of(config: &LogConfig, options: &MembershipOptions) -> ClientConfig {
    let mut client = config.consumer();
    client
        .set("group.id", &options.group)
        .set("group.protocol", "classic")
        .set("group.instance.id", &options.instance_id)
        // Partitions that stay where they are go on working while others move.
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", options.session_timeout.as_millis().to_string())
        .set("heartbeat.interval.ms", HEARTBEAT_MS)
        .set("max.poll.interval.ms", REJOIN_LIMIT.max(options.session_timeout).as_millis().to_string())
        // A group that has no offset yet begins with the first command there is.
        .set("auto.offset.reset", "earliest")
        .set("enable.partition.eof", "false")
        .set("queued.min.messages", options.queue_records_max.max(1).to_string())
        .set("queued.max.messages.kbytes", QUEUE_KIB_MAX);
    client
}
