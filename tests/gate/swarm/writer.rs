//! Appends to streams that nobody else writes, so that it always knows their versions; reads back what it wrote.

use std::sync::Arc;

use spina_core::{ExpectedVersion, Version};
use spina_testkit::history::Outcome;

use crate::gate::arena::Arena;
use crate::gate::event::Kind;
use crate::gate::journal::{Ask, Journal};
use crate::gate::rng::Rng;

const STREAMS: usize = 8;
const BATCH_MAX: u64 = 20;

/// Appends one or several events at a time, with an exact expectation.
pub async fn run(arena: Arc<Arena>, id: u32, mut rng: Rng) -> Journal {
    let mut journal = Journal::of(format!("writer {id}"));
    let mut versions = [0_u64; STREAMS];
    let mut n = 0;
    while !arena.stopped() {
        let at = (rng.number() % STREAMS as u64) as usize;
        let stream = format!("note-w{id}-{at}");
        let events = if rng.once_in(3) { rng.between(2, BATCH_MAX) } else { 1 };
        let drafts = (n..n + events).map(|n| arena.events.draft(Kind::Note, id, n, format!("w{id}-{n}"))).collect();
        let key = rng.once_in(2).then(|| format!("request-w{id}-{n}"));
        n += events;
        let expected = match (versions[at], rng.once_in(4)) {
            (0, _) => ExpectedVersion::NoStream,
            (_, true) => ExpectedVersion::StreamExists,
            (version, false) => ExpectedVersion::Exact(Version(version)),
        };
        let ask = Ask::new(&stream, key, expected, drafts, rng.once_in(10));
        let Some(answered) = journal.settle(&arena, &ask).await else { break };
        match answered.outcome {
            Outcome::Ok(Some(place)) if place.first == versions[at] + 1 => versions[at] = place.last,
            other => {
                let surprise =
                    format!("I5: {stream} was at {}, {expected} gave {other:?}: {}", versions[at], answered.body);
                journal.surprises.push(surprise);
                break;
            }
        }
        if rng.once_in(10) {
            read_back(&arena, &mut journal, &stream, versions[at]).await;
        }
    }
    journal
}

/// A read that begins after an acknowledgement includes what was acknowledged, without a gap.
async fn read_back(arena: &Arena, journal: &mut Journal, stream: &str, version: u64) {
    let from = version.saturating_sub(50).max(1);
    let Some(read) = arena.read(stream, &format!("/events?from_version={from}&limit=100")).await else { return };
    *journal.counts.entry("read").or_default() += 1;
    let versions: Vec<u64> = read["events"]
        .as_array()
        .map(|events| events.iter().filter_map(|event| event["version"].as_u64()).collect())
        .unwrap_or_default();
    if versions != (from..=version).collect::<Vec<_>>() || read["version"] != version {
        let last = &read["version"];
        journal.surprises.push(format!("read-your-writes: {stream} at {version} was read to {last}: {versions:?}"));
    }
}
