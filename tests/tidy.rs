//! Layering and style, checked on the files themselves.
//!
//! The arrow goes one way: `core <- rules, codec <- log, store <- runtime <- services, cli`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What each package may name of ours. `spina-testkit` is for tests and free for everybody's dev-dependencies.
const ARROW: &[(&str, &[&str])] = &[
    ("spina-core", &[]),
    ("spina-rules", &["spina-core"]),
    ("spina-codec", &["spina-core"]),
    ("spina-log", &["spina-core", "spina-codec"]),
    ("spina-store", &["spina-core", "spina-codec", "spina-rules"]),
    ("spina-runtime", &["spina-core", "spina-codec", "spina-rules", "spina-log", "spina-store"]),
    ("spina-testkit", &["spina-core", "spina-rules", "spina-codec", "spina-log"]),
];

/// Packages at the end of the arrow: they may name any crate, but not each other.
const ENDS: &[&str] =
    &["spina-cli", "event-store", "projector", "saga-orchestrator", "alert-correlator", "loadtest", "spina-tests"];

/// Examples are what users write: they end the arrow too, and may name the services that are libraries.
const EXAMPLES: &[(&str, &[&str])] = &[("account", &["event-store", "projector"])];

/// Crates that only one of ours may name.
const ONLY_IN: &[(&str, &str)] = &[("rdkafka", "spina-log"), ("rdkafka-sys", "spina-log"), ("krafka", "spina-log")];

/// The core does no I/O.
const NOT_IN_CORE: &[&str] = &["tokio", "rand", "tracing", "tokio-postgres", "axum", "reqwest", "uuid"];

/// A file beyond this wants to be two.
const LINES_MAX: usize = 400;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root")
}

/// Every package of the workspace: its name and what it depends on, by section.
fn packages() -> BTreeMap<String, (Vec<String>, Vec<String>)> {
    let mut found = BTreeMap::new();
    for folder in ["crates", "services", "examples"] {
        for entry in fs::read_dir(root().join(folder)).expect("the folder is there") {
            let manifest = entry.expect("it can be read").path().join("Cargo.toml");
            // Examples in other languages have none.
            if manifest.exists() {
                found.insert(manifest.display().to_string(), manifest);
            }
        }
    }
    for folder in ["loadtest", "tests"] {
        let manifest = root().join(folder).join("Cargo.toml");
        found.insert(manifest.display().to_string(), manifest);
    }
    found.into_values().map(|manifest| read_manifest(&manifest)).collect()
}

fn read_manifest(path: &PathBuf) -> (String, (Vec<String>, Vec<String>)) {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (mut name, mut section) = (String::new(), String::new());
    let (mut normal, mut dev) = (Vec::new(), Vec::new());
    for line in text.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']').to_owned();
        } else if let Some((key, value)) = line.split_once('=') {
            let key = key.trim().split('.').next().unwrap_or_default().to_owned();
            match section.as_str() {
                "package" if key == "name" => name = value.trim().trim_matches('"').to_owned(),
                "dependencies" => normal.push(key),
                "dev-dependencies" => dev.push(key),
                _ => {}
            }
        }
    }
    (name, (normal, dev))
}

fn is_ours(name: &str) -> bool {
    name.starts_with("spina-") || ENDS.contains(&name)
}

#[test]
fn the_arrow_goes_one_way() {
    let packages = packages();
    assert!(packages.len() >= ARROW.len() + ENDS.len(), "not every package was found: {:?}", packages.keys());
    for (package, (normal, dev)) in &packages {
        let allowed = ARROW.iter().find(|(name, _)| name == package).map(|(_, allowed)| *allowed);
        for dependency in normal.iter().filter(|dependency| is_ours(dependency)) {
            let example = EXAMPLES.iter().find(|(example, _)| example == package).map(|(_, services)| *services);
            let fits = match allowed {
                Some(allowed) => allowed.contains(&dependency.as_str()),
                None if !ENDS.contains(&dependency.as_str()) => example.is_some() || ENDS.contains(&package.as_str()),
                None => example.is_some_and(|services| services.contains(&dependency.as_str())),
            };
            assert!(fits, "{package} must not depend on {dependency}");
        }
        let end = dev.iter().find(|dependency| ENDS.contains(&dependency.as_str()));
        assert_eq!(end, None, "{package} must not depend on this, not even for tests");
    }
}

#[test]
fn clients_and_io_stay_where_they_belong() {
    for (package, (normal, _)) in packages() {
        for (client, home) in ONLY_IN {
            assert!(package == *home || !normal.iter().any(|name| name == client), "{package} must not name {client}");
        }
        if package == "spina-core" || package == "spina-rules" {
            for name in &normal {
                assert!(!NOT_IN_CORE.contains(&name.as_str()), "{package} is pure and must not name {name}");
            }
        }
    }
}

#[test]
fn every_failpoint_is_in_the_list_and_in_the_code() {
    let mut used: Vec<String> = sources()
        .iter()
        .filter(|(path, _)| path.strip_prefix(root()).is_ok_and(|path| path.starts_with("services")))
        .flat_map(|(_, text)| text.split("failpoint::reach(\"").skip(1))
        .map(|rest| rest.split('"').next().unwrap_or_default().to_owned())
        .collect();
    let mut listed: Vec<String> = spina_runtime::failpoint::NAMES.iter().map(|name| (*name).to_owned()).collect();
    used.sort();
    listed.sort();
    assert_eq!(used, listed, "each failpoint stands once in the code and once in spina_runtime::failpoint::NAMES");
}

/// All Rust files of ours, with their text.
fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> =
        ["crates", "services", "examples", "loadtest", "tests"].iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder is there") {
            let path = entry.expect("it can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("source is text");
                found.push((path, text));
            }
        }
    }
    assert!(found.len() > 100, "not every source was found");
    found
}

#[test]
fn every_file_says_what_it_is_and_is_of_a_size() {
    for (path, text) in sources() {
        assert!(text.starts_with("//!"), "{} does not begin with what it is (//!)", path.display());
        let lines = text.lines().count();
        assert!(lines <= LINES_MAX, "{} has {lines} lines, more than {LINES_MAX}", path.display());
    }
}

#[test]
fn names_of_topics_and_groups_are_spelled_in_one_place() {
    let home = Path::new("crates/log/src/names.rs");
    for (path, text) in sources() {
        let relative = path.strip_prefix(root()).expect("it lies in the root");
        let for_tests = relative.components().any(|part| part.as_os_str() == "tests") || relative.ends_with("tests.rs");
        if relative == home || for_tests || relative.starts_with("loadtest") {
            continue;
        }
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for spelled in
                [".events.v1\"", ".commands.v1\"", ".replies.v1\"", ".model.v1\"", ".dlq\"", "\"event-store.{"]
            {
                assert!(!line.contains(spelled), "{}: `{spelled}` belongs into {}", path.display(), home.display());
            }
        }
    }
}
