//! Imports: the volume. Each import goes to one partition, so that one process takes all of it.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use spina_core::ExpectedVersion;
use spina_testkit::history::{Operation, Outcome, Payload};

use crate::gate::arena::Arena;
use crate::gate::event::Kind;
use crate::gate::journal::Journal;
use crate::gate::rng::Rng;

/// Streams of an importer in each partition.
const STREAMS: u64 = 50;
const PAUSE: Duration = Duration::from_millis(200);
/// Longest that an import may take before it is sent again.
const LIMIT: Duration = Duration::from_secs(30);
/// Imports that are tried this often without an end are given up.
const TRIES_MAX: usize = 300;

/// A line that is not known to be done.
struct Line {
    text: String,
    stream: String,
    payload: Payload,
}

/// Imports `lines` at a time, each repeated until all of it is done.
pub async fn run(arena: Arc<Arena>, id: u32, mut rng: Rng, lines: u32) -> Journal {
    let mut journal = Journal::of(format!("importer {id}"));
    let (mut n, mut streams) = (0, HashMap::new());
    while !arena.stopped() {
        let partition = i32::try_from(rng.number() % arena.partitions as u64).unwrap();
        let mut waiting: Vec<Line> = (0..u64::from(lines))
            .map(|_| {
                n += 1;
                let place = (partition, rng.number() % STREAMS);
                let stream = streams
                    .entry(place)
                    .or_insert_with(|| arena.stream_in(partition, &format!("bulk-i{id}-{}", place.1)));
                line(&arena, id, n, stream)
            })
            .collect();
        let invoked = arena.now_us();
        for _ in 0..TRIES_MAX {
            let node = arena.route(partition);
            let (done, elsewhere) = send(&arena, node, &waiting, &mut journal).await;
            let completed = arena.now_us();
            let finished = waiting.drain(..done).map(|line| line.operation(invoked, completed, Outcome::Ok(None)));
            journal.operations.extend(finished);
            if done > 0 {
                arena.acknowledge(partition, invoked, done);
                journal.count(&Outcome::Ok(None), completed);
            }
            if waiting.is_empty() {
                break;
            }
            *journal.counts.entry("unknown").or_default() += 1;
            if elsewhere {
                arena.reroute(partition, node);
            }
            tokio::time::sleep(PAUSE).await;
        }
        if !waiting.is_empty() {
            journal.surprises.push(format!("I14: importer {id} could not end an import"));
        }
        let unknown = waiting.into_iter().map(|line| line.operation(invoked, invoked, Outcome::Unknown));
        journal.operations.extend(unknown);
    }
    journal
}

fn line(arena: &Arena, id: u32, n: u64, stream: &str) -> Line {
    let draft = arena.events.draft(Kind::Bulk, id, n, format!("i{id}-{n}"));
    let mut text = draft.json();
    text["stream"] = Value::from(stream);
    Line { text: text.to_string(), stream: stream.to_owned(), payload: draft.payload }
}

impl Line {
    fn operation(self, invoked: u64, completed: u64, outcome: Outcome) -> Operation {
        Operation {
            stream: self.stream,
            expected: ExpectedVersion::Any,
            request: None,
            events: vec![self.payload],
            invoked,
            completed,
            outcome,
        }
    }
}

/// Sends an import. How many lines are done, and whether to ask another process.
async fn send(arena: &Arena, node: usize, lines: &[Line], journal: &mut Journal) -> (usize, bool) {
    let url = format!("{}/v1/{}/import", arena.urls[node], arena.context.name);
    let mut body = String::with_capacity(lines.len() * 200);
    for line in lines {
        writeln!(body, "{}", line.text).expect("a string takes everything");
    }
    let Ok(response) = arena.client.post(url).timeout(LIMIT).body(body).send().await else { return (0, true) };
    let Ok(text) = response.text().await else { return (0, true) };
    let reports: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let Some(last) = reports.iter().rev().find(|report| report["lines"].is_u64()) else { return (0, true) };
    if last["rejected"] != 0 {
        journal.surprises.push(format!("an import was refused: {:?}", reports.iter().find(|r| r["line"].is_u64())));
    }
    let done = last["lines"].as_u64().unwrap_or_default() as usize;
    (done.min(lines.len()), last["error_code"] == "state.unavailable")
}
