//! The invariants, checked on what clients wrote down, what the log holds, and what reads and read model say of it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use serde_json::{Map, Value};
use spina_log::{Admin, LogReader, ReaderOptions, Start, settled};
use spina_testkit::history::{Commands, Logged, Operation, Outcome, Report, check, conservation};

use super::arena::Arena;
use super::journal::Journal;
use super::nodes::Nodes;
use super::rng::Rng;
use super::swarm::follower::Followed;
use crate::history;
use crate::http::Http;

/// How long open transactions of killed writers may take to be settled.
const SETTLE: Duration = Duration::from_secs(60);
/// How long the read model may take to have everything, once the load has ended: I14.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(60);
/// Streams whose state is compared.
const STATES: usize = 150;

/// What was found.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Broken invariants, described; the first of each kind.
    pub violations: Vec<String>,
    /// How many there are.
    pub count: usize,
    /// Events that were acknowledged, each counted once.
    pub acknowledged: u64,
    /// Events in the log.
    pub logged: usize,
    /// Streams in the log.
    pub streams: usize,
    /// Commands that were published.
    pub commands: usize,
    /// States compared with their fold.
    pub states: usize,
    /// Events that followers were told of.
    pub followed: usize,
    /// Connections that took.
    pub connections: u64,
    /// Rows of the read model that were compared.
    pub rows: usize,
}

/// The log as the checks need it.
struct Log {
    events: Vec<Logged>,
    /// Of each stream, the fields of each event; kept for the streams whose state is compared.
    tallies: BTreeMap<u64, (u64, u64)>,
    values: HashMap<String, Vec<bytes::Bytes>>,
}

impl Verdict {
    /// Judges a run that has ended. All servers and processes run again.
    pub async fn of(arena: &Arena, nodes: &Nodes, journals: &mut [Journal], followed: &[Followed], seed: u64) -> Self {
        let mut verdict = Self::default();
        let mut operations: Vec<Operation> = Vec::new();
        for journal in journals {
            journal.surprises.iter().for_each(|surprise| verdict.add(surprise.clone()));
            operations.append(&mut journal.operations);
        }
        let log = read(arena).await;
        verdict.history(&check(&operations, &log.events));
        let acknowledged = operations.iter().filter(|operation| matches!(operation.outcome, Outcome::Ok(_)));
        let ids = acknowledged.flat_map(|operation| operation.events.iter().map(|event| event.id.as_str()));
        verdict.acknowledged = ids.collect::<HashSet<_>>().len() as u64;
        drop(operations);
        verdict.logged = log.events.len();
        verdict.streams = log.values.len();
        verdict.followers(&log, followed);
        verdict.commands(arena).await;
        verdict.states(arena, &log, Rng::new(seed)).await;
        if let Some(projector) = &nodes.projector {
            verdict.read_model(arena, &Http::new(&projector.url), &log).await;
        }
        verdict
    }

    /// Adds what is broken.
    pub fn add(&mut self, violation: String) {
        self.count += 1;
        if self.violations.len() < 100 {
            self.violations.push(violation);
        }
    }

    fn history(&mut self, report: &Report) {
        self.violations.extend(report.violations.iter().map(ToString::to_string));
        self.count += report.count;
    }

    /// I10, and I14 for what was published: every command is consumed soon, and has one reply.
    async fn commands(&mut self, arena: &Arena) {
        let begun = tokio::time::Instant::now();
        loop {
            let commands = published(arena).await;
            let report = conservation(&commands);
            if report.is_clean() || begun.elapsed() > DRAIN_LIMIT {
                self.commands = commands.sent.len();
                self.history(&report);
                return;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// I13: what came over any chain of connections is what the log has, partition by partition.
    fn followers(&mut self, log: &Log, all: &[Followed]) {
        let notes = |partition| {
            let of_partition = log.events.iter().filter(move |event| event.partition == partition);
            of_partition.filter(|event| event.stream.starts_with("note-")).map(|event| (event.offset, event.version))
        };
        let partitions: BTreeSet<i32> = log.events.iter().map(|event| event.partition).collect();
        for followed in all {
            self.followed += followed.events.len();
            self.connections += followed.connections;
            for partition in &partitions {
                let told = followed.events.iter().filter(|(of, ..)| of == partition);
                let told: Vec<(i64, u64)> = told.map(|(_, offset, version)| (*offset, *version)).collect();
                let expected: Vec<(i64, u64)> = notes(*partition).collect();
                if told != expected {
                    let differs = told.iter().zip(&expected).position(|(told, expected)| told != expected);
                    let (told, expected) = (told.len(), expected.len());
                    self.add(format!(
                        "I13: of partition {partition} a follower was told {told} events, the log has {expected}; the \
                         first difference is at {differs:?}"
                    ));
                }
            }
        }
    }

    /// I8: a state is the fold of its events, now and at an earlier version.
    async fn states(&mut self, arena: &Arena, log: &Log, mut rng: Rng) {
        let streams: Vec<&String> = log.values.keys().collect();
        for _ in 0..STATES.min(streams.len()) {
            let stream = *rng.pick(&streams);
            let values = &log.values[stream];
            let last = values.len() as u64;
            let version = rng.between(1, last);
            for (at, query) in [(last, String::new()), (version, format!("?version={version}"))] {
                let Some(found) = arena.read(stream, &query).await else {
                    self.add(format!("I8: the state of {stream} cannot be read"));
                    continue;
                };
                let mut fold: Map<String, Value> = arena.events.decode(&values[at as usize - 1]);
                let status = if stream.starts_with("bulk-") { "Loaded" } else { "Noted" };
                fold.insert("status".to_owned(), Value::from(status));
                self.states += 1;
                if found["version"] != at || found["state"] != Value::Object(fold) {
                    self.add(format!("I8: the state of {stream} at {at} is not the fold of its events: {found}"));
                }
            }
        }
    }

    /// I9 for one read model, and I14: it has everything soon.
    async fn read_model(&mut self, arena: &Arena, projector: &Http, log: &Log) {
        let begun = tokio::time::Instant::now();
        let expected: BTreeMap<u64, (u64, u64)> = log.tallies.clone();
        loop {
            let found = rows(arena, projector).await.unwrap_or_default();
            if found == expected {
                self.rows = found.len();
                return;
            }
            if begun.elapsed() > DRAIN_LIMIT * 2 {
                let wrong = expected.iter().find(|(client, row)| found.get(*client) != Some(row));
                self.add(format!(
                    "I9: the read model has {} rows of {}; wrong: {wrong:?}",
                    found.len(),
                    expected.len()
                ));
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// What was published and replied. All of it counts as consumed.
async fn published(arena: &Arena) -> Commands {
    let mut commands = Commands::default();
    for record in history::committed(&arena.stack.kafka, &arena.context.commands_topic()).await {
        let request = record.headers.get_str("ce_id").unwrap_or_default().to_owned();
        commands.consumed.insert(record.partition, record.offset + 1);
        commands.sent.push((record.partition, record.offset, request));
    }
    for record in history::committed(&arena.stack.kafka, &arena.context.replies_topic()).await {
        let reply = arena.events.reply(record.value.as_deref().unwrap_or_default());
        commands.replies.push(reply["request_id"].as_str().unwrap_or_default().to_owned());
    }
    commands
}

async fn rows(arena: &Arena, projector: &Http) -> Option<BTreeMap<u64, (u64, u64)>> {
    let path = format!("/v1/{}/models/tally?limit=1000", arena.context.name);
    let answer = projector.get(&path).await.ok()?;
    let row = |row: &Value| Some((row["client"].as_u64()?, (row["events"].as_u64()?, row["total"].as_u64()?)));
    answer.body["rows"].as_array()?.iter().map(row).collect()
}

/// Reads all committed events.
async fn read(arena: &Arena) -> Log {
    let topic = arena.context.events_topic();
    let admin = Admin::connect(&arena.log()).await.unwrap();
    for partition in 0..arena.partitions {
        settled::wait(&admin, &topic, partition, SETTLE).await.unwrap();
    }
    let starts = (0..arena.partitions).map(|partition| (partition, Start::Earliest)).collect();
    let options = ReaderOptions { stop_at_end: true, ..ReaderOptions::default() };
    let mut reader = LogReader::open(&arena.log(), &topic, starts, options).unwrap();
    let mut log = Log { events: Vec::new(), tallies: BTreeMap::new(), values: HashMap::new() };
    while let Some(batch) = reader.next().await {
        for record in batch.unwrap().records {
            let event = Logged::read(&record).unwrap();
            let value = record.value.unwrap();
            let fields = arena.events.decode(&value);
            let of = |name: &str| fields[name].as_u64().expect("both are numbers");
            let tally = log.tallies.entry(of("client")).or_default();
            *tally = (tally.0 + 1, tally.1 + of("n"));
            log.values.entry(event.stream.clone()).or_default().push(value);
            log.events.push(event);
        }
    }
    log
}
