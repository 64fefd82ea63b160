//! What a clock on the wall shows, as instants.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use serde::Deserialize;

/// A local time of day as the data write it: `517` is 05:17, `2400` is midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u16")]
pub struct ClockTime {
    hour: i8,
    minute: i8,
}

/// The number is not a time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a time of day written as hhmm")]
pub struct BadClockTime(u16);

impl ClockTime {
    /// The minutes past the hour.
    pub fn minute(self) -> i8 {
        self.minute
    }

    fn on(self, date: Date) -> jiff::civil::DateTime {
        date.to_datetime(Time::constant(self.hour, self.minute, 0, 0))
    }
}

impl TryFrom<u16> for ClockTime {
    type Error = BadClockTime;

    fn try_from(hhmm: u16) -> Result<Self, BadClockTime> {
        let (hour, minute) = if hhmm == 2400 { (0, 0) } else { (hhmm / 100, hhmm % 100) };
        if hour > 23 || minute > 59 {
            return Err(BadClockTime(hhmm));
        }
        Ok(Self { hour: hour as i8, minute: minute as i8 })
    }
}

impl FromStr for ClockTime {
    type Err = BadClockTime;

    fn from_str(text: &str) -> Result<Self, BadClockTime> {
        text.parse::<u16>().map_err(|_| BadClockTime(u16::MAX))?.try_into()
    }
}

impl fmt::Display for ClockTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.hour, self.minute)
    }
}

/// The first instant after `start` at which a clock in `zone` shows `time`.
///
/// A time that summer time skips counts as the same reading of a clock that nobody has put forward yet: 02:03 is
/// 03:03. (One landing of 2013 is noted like that.) A time shown twice in autumn counts at its first showing after
/// `start`. `None` only at the ends of the calendar.
pub fn first_showing_after(start: Timestamp, time: ClockTime, zone: &TimeZone) -> Option<Timestamp> {
    let mut date = zone.to_datetime(start).date();
    for _ in 0..3 {
        let reading = zone.to_ambiguous_timestamp(time.on(date));
        let showings = [reading.earlier().ok()?, reading.later().ok()?];
        let candidates = if matches!(reading.offset(), jiff::tz::AmbiguousOffset::Gap { .. }) {
            [reading.compatible().ok()?; 2]
        } else {
            showings
        };
        if let Some(found) = candidates.into_iter().find(|instant| *instant > start) {
            return Some(found);
        }
        date = date.tomorrow().ok()?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn showing(start: &str, time: &str, zone: &str) -> String {
        let zone = TimeZone::get(zone).unwrap();
        first_showing_after(start.parse().unwrap(), time.parse().unwrap(), &zone).unwrap().to_string()
    }

    #[test]
    fn a_clock_shows_a_time_today_or_tomorrow() {
        // UA1545 left Newark at 05:17 and landed in Houston at 08:30.
        assert_eq!(showing("2013-01-01T10:17:00Z", "830", "America/Chicago"), "2013-01-01T14:30:00Z");
        // Past midnight.
        assert_eq!(showing("2013-01-01T23:55:00-05:00", "42", "America/New_York"), "2013-01-02T05:42:00Z");
        assert_eq!(showing("2013-01-01T23:55:00-05:00", "2400", "America/New_York"), "2013-01-02T05:00:00Z");
        // Now is not after now.
        assert_eq!(showing("2013-01-01T10:00:00Z", "500", "America/New_York"), "2013-01-02T10:00:00Z");
    }

    #[test]
    fn a_skipped_time_is_read_off_a_clock_not_put_forward() {
        assert_eq!(showing("2013-03-10T04:06:00Z", "203", "America/New_York"), "2013-03-10T07:03:00Z");
    }

    #[test]
    fn a_time_shown_twice_counts_at_its_next_showing() {
        assert_eq!(showing("2013-11-03T03:00:00Z", "130", "America/New_York"), "2013-11-03T05:30:00Z");
        assert_eq!(showing("2013-11-03T05:45:00Z", "130", "America/New_York"), "2013-11-03T06:30:00Z");
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in ["2401", "1260", "-5", "", "noon", "99999"] {
            assert!(bad.parse::<ClockTime>().is_err(), "{bad:?}");
        }
    }
}
