//! Watermarks: how far a model is with each of the topics that it reads.

use spina_core::{Timestamp, Token};

/// How far a model is with one of its inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The input's topic.
    pub topic: String,
    /// Next offset to read, by partition; empty before the model was taken over.
    pub next_offsets: Vec<i64>,
    /// When the latest event happened that the table has taken, if that is known.
    pub event_time: Option<Timestamp>,
}

impl Mark {
    /// The last records that the table includes.
    pub fn token(&self) -> Token {
        token_before(&self.topic, &self.next_offsets)
    }
}

/// The records before these offsets of a topic, as a token.
pub fn token_before(topic: &str, next_offsets: &[i64]) -> Token {
    let mut token = Token::start(topic);
    for (partition, next) in (0..).zip(next_offsets).filter(|(_, next)| **next > 0) {
        token.advance(partition, next - 1);
    }
    token
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_the_records_before() {
        assert_eq!(token_before("booking.events.v1", &[0, 3, 1]).to_string(), "booking.events.v1:1:2,2:0");
        assert_eq!(token_before("booking.events.v1", &[]), Token::start("booking.events.v1"));
    }
}
