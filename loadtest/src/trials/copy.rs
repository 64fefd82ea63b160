//! The floor of the commands topic: an exactly-once copy that does nothing else.

use std::sync::Arc;

use spina_log::{Fetched, NewRecord, names};

use super::hop::Hop;
use crate::log::SCRATCH;

/// The group that copies.
const GROUP: &str = "bench.copy";
/// Records in a window; the event-store's default.
const WINDOW_RECORDS_MAX: usize = 4_000;
/// Transactional ids of a partition, used in turn; the event-store's default.
const LANES: usize = 4;

/// Copies what the commands topic holds beyond what earlier rounds have copied.
pub fn hop() -> anyhow::Result<Hop> {
    let scratch: Arc<str> = SCRATCH.into();
    Ok(Hop {
        group: GROUP.to_owned(),
        topic: names::commands_topic(&"bench".parse()?).into(),
        records_max: WINDOW_RECORDS_MAX,
        lanes: LANES,
        make: Arc::new(move |record| Ok(vec![copy_of(record, &scratch)])),
    })
}

/// The same record in the same partition of another topic.
pub fn copy_of(record: Fetched, topic: &Arc<str>) -> NewRecord {
    NewRecord {
        topic: Arc::clone(topic),
        partition: record.partition,
        key: record.key.unwrap_or_default(),
        value: record.value,
        headers: record.headers,
        timestamp_ms: None,
    }
}
