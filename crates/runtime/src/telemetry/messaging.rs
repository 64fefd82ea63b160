//! Names of the OpenTelemetry messaging conventions, in one place because they are still in development.
//!
//! Source: semantic conventions, `docs/messaging/messaging-spans.md` and `kafka.md`. Span name is
//! `{operation} {destination}`; kinds: send = producer, receive = client, process = consumer.

/// Always `kafka` here.
pub const SYSTEM: &str = "messaging.system";
/// Value of [`SYSTEM`].
pub const SYSTEM_KAFKA: &str = "kafka";
/// Name of the operation as the system calls it, such as `send` or `poll`.
pub const OPERATION_NAME: &str = "messaging.operation.name";
/// One of `create`, `send`, `receive`, `process`, `settle`.
pub const OPERATION_TYPE: &str = "messaging.operation.type";
/// Topic.
pub const DESTINATION_NAME: &str = "messaging.destination.name";
/// Partition number as text.
pub const DESTINATION_PARTITION_ID: &str = "messaging.destination.partition.id";
/// Consumer group.
pub const CONSUMER_GROUP_NAME: &str = "messaging.consumer.group.name";
/// Client id.
pub const CLIENT_ID: &str = "messaging.client.id";
/// Records in a batch; only on spans that cover a batch.
pub const BATCH_MESSAGE_COUNT: &str = "messaging.batch.message_count";
/// Event or command id.
pub const MESSAGE_ID: &str = "messaging.message.id";
/// Correlation id.
pub const MESSAGE_CONVERSATION_ID: &str = "messaging.message.conversation_id";
/// Record key.
pub const KAFKA_MESSAGE_KEY: &str = "messaging.kafka.message.key";
/// Record offset.
pub const KAFKA_OFFSET: &str = "messaging.kafka.offset";
/// True for a record without a value.
pub const KAFKA_MESSAGE_TOMBSTONE: &str = "messaging.kafka.message.tombstone";
/// Class of the error that ended the operation.
pub const ERROR_TYPE: &str = "error.type";
