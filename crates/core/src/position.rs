//! Places in the log, and the tokens that name them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One record's place: topic, partition, offset. Offsets have gaps (transaction markers take places too).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// The topic's name.
    pub topic: String,
    /// The partition, from 0.
    pub partition: i32,
    /// The record's offset in the partition.
    pub offset: i64,
}

/// How far somebody got in a topic: for each partition named, the offset of the last record seen.
///
/// Text form: `flights.events.v1:3:1287` for one partition, and `flights.events.v1:0:17,2:40,3:1287` for several.
/// An append returns a token with the one partition it wrote; a subscription over many partitions needs them all,
/// or it could not resume without a gap. With no partition, `flights.events.v1:`, it is the beginning.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Token {
    topic: String,
    offsets: BTreeMap<i32, i64>,
}

/// The text is not a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a token such as flights.events.v1:3:1287")]
pub struct BadToken(String);

/// Longest token text that is looked at, in bytes.
const TOKEN_BYTES_MAX: usize = 64 * 1024;

impl Token {
    /// A token that names no partition yet: nothing of the topic was seen.
    pub fn start(topic: impl Into<String>) -> Self {
        Self { topic: topic.into(), offsets: BTreeMap::new() }
    }

    /// The token of one record.
    pub fn at(topic: impl Into<String>, partition: i32, offset: i64) -> Self {
        let mut token = Self::start(topic);
        token.advance(partition, offset);
        token
    }

    /// Notes that the record at `offset` was seen.
    pub fn advance(&mut self, partition: i32, offset: i64) {
        self.offsets.insert(partition, offset);
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Partition and offset of the last record seen, by partition.
    pub fn offsets(&self) -> impl Iterator<Item = (i32, i64)> + '_ {
        self.offsets.iter().map(|(partition, offset)| (*partition, *offset))
    }

    /// The last record seen in a partition.
    pub fn offset(&self, partition: i32) -> Option<i64> {
        self.offsets.get(&partition).copied()
    }
}

impl From<&Position> for Token {
    fn from(position: &Position) -> Self {
        Self::at(position.topic.clone(), position.partition, position.offset)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.topic)?;
        f.write_str(":")?;
        for (index, (partition, offset)) in self.offsets.iter().enumerate() {
            write!(f, "{}{partition}:{offset}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl FromStr for Token {
    type Err = BadToken;

    fn from_str(text: &str) -> Result<Self, BadToken> {
        let bad = || BadToken(text.chars().take(200).collect());
        if text.len() > TOKEN_BYTES_MAX {
            return Err(bad());
        }
        let (topic, places) = text.split_once(':').ok_or_else(bad)?;
        if topic.is_empty() {
            return Err(bad());
        }
        let mut token = Self::start(topic);
        for place in places.split(',').filter(|_| !places.is_empty()) {
            let (partition, offset) = place.split_once(':').ok_or_else(bad)?;
            let partition: u16 = partition.parse().map_err(|_| bad())?;
            let offset: u64 = offset.parse().map_err(|_| bad())?;
            let known = token.offsets.insert(i32::from(partition), i64::try_from(offset).map_err(|_| bad())?);
            if known.is_some() {
                return Err(bad());
            }
        }
        Ok(token)
    }
}

impl TryFrom<String> for Token {
    type Error = BadToken;

    fn try_from(text: String) -> Result<Self, BadToken> {
        text.parse()
    }
}

impl From<Token> for String {
    fn from(token: Token) -> Self {
        token.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_the_round_trip() {
        for text in ["flights.events.v1:3:1287", "flights.events.v1:0:17,2:40,3:1287", "flights.events.v1:"] {
            assert_eq!(text.parse::<Token>().unwrap().to_string(), text);
        }
        assert_eq!("a.v1:3:9".parse::<Token>().unwrap().offset(3), Some(9));
    }

    #[test]
    fn bad_tokens_are_refused() {
        for bad in ["", "a", ":1:2", "a:1", "a:-1:2", "a:1:-2", "a:1:2,", "a:1:2,1:3", "a:1:99999999999999999999"] {
            assert!(bad.parse::<Token>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_token_follows_what_was_seen() {
        let position = Position { topic: "a.events.v1".to_owned(), partition: 2, offset: 7 };
        let mut token = Token::from(&position);
        token.advance(0, 3);
        token.advance(2, 9);
        assert_eq!((token.topic(), token.offset(1)), ("a.events.v1", None));
        assert_eq!(token.offsets().collect::<Vec<_>>(), [(0, 3), (2, 9)]);
        let json = serde_json::to_string(&token).unwrap();
        assert_eq!(json, "\"a.events.v1:0:3,2:9\"");
        assert_eq!(serde_json::from_str::<Token>(&json).unwrap(), token);
        assert!(serde_json::from_str::<Token>("\"nonsense\"").is_err());
    }
}
