//! Versions of a stream, and what a writer expects of them.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A place in a stream: 1 for its first event, without gaps. 0 means that the stream has no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(pub u64);

impl Version {
    /// The version of a stream without events.
    pub const NONE: Self = Self(0);

    /// The version `count` events later.
    pub fn plus(self, count: u64) -> Self {
        Self(self.0 + count)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a writer believes about a stream when it appends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExpectedVersion {
    /// No belief: append to whatever is there.
    #[default]
    Any,
    /// The stream has no event yet.
    NoStream,
    /// The stream has at least one event.
    StreamExists,
    /// The stream is exactly at this version.
    Exact(Version),
}

/// The writer's belief was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stream is at version {current}, the writer expected {expected}")]
pub struct Conflict {
    /// What the writer believed.
    pub expected: ExpectedVersion,
    /// What is true; 0 for a stream without events.
    pub current: Version,
}

impl Conflict {
    /// Whether the writer believes in more than there is. As versions never fall, a writer who believes in less is wrong for
    /// certain; this one is right if somebody else has written.
    pub fn is_ahead(&self) -> bool {
        match self.expected {
            ExpectedVersion::Exact(expected) => expected > self.current,
            ExpectedVersion::StreamExists => self.current == Version::NONE,
            ExpectedVersion::Any | ExpectedVersion::NoStream => false,
        }
    }
}

impl ExpectedVersion {
    /// The one version that the stream must be at, if there is one: 0 for no stream.
    pub fn exact(self) -> Option<Version> {
        match self {
            Self::NoStream => Some(Version::NONE),
            Self::Exact(version) => Some(version),
            Self::Any | Self::StreamExists => None,
        }
    }

    /// Compares the belief with the current version.
    pub fn check(self, current: Version) -> Result<(), Conflict> {
        let holds = match self {
            Self::Any => true,
            Self::NoStream => current == Version::NONE,
            Self::StreamExists => current > Version::NONE,
            Self::Exact(version) => current == version,
        };
        if holds { Ok(()) } else { Err(Conflict { expected: self, current }) }
    }
}

impl fmt::Display for ExpectedVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::NoStream => f.write_str("no_stream"),
            Self::StreamExists => f.write_str("stream_exists"),
            Self::Exact(version) => version.fmt(f),
        }
    }
}

impl FromStr for ExpectedVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "any" => Ok(Self::Any),
            "no_stream" => Ok(Self::NoStream),
            "stream_exists" => Ok(Self::StreamExists),
            number => number.parse().map(|v| Self::Exact(Version(v))).map_err(|_| {
                format!("expected version `{number}` is not any, no_stream, stream_exists or a version number")
            }),
        }
    }
}

impl Serialize for ExpectedVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Exact(version) => serializer.serialize_u64(version.0),
            Self::Any | Self::NoStream | Self::StreamExists => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for ExpectedVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = ExpectedVersion;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"any\", \"no_stream\", \"stream_exists\" or a version number")
            }

            fn visit_u64<E: de::Error>(self, version: u64) -> Result<ExpectedVersion, E> {
                Ok(ExpectedVersion::Exact(Version(version)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ExpectedVersion, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_belief_holds_or_names_the_truth() {
        let cases = [
            (ExpectedVersion::Any, 0, true),
            (ExpectedVersion::Any, 9, true),
            (ExpectedVersion::NoStream, 0, true),
            (ExpectedVersion::NoStream, 1, false),
            (ExpectedVersion::StreamExists, 0, false),
            (ExpectedVersion::StreamExists, 1, true),
            (ExpectedVersion::Exact(Version(3)), 3, true),
            (ExpectedVersion::Exact(Version(3)), 4, false),
        ];
        for (expected, current, holds) in cases {
            let current = Version(current);
            let answer = expected.check(current);
            assert_eq!(answer, if holds { Ok(()) } else { Err(Conflict { expected, current }) });
        }
    }

    #[test]
    fn json_takes_words_and_numbers() {
        for (json, expected) in [("\"any\"", ExpectedVersion::Any), ("7", ExpectedVersion::Exact(Version(7)))] {
            assert_eq!(serde_json::from_str::<ExpectedVersion>(json).unwrap(), expected);
            assert_eq!(serde_json::to_string(&expected).unwrap(), json);
        }
        for bad in ["-1", "\"some\"", "1.5", "null"] {
            assert!(serde_json::from_str::<ExpectedVersion>(bad).is_err(), "{bad}");
        }
    }
}
