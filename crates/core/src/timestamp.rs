//! Instants, as microseconds since 1970 in UTC. Core never asks a clock for one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// An instant in UTC with microsecond resolution, written as RFC 3339 (`2013-01-01T10:15:00Z`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(i64);

/// The text is not an RFC 3339 instant between the years 0 and 9999.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an RFC 3339 instant such as 2013-01-01T10:15:00Z")]
pub struct BadTimestamp(String);

/// 0000-01-01T00:00:00Z and 9999-12-31T23:59:59.999999Z in microseconds: what RFC 3339 can say.
const RANGE_MICROS: std::ops::RangeInclusive<i64> = -62_167_219_200_000_000..=253_402_300_799_999_999;

impl Timestamp {
    /// From microseconds since 1970; `None` outside the years 0 to 9999.
    pub fn from_micros(micros: i64) -> Option<Self> {
        RANGE_MICROS.contains(&micros).then_some(Self(micros))
    }

    /// From milliseconds since 1970; `None` outside the years 0 to 9999.
    pub fn from_millis(millis: i64) -> Option<Self> {
        millis.checked_mul(1_000).and_then(Self::from_micros)
    }

    /// Microseconds since 1970.
    pub fn micros(self) -> i64 {
        self.0
    }

    /// Milliseconds since 1970, rounded down.
    pub fn millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instant = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000).map_err(|_| fmt::Error)?;
        f.write_str(&instant.format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for Timestamp {
    type Err = BadTimestamp;

    fn from_str(text: &str) -> Result<Self, BadTimestamp> {
        let bad = || BadTimestamp(text.chars().take(64).collect());
        let instant = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| bad())?;
        let micros = i64::try_from(instant.unix_timestamp_nanos().div_euclid(1_000)).map_err(|_| bad())?;
        Self::from_micros(micros).ok_or_else(bad)
    }
}

impl TryFrom<String> for Timestamp {
    type Error = BadTimestamp;

    fn try_from(text: String) -> Result<Self, BadTimestamp> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(timestamp: Timestamp) -> Self {
        timestamp.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_micros_agree() {
        for (text, micros) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2013-01-01T10:15:00Z", 1_357_035_300_000_000),
            ("1969-12-31T23:59:59.5Z", -500_000),
        ] {
            let instant: Timestamp = text.parse().unwrap();
            assert_eq!(instant.micros(), micros);
            assert_eq!(instant.to_string(), text);
        }
        assert_eq!("2013-01-01T05:15:00-05:00".parse::<Timestamp>().unwrap().micros(), 1_357_035_300_000_000);
        assert!("yesterday".parse::<Timestamp>().is_err());
        assert_eq!(Timestamp::from_micros(i64::MAX), None);
        assert_eq!(Timestamp::from_millis(i64::MAX), None);
    }

    #[test]
    fn instants_go_through_json() {
        let instant = Timestamp::from_millis(-1).unwrap();
        assert_eq!((instant.millis(), instant.micros()), (-1, -1_000));
        let json = serde_json::to_string(&instant).unwrap();
        assert_eq!(json, "\"1969-12-31T23:59:59.999Z\"");
        assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), instant);
        assert!(serde_json::from_str::<Timestamp>("\"noon\"").is_err());
    }
}
