//! The demo's flights as lines to import into other contexts.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use spina_tests::flights::{Flights, cache};
use spina_tests::world::World;

/// Every event of the demo as a line of an import, in the order of event time. Each expects the version before its own.
pub fn lines() -> Vec<String> {
    let mut events: Vec<Value> =
        Flights::get().replay().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // All times are written alike, so they compare as text; a flight's events are at different times.
    events.sort_by_cached_key(|event| (event["time"].as_str().unwrap().to_owned(), event["version"].as_u64()));
    events.iter().map(|event| line(event).to_string()).collect()
}

/// The first events of the year as lines of an import, in the order of event time: those of the demo, or, if there are to be
/// more, those that `make demo` has left where it keeps what it fetched.
pub fn first(events: usize) -> Vec<String> {
    let mut lines = lines();
    if events > lines.len() {
        let file = cache().join("events-r1-year.ndjson");
        let year =
            fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}; run `make demo`", file.display()));
        lines = year.lines().map(str::to_owned).collect();
    }
    lines.truncate(events);
    lines
}

fn line(event: &Value) -> Value {
    let expected = match event["version"].as_u64().unwrap() {
        1 => json!("no_stream"),
        version => json!(version - 1),
    };
    let event_type = event["type"].as_str().unwrap().rsplit('.').next().unwrap();
    let [stream, data, id, time] = ["stream", "data", "id", "time"].map(|field| &event[field]);
    json!({ "stream": stream, "type": event_type, "data": data, "id": id, "time": time, "expected_version": expected })
}

/// Lines in a file of the world's own.
pub fn file(world: &World, lines: &[String]) -> PathBuf {
    let file = world.stack.folder(&world.context.name).join("events.ndjson");
    fs::write(&file, lines.join("\n")).unwrap();
    file
}
