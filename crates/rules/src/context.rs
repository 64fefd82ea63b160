//! A bounded context as declared in `topology/<context>/context.yaml`.
//!
//! ```yaml
//! context: flights
//! partitions: 4                      # frozen when first applied
//! aggregates:
//!   flight:                          # category of its stream ids: flight-UA1545-20130101-EWR
//!     events: [FlightScheduled, FlightDeparted]
//!     snapshot: { every: 100 }       # optional
//! topics: { replication: 3, retention_ms: -1 }   # optional
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use spina_core::ContextName;

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
    /// Copies of each partition; the cluster decides if absent.
    pub replication: Option<Located<i16>>,
    /// How long events are kept, in milliseconds; `None` is for ever.
    pub retention_ms: Option<i64>,
}

/// An aggregate: a kind of stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AggregateDef {
    /// Its name, which is the category of its stream ids.
    pub name: String,
    /// The events that its streams may hold.
    pub events: Vec<Located<String>>,
    /// A snapshot is due each time this many events were added; the event-store's default if absent.
    pub snapshot_every: Option<u32>,
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

    /// The full name of an event's Avro record: `flights.FlightLanded`.
    pub fn record_name(&self, event: &str) -> String {
        format!("{}.{event}", self.namespace())
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
        if path.is_dir() {
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
    let entries = reading.mapping(root, "a context", &["context", "partitions", "aggregates", "topics"])?;
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
    let aggregates = aggregates.and_then(|node| read_aggregates(reading, node));
    let topics = entries.get("topics").map(|node| read_topics(reading, node)).unwrap_or_default();
    Some(ContextDef {
        name: name?,
        file: file.to_owned(),
        partitions: partitions?,
        aggregates: aggregates?,
        replication: topics.replication,
        retention_ms: topics.retention_ms,
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

fn read_aggregates(reading: &mut Reading<'_>, node: &Located<Node>) -> Option<Vec<AggregateDef>> {
    let entries = reading.names(node, "`aggregates`")?;
    if entries.is_empty() {
        reading.complain(node.place, "`aggregates` is empty: a context has at least one");
    }
    let mut seen = BTreeMap::new();
    let aggregates = entries.iter().filter_map(|(name, node)| {
        check_aggregate_name(reading, name);
        read_aggregate(reading, name, node, &mut seen)
    });
    Some(aggregates.collect())
}

fn read_aggregate(
    reading: &mut Reading<'_>,
    name: &Located<String>,
    node: &Located<Node>,
    seen: &mut BTreeMap<String, String>,
) -> Option<AggregateDef> {
    let what = format!("aggregate {}", quote(name));
    let entries = reading.mapping(node, &what, &["events", "snapshot"])?;
    let snapshot_every = entries.get("snapshot").and_then(|node| {
        let entries = reading.mapping(node, "`snapshot`", &["every"])?;
        let Some(every) = entries.get("every") else {
            reading.complain(node.place, "`snapshot` has no `every`: the number of events between two of them");
            return None;
        };
        Some(read_located(reading, every, "every", u32::MAX.into())?.value)
    });
    let Some(list) = entries.get("events") else {
        reading.complain(node.place, format!("{what} has no `events`"));
        return None;
    };
    let items = reading.list(list, "`events`")?;
    if items.is_empty() {
        reading.complain(list.place, "`events` is empty: an aggregate has at least one");
    }
    let events = items.iter().filter_map(|item| read_event(reading, name, item, seen)).collect();
    Some(AggregateDef { name: name.value.clone(), events, snapshot_every })
}

fn read_event(
    reading: &mut Reading<'_>,
    aggregate: &str,
    node: &Located<Node>,
    seen: &mut BTreeMap<String, String>,
) -> Option<Located<String>> {
    let event = reading.text(node, "an event's name")?;
    let shape = event.starts_with(|c: char| c.is_ascii_uppercase()) && event.bytes().all(|b| b.is_ascii_alphanumeric());
    if !shape || event.len() > TYPE_NAME_BYTES_MAX {
        let rule =
            format!("1 to {TYPE_NAME_BYTES_MAX} letters and digits, starting with a capital, as in FlightLanded");
        reading.complain(node.place, format!("event {} is not valid: {rule}", quote(event)));
        return None;
    }
    if let Some(other) = seen.insert(event.to_owned(), aggregate.to_owned()) {
        reading.complain(node.place, format!("event `{event}` is listed already, in aggregate {}", quote(&other)));
        return None;
    }
    Some(Located::new(event.to_owned(), node.place))
}

/// An aggregate's name is the category of its stream ids.
fn check_aggregate_name(reading: &mut Reading<'_>, name: &Located<String>) {
    let stream = format!("{}-1", name.value).parse::<spina_core::StreamId>();
    if name.len() > TYPE_NAME_BYTES_MAX || stream.is_err() || name.contains('-') {
        let rule =
            format!("1 to {TYPE_NAME_BYTES_MAX} lower-case letters, digits and underscores, starting with a letter");
        reading.complain(name.place, format!("aggregate {} is not valid: {rule}", quote(name)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLIGHTS: &str = "\
context: flights
partitions: 4
aggregates:
  flight:
    events: [FlightScheduled, FlightLanded]
    snapshot: { every: 100 }
  gate:
    events: [GateOpened]
topics: { replication: 3, retention_ms: 86400000 }
";

    fn parse(text: &str) -> Result<ContextDef, String> {
        ContextDef::parse(&Source::new("context.yaml", text)).map_err(|problems| problems.to_string())
    }

    #[test]
    fn a_definition_says_what_it_says() {
        let context = parse(FLIGHTS).unwrap();
        assert_eq!((context.name.as_str(), context.partitions.value), ("flights", 4));
        assert_eq!(context.partitions.place, Place { line: 2, column: 13 });
        let events: Vec<_> = context.events().map(|(a, e)| (a.name.as_str(), e.value.as_str())).collect();
        assert_eq!(events, [("flight", "FlightScheduled"), ("flight", "FlightLanded"), ("gate", "GateOpened")]);
        assert_eq!((context.aggregates[0].snapshot_every, context.aggregates[1].snapshot_every), (Some(100), None));
        assert_eq!(context.replication.as_ref().map(|replication| replication.value), Some(3));
        assert_eq!(context.retention_ms, Some(86_400_000));
        assert_eq!(context.record_name("FlightLanded"), "flights.FlightLanded");
    }

    #[test]
    fn what_is_optional_may_be_left_out() {
        let context = parse("context: air-freight\npartitions: 1\naggregates: {box: {events: [BoxPacked]}}\n").unwrap();
        assert_eq!((context.replication, context.retention_ms), (None, None));
        assert_eq!(context.name.as_str().replace('-', "_"), "air_freight");
        let for_ever = FLIGHTS.replace("86400000", "-1");
        assert_eq!(parse(&for_ever).unwrap().retention_ms, None);
    }

    #[test]
    fn each_mistake_is_named_with_its_place() {
        for (from, to, complaint) in [
            ("context: flights", "context: Flights", "1:10: context name `Flights` is not valid"),
            ("context: flights", "contxt: flights", "1:1: a context has no key `contxt`"),
            ("partitions: 4", "partitions: 0", "2:13: `partitions` must be from 1 to 1000, not 0"),
            ("partitions: 4", "partitions: 1001", "2:13: `partitions` must be from 1 to 1000, not 1001"),
            ("partitions: 4", "partitions: \"4\"", "2:13: `partitions` must be a whole number, not text"),
            ("  flight:", "  Flight:", "4:3: aggregate `Flight` is not valid"),
            ("  flight:", "  a-b:", "4:3: aggregate `a-b` is not valid"),
            ("FlightLanded", "flight_landed", "5:31: event `flight_landed` is not valid"),
            (
                "FlightLanded",
                "FlightScheduled",
                "5:31: event `FlightScheduled` is listed already, in aggregate `flight`",
            ),
            ("GateOpened", "FlightLanded", "8:14: event `FlightLanded` is listed already, in aggregate `flight`"),
            ("[GateOpened]", "[]", "8:13: `events` is empty"),
            ("events: [GateOpened]", "sagas: {}", "8:5: aggregate `gate` has no key `sagas`"),
            ("every: 100", "every: 0", "6:24: `every` must be from 1"),
            ("every: 100", "", "6:15: `snapshot` has no `every`"),
            ("86400000", "5", "9:41: `retention_ms`, unless it is -1 (for ever), must be from 3600000"),
            ("replication: 3", "replicas: 3", "9:11: `topics` has no key `replicas`"),
        ] {
            let complaints = parse(&FLIGHTS.replace(from, to)).unwrap_err();
            assert!(complaints.contains(&format!("context.yaml:{complaint}")), "{to}: {complaints}");
        }
    }

    #[test]
    fn several_mistakes_are_told_at_once() {
        let complaints = parse("partitions: 0\nsagas: {}\naggregates:\n  flight: {events: [a, b]}\n").unwrap_err();
        assert_eq!(complaints.lines().count(), 5, "{complaints}");
        assert!(complaints.contains("1:1: `context` is missing"), "{complaints}");
    }

    #[test]
    fn the_contexts_of_this_repository_are_valid() {
        let contexts = load_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../topology")).unwrap();
        assert!(contexts.iter().any(|context| context.name.as_str() == "flights"));
    }

    #[test]
    fn a_folder_bears_its_contexts_name() {
        let complaints = load_all(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap_err().to_string();
        assert!(complaints.contains("src/context.yaml: cannot be read"), "{complaints}");
        let folder = std::env::temp_dir().join(format!("spina-rules-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("trains")).unwrap();
        assert!(load_all(&folder).unwrap_err().to_string().contains("trains/context.yaml: cannot be read"));
        std::fs::write(folder.join("trains/context.yaml"), FLIGHTS).unwrap();
        let complaints = load_all(&folder).unwrap_err().to_string();
        assert!(complaints.contains("context `flights` is in a folder named `trains`"), "{complaints}");
        std::fs::remove_dir_all(folder.join("trains")).unwrap();
        assert!(load_all(&folder).unwrap_err().to_string().contains("has no context"));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
