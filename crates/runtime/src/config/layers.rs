//! Laying one setting over the configuration so far.
//!
//! The configuration is valid before and after each setting. So when it stops being valid, that setting is at fault,
//! and its key and origin can be named, which serde alone does not do for flattened structs.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::{ConfigError, Origin};

/// One key with the value that one source gives it.
#[derive(Debug)]
pub(super) struct Setting {
    pub path: Vec<String>,
    pub given: Given,
    pub origin: Origin,
}

/// A value as its source can express it.
#[derive(Debug)]
pub(super) enum Given {
    /// YAML knows numbers from strings.
    Typed(Value),
    /// Environment and flags do not: the field's type decides.
    Text(String),
}

impl Given {
    /// What the value may mean, the likeliest first.
    fn readings(&self) -> Vec<Value> {
        match self {
            Self::Typed(value) => vec![value.clone()],
            Self::Text(text) => {
                let mut readings = vec![Value::String(text.clone())];
                readings.extend(serde_json::from_str(text).ok());
                readings
            }
        }
    }
}

/// Lays a setting over `effective`; `known` is the serialized default and thus the list of keys.
pub(super) fn apply<C: DeserializeOwned>(
    effective: &mut Value,
    known: &Value,
    setting: &Setting,
) -> Result<(), ConfigError> {
    let mut reason = String::new();
    for reading in setting.given.readings() {
        let mut candidate = effective.clone();
        let slot = slot(&mut candidate, known, &setting.path).ok_or_else(|| unknown(known, setting))?;
        *slot = reading;
        match C::deserialize(&candidate) {
            Ok(_) => {
                *effective = candidate;
                return Ok(());
            }
            Err(error) => reason = error.to_string(),
        }
    }
    Err(ConfigError::InvalidValue { key: setting.path.join("."), origin: setting.origin.clone(), reason })
}

/// The place that a path names, or nothing if the path leads outside the known keys.
fn slot<'a>(effective: &'a mut Value, known: &Value, path: &[String]) -> Option<&'a mut Value> {
    let Some((key, rest)) = path.split_first() else {
        return Some(effective);
    };
    let free_form = known.is_null() || known.as_object().is_some_and(serde_json::Map::is_empty);
    let known_here = if free_form { Some(&Value::Null) } else { known.get(key) };
    if effective.is_null() && free_form {
        *effective = Value::Object(serde_json::Map::new());
    }
    let next = effective.as_object_mut()?.entry(key.clone()).or_insert(Value::Null);
    slot(next, known_here?, rest)
}

fn unknown(known: &Value, setting: &Setting) -> ConfigError {
    let keys: Vec<&str> = known.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    ConfigError::UnknownKey { key: setting.path.join("."), origin: setting.origin.clone(), known: keys.join(", ") }
}
