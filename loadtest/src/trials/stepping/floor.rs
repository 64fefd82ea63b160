//! The floor: the same topics, hops and records, and nothing that decides anything.
//!
//! ```text
//! events, replies ─ copy ─▶ inbox ─ two records for the log, and the next command ─▶ log, commands ─ runner ─▶ replies
//! ```

use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use spina_codec::headers::{CE_ID, Headers};
use spina_codec::partitioner::partition_for;
use spina_log::{Fetched, NewRecord};

use super::declared::{Begins, PARTITIONS};
use super::runner::{CAUSE, Runner};
use super::track::Track;
use crate::bench::Bench;
use crate::trials::copy::copy_of;
use crate::trials::hop::{Hop, Make};

/// The floor's topics.
pub const FLOOR: Track = Track {
    events: "bench.relay-events.v1",
    replies: "bench.relay-replies.v1",
    log: "bench.relay-log.v1",
    commands: "bench.relay-commands.v1",
};
const INBOX: &str = "bench.relay-inbox.v1";
/// Header that says how many commands are to come.
const LEGS: &str = "legs";
/// Bytes of a record of the log.
const LOGGED_BYTES: usize = 250;
/// The orchestrator's defaults.
const BATCH_INPUTS_MAX: usize = 1_000;
const LANES: usize = 2;

/// A hop with the orchestrator's limits.
pub fn hop(group: &str, topic: &str, make: Make) -> Hop {
    Hop { group: group.to_owned(), topic: topic.into(), records_max: BATCH_INPUTS_MAX, lanes: LANES, make }
}

/// Makes the topics.
pub async fn create(bench: &Bench) -> anyhow::Result<()> {
    for topic in [FLOOR.events, FLOOR.replies, FLOOR.log, FLOOR.commands, INBOX] {
        bench.log.create(topic, PARTITIONS).await?;
    }
    Ok(())
}

/// All hops.
pub fn hops(runner: &Runner) -> [Hop; 4] {
    let inbox: Arc<str> = INBOX.into();
    let copy: Make = Arc::new(move |record| Ok(vec![copy_of(record, &inbox)]));
    [
        hop("bench.relay-events", FLOOR.events, Arc::clone(&copy)),
        hop("bench.relay-replies", FLOOR.replies, copy),
        hop("bench.relay-react", INBOX, reacting()),
        runner.hop("bench.relay-runner", FLOOR.commands, FLOOR.replies),
    ]
}

/// What begins a race.
pub fn begin(begins: Begins, key: &str) -> NewRecord {
    let mut headers = Headers::default();
    headers.push(LEGS, Some(begins.legs.to_string().as_bytes()));
    record(&FLOOR.events.into(), key, headers)
}

/// Two records of the log for each record of the inbox, and a command until all legs are run.
fn reacting() -> Make {
    let (log, commands): (Arc<str>, Arc<str>) = (FLOOR.log.into(), FLOOR.commands.into());
    let logged = Bytes::from(vec![b'l'; LOGGED_BYTES]);
    Arc::new(move |input: Fetched| {
        let key = input.key.as_deref().context("a race has a key")?;
        let key = std::str::from_utf8(key)?;
        let left: u64 = match (input.headers.get_str(CAUSE), input.headers.get_str(LEGS)) {
            (Some(cause), _) => cause.rsplit('/').next().unwrap_or_default().parse::<u64>()? - 1,
            (None, legs) => legs.context("a race has legs")?.parse()?,
        };
        let happened = || NewRecord { value: Some(logged.clone()), ..record(&log, key, Headers::default()) };
        let mut made = vec![happened(), happened()];
        if left > 0 {
            let mut headers = Headers::default();
            headers.push(CE_ID, Some(format!("{key}/{left}").as_bytes()));
            made.push(record(&commands, key, headers));
        }
        Ok(made)
    })
}

fn record(topic: &Arc<str>, key: &str, headers: Headers) -> NewRecord {
    let (topic, partition) = (Arc::clone(topic), partition_for(key.as_bytes(), PARTITIONS));
    let key = Bytes::copy_from_slice(key.as_bytes());
    NewRecord { topic, partition, key, value: Some(Bytes::from_static(b"go")), headers, timestamp_ms: None }
}
