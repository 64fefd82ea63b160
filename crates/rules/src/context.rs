//! A bounded context as declared in `topology/<context>/context.yaml`.
//!
//! ```yaml
//! context: flights
//! partitions: 4                      # frozen when first applied
//! aggregates:
//!   flight:                          # category of its stream ids: flight-UA1545-20130101-EWR
//!     events: [FlightScheduled, FlightDeparted]
//!     unique: [tail_number]          # optional: fields that no two streams may have in common
//!     snapshot: { every: 100, fold_time_ms: 50, on: [FlightLanded] }   # optional, any of them
//!     commands: { ScheduleFlight: { require: [...], emit: [...] } }   # optional, with `initial` and `evolve`
//! publish: { late-landings.v1: { event: FlightLanded, record: LateLanding } }   # optional, see [`crate::publish`]
//! intake: { airport.notices: { type: FlightCancelled, stream: ... } }   # optional, see [`crate::intake`]
//! archive: false                     # optional: nothing in PostgreSQL, streams are read from the log
//! topics: { replication: 3, retention_ms: -1 }   # optional
//! ```

mod aggregate;
mod commands;
mod intake;
mod publish;
mod snapshot;

use std::path::{Path, PathBuf};

use spina_core::ContextName;

pub use aggregate::AggregateDef;
pub use commands::{CommandDef, EmitDef, EvolveDef, RequireDef};
pub use intake::IntakeDef;
pub use publish::PublishDef;

use crate::correlation::CORRELATION_FILE;
use crate::node::{Node, Reading};
use crate::source::{Located, Place, Problem, Problems, Source, quote};

/// Most partitions of a topic that a context may ask for.
pub const PARTITIONS_MAX: i64 = 1_000;
/// Shortest retention of events, in milliseconds (an hour): below it, a restart could miss events it has to read.
pub const RETENTION_MS_MIN: i64 = 3_600_000;
/// Longest name of an aggregate or event, in bytes; both are part of `ce_type`.
pub const TYPE_NAME_BYTES_MAX: usize = 64;
/// The definition's file name within the context's folder.
pub const CONTEXT_FILE: &str = "context.yaml";

/// A bounded context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextDef {
    /// Its name, which prefixes its topics.
    pub name: ContextName,
    /// The file it was read from, as the user named it.
    pub file: String,
    /// Number of partitions of each of its topics.
    pub partitions: Located<i32>,
    /// Its aggregates, in the order of the file.
    pub aggregates: Vec<AggregateDef>,
    /// What it publishes for everybody, in the order of the file.
    pub publish: Vec<PublishDef>,
    /// Topics of plain JSON that it takes in, in the order of the file.
    pub intake: Vec<IntakeDef>,
    /// Copies of each partition; the cluster decides if absent.
    pub replication: Option<Located<i16>>,
    /// How long events are kept, in milliseconds; `None` is for ever.
    pub retention_ms: Option<i64>,
    /// Whether its events are archived. If not, the log alone has them, and keeps them for ever.
    pub archive: bool,
}

impl ContextDef {
    /// Reads one definition; tells everything that is wrong with it.
    pub fn parse(source: &Source) -> Result<Self, Problems> {
        match Self::read(source) {
            (Some(context), problems) if problems.is_empty() => Ok(context),
            (_, problems) => Err(Problems(problems)),
        }
    }

    /// Reads one definition as far as possible, and what is wrong with it. A context that came with problems is good
    /// for finding more of them and for nothing else.
    pub fn read(source: &Source) -> (Option<Self>, Vec<Problem>) {
        match Reading::begin(source) {
            Ok((mut reading, root)) => {
                let context = read_context(&mut reading, &root, source.file());
                (context, reading.end())
            }
            Err(problem) => (None, vec![problem]),
        }
    }

    /// The Avro namespace of the context's records: its name, with underscores for hyphens.
    pub fn namespace(&self) -> String {
        self.name.as_str().replace('-', "_")
    }

    /// Each event with its aggregate.
    pub fn events(&self) -> impl Iterator<Item = (&AggregateDef, &Located<String>)> {
        self.aggregates.iter().flat_map(|aggregate| aggregate.events.iter().map(move |event| (aggregate, event)))
    }

    /// Each command with its aggregate.
    pub fn commands(&self) -> impl Iterator<Item = (&AggregateDef, &CommandDef)> {
        self.aggregates.iter().flat_map(|aggregate| aggregate.commands.iter().map(move |command| (aggregate, command)))
    }

    /// The full name of an event's or command's Avro record: `flights.FlightLanded`.
    pub fn record_name(&self, name: &str) -> String {
        format!("{}.{name}", self.namespace())
    }
}

/// Reads the contexts of a topology folder, one in each sub-folder, by name. Tells everything that is wrong.
pub fn load_all(topology_dir: &Path) -> Result<Vec<ContextDef>, Problems> {
    let (contexts, problems) = read_all(topology_dir);
    if problems.is_empty() { Ok(contexts) } else { Err(Problems(problems)) }
}

/// Like [`load_all`], but also what could be read despite the problems; see [`ContextDef::read`].
pub fn read_all(topology_dir: &Path) -> (Vec<ContextDef>, Vec<Problem>) {
    let folders = match folders(topology_dir) {
        Ok(folders) => folders,
        Err(problem) => return (Vec::new(), vec![problem]),
    };
    let mut contexts = Vec::new();
    let mut problems = Vec::new();
    if folders.is_empty() {
        problems.push(whole(topology_dir, format!("has no context; a context is a folder with a {CONTEXT_FILE}")));
    }
    for folder in folders {
        let (context, found) = read_folder(&folder);
        contexts.extend(context);
        problems.extend(found);
    }
    (contexts, problems)
}

/// Reads the context of one folder, which bears the context's name.
fn read_folder(folder: &Path) -> (Option<ContextDef>, Vec<Problem>) {
    let source = match Source::read(&folder.join(CONTEXT_FILE)) {
        Ok(source) => source,
        Err(problem) => return (None, vec![problem]),
    };
    let (context, mut problems) = ContextDef::read(&source);
    let folder_name = folder.file_name().unwrap_or_default().to_string_lossy();
    if let Some(context) = context.as_ref().filter(|context| context.name.as_str() != folder_name) {
        let message = format!("context `{}` is in a folder named {}", context.name, quote(&folder_name));
        problems.push(source.problem(Place::FILE, message));
    }
    (context, problems)
}

fn folders(topology_dir: &Path) -> Result<Vec<PathBuf>, Problem> {
    let refuse = |error: std::io::Error| whole(topology_dir, format!("cannot be read: {error}"));
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(topology_dir).map_err(refuse)? {
        let path = entry.map_err(refuse)?.path();
        // Alerts have rules, but neither aggregates nor a log of events of their own.
        let only_rules = path.join(CORRELATION_FILE).is_file() && !path.join(CONTEXT_FILE).exists();
        if path.is_dir() && !only_rules {
            folders.push(path);
        }
    }
    folders.sort();
    Ok(folders)
}

fn whole(path: &Path, message: String) -> Problem {
    Problem { file: path.display().to_string(), place: Place::FILE, message }
}

fn read_context(reading: &mut Reading<'_>, root: &Located<Node>, file: &str) -> Option<ContextDef> {
    let known = ["context", "partitions", "aggregates", "publish", "intake", "archive", "topics"];
    let entries = reading.mapping(root, "a context", &known)?;
    let mut required = |key: &str| {
        let node = entries.get(key);
        if node.is_none() {
            reading.complain(root.place, format!("`{key}` is missing"));
        }
        node
    };
    let (name, partitions, aggregates) = (required("context"), required("partitions"), required("aggregates"));
    let name = name.and_then(|node| read_name(reading, node));
    let partitions = partitions.and_then(|node| read_located(reading, node, "partitions", PARTITIONS_MAX));
    let aggregates = aggregates.and_then(|node| aggregate::read_all(reading, node));
    let publish = entries.get("publish").map(|node| publish::read_all(reading, node)).unwrap_or_default();
    let intake = entries.get("intake").map(|node| intake::read_all(reading, node)).unwrap_or_default();
    let topics = entries.get("topics").map(|node| read_topics(reading, node)).unwrap_or_default();
    let archive = entries.get("archive").and_then(|node| read_archive(reading, node, &topics)).unwrap_or(true);
    Some(ContextDef {
        name: name?,
        file: file.to_owned(),
        partitions: partitions?,
        aggregates: aggregates?,
        publish,
        intake,
        replication: topics.replication,
        retention_ms: topics.retention_ms,
        archive,
    })
}

fn read_name(reading: &mut Reading<'_>, node: &Located<Node>) -> Option<ContextName> {
    let name = reading.text(node, "`context`")?.parse();
    name.map_err(|error: spina_core::stream::NameError| reading.complain(node.place, error.to_string())).ok()
}

/// A whole number from 1 to `most`, with its place.
fn read_located<T: TryFrom<i64>>(
    reading: &mut Reading<'_>,
    node: &Located<Node>,
    what: &str,
    most: i64,
) -> Option<Located<T>> {
    let number = reading.whole_number(node, &format!("`{what}`"), 1..=most)?;
    T::try_from(number).ok().map(|value| Located::new(value, node.place))
}

/// Without an archive the log is all there is.
fn read_archive(reading: &mut Reading<'_>, node: &Located<Node>, topics: &Topics) -> Option<bool> {
    let archive = reading.truth(node, "`archive`")?;
    if !archive && topics.retention_ms.is_some() {
        let why = "without an archive events are kept in the log alone, so `retention_ms` must be -1 (for ever)";
        reading.complain(node.place, why);
    }
    Some(archive)
}

#[derive(Default)]
struct Topics {
    replication: Option<Located<i16>>,
    retention_ms: Option<i64>,
}

fn read_topics(reading: &mut Reading<'_>, node: &Located<Node>) -> Topics {
    let Some(entries) = reading.mapping(node, "`topics`", &["replication", "retention_ms"]) else {
        return Topics::default();
    };
    let replication =
        entries.get("replication").and_then(|node| read_located(reading, node, "replication", i16::MAX.into()));
    let retention_ms = entries.get("retention_ms").and_then(|node| match node.value {
        Node::Int(-1) => None,
        Node::Null | Node::Bool(_) | Node::Int(_) | Node::Float(_) | Node::Text(_) | Node::List(_) | Node::Map(_) => {
            let what = "`retention_ms`, unless it is -1 (for ever),";
            reading.whole_number(node, what, RETENTION_MS_MIN..=i64::MAX)
        }
    });
    Topics { replication, retention_ms }
}

#[cfg(test)]
mod tests;
