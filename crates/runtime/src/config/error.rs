//! What can be wrong with a configuration.

use std::fmt;
use std::path::PathBuf;

/// Where a setting came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A configuration file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// A `--set` flag.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag => f.write_str("flag --set"),
        }
    }
}

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there or not readable.
    #[error("cannot read configuration file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        cause: std::io::Error,
    },
    /// The file is not a YAML mapping.
    #[error("configuration file {} is not a YAML mapping: {reason}", path.display())]
    NotYaml {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        reason: String,
    },
    /// A `--set` flag has no `=`.
    #[error("flag --set {0:?} is not of the form key=value")]
    MalformedFlag(String),
    /// The service has no such key.
    #[error("unknown key `{key}` in {origin}; known keys: {known}")]
    UnknownKey {
        /// Dotted path of the key.
        key: String,
        /// Where it was given.
        origin: Origin,
        /// The keys there are, comma separated.
        known: String,
    },
    /// The value is of the wrong type or form.
    #[error("invalid value for `{key}` in {origin}: {reason}")]
    InvalidValue {
        /// Dotted path of the key.
        key: String,
        /// Where it was given.
        origin: Origin,
        /// What the field expects.
        reason: String,
    },
    /// The values do not fit together.
    #[error("configuration refused: {0}")]
    Refused(String),
    /// The struct itself does not survive serialization: a defect of the service, not of its user.
    #[error("configuration struct cannot be expressed in JSON")]
    Shape(#[source] serde_json::Error),
}
