//! Configuration: one typed struct per service, parsed whole before anything starts.
//!
//! ```text
//! Default::default() <- YAML file <- environment SPINA_* <- --set key=value
//! ```
//!
//! Every source is first turned into single settings, each with its origin; they are laid over the defaults one by
//! one, so that a wrong one is reported with its key and where it came from. A key that the struct does not have is
//! refused wherever it comes from.

mod common;
mod error;
mod flags;
mod layers;
mod redact;
mod sources;

use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use common::{CommonConfig, LogFormat};
pub use error::{ConfigError, Origin};
pub(crate) use flags::{complain, from_process};

/// Exit status for a configuration that cannot be used (`EX_USAGE` of `sysexits.h`).
pub const EXIT_CONFIG: u8 = 64;

/// What a service's configuration struct has to offer.
///
/// The struct embeds [`CommonConfig`] as `#[serde(flatten)] pub common: CommonConfig` and adds its own flat fields;
/// every field must be serialized (no `skip_serializing_if`), because the serialized default is the list of known
/// keys. Nested optional structs carry their own `#[serde(deny_unknown_fields)]`.
pub trait ServiceConfig: Serialize + DeserializeOwned + Default {
    /// The settings that all services share.
    fn common(&self) -> &CommonConfig;

    /// Checks what types cannot say, such as `min <= max`.
    ///
    /// # Errors
    /// A sentence that names the key and says what it may be.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// Where settings come from, besides the defaults.
#[derive(Debug, Default)]
pub struct Sources {
    /// YAML file, the lowest layer.
    pub file: Option<PathBuf>,
    /// Environment as name and value; only names that start with `SPINA_` are looked at.
    pub environment: Vec<(String, String)>,
    /// Assignments `key=value`, the highest layer.
    pub assignments: Vec<String>,
}

/// Loads a configuration from its sources, later layers over earlier ones.
///
/// # Errors
/// Names the file, key and origin of the first setting that is unknown or cannot be read.
pub fn load<C: ServiceConfig>(sources: &Sources) -> Result<C, ConfigError> {
    let known = to_value(&C::default())?;
    let mut effective = known.clone();
    for setting in sources::settings(sources, &known)? {
        layers::apply::<C>(&mut effective, &known, &setting)?;
    }
    let config: C = serde_json::from_value(effective).map_err(ConfigError::Shape)?;
    config.check().map_err(ConfigError::Refused)?;
    Ok(config)
}

/// The configuration as JSON (which is YAML, too) with passwords blanked out.
///
/// # Errors
/// Only if the struct cannot be expressed in JSON.
pub fn printed<C: ServiceConfig>(config: &C) -> Result<String, ConfigError> {
    let value = redact::redacted(to_value(config)?);
    serde_json::to_string_pretty(&value).map_err(ConfigError::Shape)
}

fn to_value<C: Serialize>(config: &C) -> Result<serde_json::Value, ConfigError> {
    serde_json::to_value(config).map_err(ConfigError::Shape)
}

#[cfg(test)]
mod tests;
