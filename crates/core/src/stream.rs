//! Contexts and streams: who an event belongs to.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

/// Longest stream id in bytes. It is the record key, a header and a column, so it stays small.
pub const STREAM_ID_BYTES_MAX: usize = 255;
/// Longest context name in bytes; it prefixes every topic of the context.
pub const CONTEXT_NAME_BYTES_MAX: usize = 64;

/// Why a name is not acceptable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The name is empty or longer than its limit.
    #[error("{what} `{name}` must be 1 to {max} bytes long")]
    Length {
        /// What kind of name it is.
        what: &'static str,
        /// The name, cut at the limit.
        name: String,
        /// The limit in bytes.
        max: usize,
    },
    /// The name has a character or a shape that is not allowed.
    #[error("{what} `{name}` is not valid: {rule}")]
    Shape {
        /// What kind of name it is.
        what: &'static str,
        /// The name.
        name: String,
        /// The rule that it breaks.
        rule: &'static str,
    },
}

fn check_length(what: &'static str, name: &str, max: usize) -> Result<(), NameError> {
    if name.is_empty() || name.len() > max {
        let name = name.chars().take(max).collect();
        return Err(NameError::Length { what, name, max });
    }
    Ok(())
}

/// A bounded context: `flights`, `booking`. Lower-case letters, digits and hyphens, starting with a letter.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContextName(String);

impl ContextName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ContextName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        check_length("context name", name, CONTEXT_NAME_BYTES_MAX)?;
        let letters = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !letters || !name.as_bytes()[0].is_ascii_lowercase() || name == "spina" {
            let rule = "lower-case letters, digits and hyphens, starting with a letter; `spina` is reserved";
            return Err(NameError::Shape { what: "context name", name: name.to_owned(), rule });
        }
        Ok(Self(name.to_owned()))
    }
}

impl TryFrom<String> for ContextName {
    type Error = NameError;

    fn try_from(name: String) -> Result<Self, NameError> {
        name.parse()
    }
}

impl From<ContextName> for String {
    fn from(name: ContextName) -> Self {
        name.0
    }
}

impl fmt::Display for ContextName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A stream id: category, hyphen, key (`reservation-42`). It is the Kafka record key of every event of the stream.
///
/// The category is what stands before the first hyphen: a lower-case letter followed by lower-case letters, digits
/// or underscores. The key is any non-empty text without control characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StreamId(String);

impl StreamId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the first hyphen: the aggregate's name.
    pub fn category(&self) -> &str {
        self.0.split_once('-').map_or(&self.0, |(category, _)| category)
    }

    /// Whether it claims a value for another stream, rather than being of the domain.
    pub fn is_claim(&self) -> bool {
        self.0.starts_with(crate::unique::CATEGORY_PREFIX)
    }

    /// The part after the first hyphen.
    pub fn key(&self) -> &str {
        self.0.split_once('-').map_or("", |(_, key)| key)
    }
}

impl FromStr for StreamId {
    type Err = NameError;

    fn from_str(id: &str) -> Result<Self, NameError> {
        check_length("stream id", id, STREAM_ID_BYTES_MAX)?;
        let shape = |rule| NameError::Shape { what: "stream id", name: id.to_owned(), rule };
        let (category, key) = id.split_once('-').ok_or_else(|| shape("category, hyphen, key, as in `order-42`"))?;
        let letters = category.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if category.is_empty() || !letters || !category.as_bytes()[0].is_ascii_lowercase() {
            return Err(shape("the category is lower-case letters, digits and underscores, starting with a letter"));
        }
        if key.is_empty() || key.chars().any(char::is_control) {
            return Err(shape("the key is not empty and has no control characters"));
        }
        Ok(Self(id.to_owned()))
    }
}

impl TryFrom<String> for StreamId {
    type Error = NameError;

    fn try_from(id: String) -> Result<Self, NameError> {
        id.parse()
    }
}

impl From<StreamId> for String {
    fn from(id: StreamId) -> Self {
        id.0
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A stream id, or a request id, as 128 bits: what indexes keep in memory instead of the text.
///
/// XXH3-128 of the UTF-8 bytes. Among 10 million ids the chance of any collision is about 1.5e-25.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamKey(pub u128);

impl StreamKey {
    /// The key of any text id.
    pub fn of(id: &str) -> Self {
        Self(xxh3_128(id.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_id_splits_at_the_first_hyphen() {
        let id: StreamId = "flight-UA1545-20130101-EWR".parse().unwrap();
        assert_eq!(id.category(), "flight");
        assert_eq!(id.key(), "UA1545-20130101-EWR");
        assert!(!id.is_claim() && "unique_flight-tail_number-0f".parse::<StreamId>().unwrap().is_claim());
    }

    #[test]
    fn bad_names_are_refused() {
        let long = format!("a-{}", "x".repeat(STREAM_ID_BYTES_MAX));
        for bad in ["", "flight", "-1", "Flight-1", "1a-x", "flight-", "flight-a\nb", long.as_str()] {
            assert!(bad.parse::<StreamId>().is_err(), "{bad:?}");
        }
        for bad in ["", "Flights", "9lives", "a_b", "a.b", "spina"] {
            assert!(bad.parse::<ContextName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_go_through_json_and_are_checked_there() {
        let id: StreamId = serde_json::from_str("\"order-1\"").unwrap();
        assert_eq!(
            (id.to_string(), serde_json::to_string(&id).unwrap()),
            ("order-1".to_owned(), "\"order-1\"".to_owned())
        );
        assert!(serde_json::from_str::<StreamId>("\"order\"").is_err());
        let name: ContextName = serde_json::from_str("\"flights\"").unwrap();
        assert_eq!(
            (name.to_string(), serde_json::to_string(&name).unwrap()),
            ("flights".to_owned(), "\"flights\"".to_owned())
        );
        assert!(serde_json::from_str::<ContextName>("\"Flights\"").is_err());
        assert_ne!(StreamKey::of("order-1"), StreamKey::of("order-2"));
    }
}
