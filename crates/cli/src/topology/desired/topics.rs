//! The topics of a context and how they are configured.

use std::collections::BTreeMap;

use spina_log::names;
use spina_rules::context::ContextDef;
use spina_rules::source::{Located, Place, Problem};

/// Topic configuration by key.
pub type Configs = BTreeMap<&'static str, String>;

/// Largest batch of records the broker takes, in bytes: an event of 1 MiB with its headers, and room for more beside.
pub const BATCH_BYTES_MAX: u32 = 2 * 1024 * 1024;
/// As above for dead letters: the record as it came, and headers that tell what was wrong with it.
pub const DEAD_LETTER_BYTES_MAX: u32 = BATCH_BYTES_MAX + 64 * 1024;
/// How long commands, replies and dead letters are kept: 7 days, Kafka's own default.
const PASSING_RETENTION_MS: i64 = 7 * 24 * 3_600_000;

/// How long a deleted row's tombstone stays: a sink that was away for less learns of it. 7 days.
const TOMBSTONE_RETENTION_MS: i64 = 7 * 24 * 3_600_000;

/// What a topic is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The events: the truth.
    Events,
    /// Requests, their answers, and what could not be handled: passing through.
    Passing,
    /// Rows of a read model: the last record of a key is what counts.
    Model,
}

/// A topic as it must be.
#[derive(Debug, Clone)]
pub struct DesiredTopic {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub purpose: Purpose,
    /// The file of its context.
    pub file: String,
    /// Number of partitions and where it is declared.
    pub partitions: Located<i32>,
    /// Copies of each partition and where that is declared; the cluster decides if absent.
    pub replication: Option<Located<i16>>,
    /// Its configuration, save what follows from the replication.
    pub configs: Configs,
}

impl DesiredTopic {
    /// The whole configuration, given how many copies of each partition there are.
    pub fn configs_at(&self, replication: i16) -> Configs {
        let mut configs = self.configs.clone();
        configs.insert("min.insync.replicas", min_insync(replication).to_string());
        configs
    }

    /// A problem with the topic at a place in its context's file.
    pub fn problem(&self, place: Place, message: String) -> Problem {
        Problem { file: self.file.clone(), place, message }
    }
}

/// How many copies must have a record before it counts: one may be away, but the record is on two where there are
/// three.
fn min_insync(replication: i16) -> i16 {
    if replication >= 3 { 2 } else { 1 }
}

/// The topics of a context.
pub fn of(context: &ContextDef) -> Vec<DesiredTopic> {
    let (commands, events) = (names::commands_topic(&context.name), names::events_topic(&context.name));
    let retention_ms = context.retention_ms.unwrap_or(-1);
    let topic = |name: String, purpose, retention_ms, batch_bytes_max| DesiredTopic {
        name,
        purpose,
        file: context.file.clone(),
        partitions: context.partitions.clone(),
        replication: context.replication.clone(),
        configs: configs(purpose, retention_ms, batch_bytes_max),
    };
    vec![
        topic(commands.clone(), Purpose::Passing, PASSING_RETENTION_MS, BATCH_BYTES_MAX),
        topic(names::dlq(&commands), Purpose::Passing, PASSING_RETENTION_MS, DEAD_LETTER_BYTES_MAX),
        topic(events.clone(), Purpose::Events, retention_ms, BATCH_BYTES_MAX),
        topic(names::dlq(&events), Purpose::Passing, PASSING_RETENTION_MS, DEAD_LETTER_BYTES_MAX),
        topic(names::replies_topic(&context.name), Purpose::Passing, PASSING_RETENTION_MS, BATCH_BYTES_MAX),
    ]
}

/// A topic that a context publishes, and its dead letters. Both have the partitions of its events.
pub fn published(context: &ContextDef, name: &str) -> [DesiredTopic; 2] {
    let topic = |name: String, purpose, configs| DesiredTopic {
        name,
        purpose,
        file: context.file.clone(),
        partitions: context.partitions.clone(),
        replication: context.replication.clone(),
        configs,
    };
    let retention_ms = context.retention_ms.unwrap_or(-1);
    let dead_letters = configs(Purpose::Passing, PASSING_RETENTION_MS, DEAD_LETTER_BYTES_MAX);
    [
        topic(name.to_owned(), Purpose::Events, configs(Purpose::Events, retention_ms, BATCH_BYTES_MAX)),
        topic(names::dlq(name), Purpose::Passing, dead_letters),
    ]
}

/// A topic of plain JSON that a context takes in, and its dead letters. Records without keys have an order in one partition
/// only.
pub fn intake(context: &ContextDef, name: &Located<String>) -> [DesiredTopic; 2] {
    let partitions = Located::new(1, name.place);
    let topic = |name: String, batch_bytes_max| DesiredTopic {
        name,
        purpose: Purpose::Passing,
        file: context.file.clone(),
        partitions: partitions.clone(),
        replication: context.replication.clone(),
        configs: configs(Purpose::Passing, PASSING_RETENTION_MS, batch_bytes_max),
    };
    [topic(name.value.clone(), BATCH_BYTES_MAX), topic(names::dlq(name), DEAD_LETTER_BYTES_MAX)]
}

/// The topic of a read model.
pub fn model(context: &ContextDef, name: String) -> DesiredTopic {
    DesiredTopic {
        name,
        purpose: Purpose::Model,
        file: context.file.clone(),
        partitions: context.partitions.clone(),
        replication: context.replication.clone(),
        configs: configs(Purpose::Model, -1, BATCH_BYTES_MAX),
    }
}

/// A topic of Spina's own with one partition, which keeps everything in one order.
pub fn single(name: &str, purpose: Purpose, file: &str) -> DesiredTopic {
    internal(name, purpose, file, Located::new(1, Place::FILE))
}

/// A topic of Spina's own.
pub fn internal(name: &str, purpose: Purpose, file: &str, partitions: Located<i32>) -> DesiredTopic {
    let retention_ms = match purpose {
        Purpose::Events | Purpose::Model => -1,
        Purpose::Passing => PASSING_RETENTION_MS,
    };
    let configs = configs(purpose, retention_ms, BATCH_BYTES_MAX);
    DesiredTopic { name: name.to_owned(), purpose, file: file.to_owned(), partitions, replication: None, configs }
}

fn configs(purpose: Purpose, retention_ms: i64, batch_bytes_max: u32) -> Configs {
    let mut configs = Configs::from([
        ("cleanup.policy", "delete".to_owned()),
        ("compression.type", "producer".to_owned()),
        ("max.message.bytes", batch_bytes_max.to_string()),
        ("message.timestamp.type", "CreateTime".to_owned()),
        ("retention.ms", retention_ms.to_string()),
    ]);
    match purpose {
        // A broker may limit its topics by size; events must not be lost to that.
        Purpose::Events => _ = configs.insert("retention.bytes", "-1".to_owned()),
        Purpose::Model => {
            configs.insert("cleanup.policy", "compact".to_owned());
            configs.insert("delete.retention.ms", TOMBSTONE_RETENTION_MS.to_string());
        }
        Purpose::Passing => {}
    }
    configs
}
