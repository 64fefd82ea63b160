//! Where a replay begins.

use std::str::FromStr;

use spina_core::{Timestamp, Token};

/// Where a replay begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// At events that happened at this instant or later.
    Time(Timestamp),
    /// After the record of this token.
    Token(Token),
}

impl FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(time) = text.parse() {
            return Ok(Self::Time(time));
        }
        let bad =
            |_| format!("`{text}` is neither an instant (2013-01-01T00:00:00Z) nor a token (flights.events.v1:3:1287)");
        text.parse().map(Self::Token).map_err(bad)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_is_a_time_or_a_token() {
        assert!(matches!("2013-01-01T00:00:00Z".parse(), Ok(From::Time(_))));
        assert!(matches!("flights.events.v1:3:1287".parse(), Ok(From::Token(_))));
        assert!("monday".parse::<From>().is_err());
    }
}
