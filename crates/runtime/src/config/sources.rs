//! Reading the three sources into settings, lowest layer first.

use std::path::Path;

use serde_json::Value;

use super::Sources;
use super::error::{ConfigError, Origin};
use super::layers::{Given, Setting};

/// Prefix of the environment variables that belong to Spina.
const PREFIX: &str = "SPINA_";

/// Variables with the prefix that are read elsewhere: the file's path here, the tool cache by `spina up`.
const ELSEWHERE: [&str; 2] = ["SPINA_CONFIG", "SPINA_CACHE"];

/// All settings in the order in which they apply.
pub(super) fn settings(sources: &Sources, known: &Value) -> Result<Vec<Setting>, ConfigError> {
    let mut settings = Vec::new();
    if let Some(path) = &sources.file {
        settings.extend(from_file(path, known)?);
    }
    settings.extend(from_environment(&sources.environment));
    for assignment in &sources.assignments {
        settings.push(from_flag(assignment)?);
    }
    Ok(settings)
}

fn from_file(path: &Path, known: &Value) -> Result<Vec<Setting>, ConfigError> {
    let text =
        std::fs::read_to_string(path).map_err(|cause| ConfigError::Unreadable { path: path.to_owned(), cause })?;
    let not_yaml = |reason: String| ConfigError::NotYaml { path: path.to_owned(), reason };
    let value: Value = serde_saphyr::from_str(&text).map_err(|error| not_yaml(error.to_string()))?;
    if !value.is_object() && !value.is_null() {
        return Err(not_yaml("the top level holds no keys".into()));
    }
    let mut settings = Vec::new();
    leaves(value, known, &mut Vec::new(), &Origin::File(path.to_owned()), &mut settings);
    Ok(settings)
}

/// Splits a mapping into single settings as deep as the known keys go.
fn leaves(value: Value, known: &Value, path: &mut Vec<String>, origin: &Origin, settings: &mut Vec<Setting>) {
    match value {
        Value::Null if path.is_empty() => {}
        Value::Object(map) if known.as_object().is_some_and(|known| !known.is_empty()) => {
            for (key, inner) in map {
                let known_inner = known.get(&key).unwrap_or(&Value::Null);
                path.push(key.clone());
                leaves(inner, known_inner, path, origin, settings);
                path.pop();
            }
        }
        leaf => settings.push(Setting { path: path.clone(), given: Given::Typed(leaf), origin: origin.clone() }),
    }
}

fn from_environment(environment: &[(String, String)]) -> Vec<Setting> {
    let mut settings: Vec<Setting> = environment
        .iter()
        .filter(|(name, value)| !is_read_elsewhere(name) && !is_service_link(name, value))
        .filter_map(|(name, value)| {
            let key = name.strip_prefix(PREFIX)?;
            Some(Setting {
                path: key.split("__").map(str::to_ascii_lowercase).collect(),
                given: Given::Text(value.clone()),
                origin: Origin::Environment(name.clone()),
            })
        })
        .collect();
    settings.sort_by(|a, b| a.path.cmp(&b.path));
    settings
}

/// Without the feature a variable that arms failpoints is refused like any other that nobody knows.
fn is_read_elsewhere(name: &str) -> bool {
    #[cfg(feature = "failpoints")]
    if name == crate::failpoint::VARIABLE {
        return true;
    }
    ELSEWHERE.contains(&name)
}

/// Kubernetes puts `SPINA_X_SERVICE_HOST`, `SPINA_X_PORT=tcp://…` and the like into every pod beside a Service named
/// `spina-x`. Nobody wrote them, so they are not ours to refuse.
fn is_service_link(name: &str, value: &str) -> bool {
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || ["_TCP", "_UDP"].iter().any(|protocol| name.contains("_PORT_") && name.contains(protocol))
        || name.ends_with("_PORT") && value.contains("://")
}

fn from_flag(assignment: &str) -> Result<Setting, ConfigError> {
    let (key, value) = assignment.split_once('=').ok_or_else(|| ConfigError::MalformedFlag(assignment.to_owned()))?;
    Ok(Setting {
        path: key.trim().split('.').map(str::to_owned).collect(),
        given: Given::Text(value.to_owned()),
        origin: Origin::Flag,
    })
}
