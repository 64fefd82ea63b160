//! Days, times of day and instants: counts on the wire, RFC 3339 text in JSON.

use time::format_description::well_known::Rfc3339;
use time::{Date, OffsetDateTime};

use super::error::Invalid;
use super::kind::Precision;

const SECONDS_PER_DAY: i64 = 86_400;
const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// `2013-01-01T10:15:00.5` of a count since 1970; `None` outside the years 0 to 9999.
pub(super) fn local_text(count: i64, precision: Precision) -> Option<String> {
    let per_second = precision.per_second();
    let instant = OffsetDateTime::from_unix_timestamp(count.div_euclid(per_second)).ok()?;
    let mut text = String::with_capacity(30);
    push_date(&mut text, instant.date())?;
    text.push('T');
    let second_of_day = instant.unix_timestamp().rem_euclid(SECONDS_PER_DAY);
    push_time(&mut text, second_of_day, count.rem_euclid(per_second) * (NANOS_PER_SECOND / per_second));
    Some(text)
}

/// `2013-01-01T10:15:00.5Z` of a count since 1970; `None` outside the years 0 to 9999.
pub(super) fn timestamp_text(count: i64, precision: Precision) -> Option<String> {
    let mut text = local_text(count, precision)?;
    text.push('Z');
    Some(text)
}

/// `2013-01-01` of days since 1970; `None` outside the years 0 to 9999.
pub(super) fn date_text(days: i32) -> Option<String> {
    let instant = OffsetDateTime::from_unix_timestamp(i64::from(days) * SECONDS_PER_DAY).ok()?;
    let mut text = String::with_capacity(10);
    push_date(&mut text, instant.date())?;
    Some(text)
}

/// `10:15:00.5` of a count since midnight; `None` outside a day.
pub(super) fn time_text(count: i64, precision: Precision) -> Option<String> {
    let per_second = precision.per_second();
    let second = count.div_euclid(per_second);
    if !(0..SECONDS_PER_DAY).contains(&second) {
        return None;
    }
    let mut text = String::with_capacity(18);
    push_time(&mut text, second, count.rem_euclid(per_second) * (NANOS_PER_SECOND / per_second));
    Some(text)
}

fn push_date(text: &mut String, date: Date) -> Option<()> {
    let year = u32::try_from(date.year()).ok()?;
    push_two(text, year / 100);
    push_two(text, year % 100);
    text.push('-');
    push_two(text, u32::from(u8::from(date.month())));
    text.push('-');
    push_two(text, u32::from(date.day()));
    Some(())
}

fn push_time(text: &mut String, second_of_day: i64, nanos: i64) {
    let second = u32::try_from(second_of_day).expect("a day has 86,400 seconds");
    push_two(text, second / 3_600);
    text.push(':');
    push_two(text, second / 60 % 60);
    text.push(':');
    push_two(text, second % 60);
    if nanos > 0 {
        // As RFC 3339 is written elsewhere: a fraction only where there is one, without zeros at its end.
        let fraction = format!(".{nanos:09}");
        text.push_str(fraction.trim_end_matches('0'));
    }
}

fn push_two(text: &mut String, number: u32) {
    for digit in [number / 10 % 10, number % 10] {
        text.push(char::from_digit(digit, 10).expect("one digit"));
    }
}

/// The count since 1970 of RFC 3339 text with any offset.
pub(super) fn parse_timestamp(text: &str, precision: Precision) -> Result<i64, Invalid> {
    let instant = OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|_| not(text, "an RFC 3339 instant such as 2013-01-01T10:15:00Z"))?;
    count(instant, precision)
}

/// The count since 1970 of text like `2013-01-01T10:15:00`.
pub(super) fn parse_local(text: &str, precision: Precision) -> Result<i64, Invalid> {
    let instant = parse_completed("", text, "Z").ok_or_else(|| not(text, "like 2013-01-01T10:15:00"))?;
    count(instant, precision)
}

/// Days since 1970 of text like `2013-01-01`.
pub(super) fn parse_date(text: &str) -> Result<i32, Invalid> {
    let instant =
        parse_completed("", text, "T00:00:00Z").ok_or_else(|| not(text, "a calendar day such as 2013-01-01"))?;
    Ok(i32::try_from(instant.unix_timestamp() / SECONDS_PER_DAY).expect("years 0 to 9999 fit"))
}

/// The count since midnight of text like `10:15:00`.
pub(super) fn parse_time(text: &str, precision: Precision) -> Result<i64, Invalid> {
    let instant =
        parse_completed("1970-01-01T", text, "Z").ok_or_else(|| not(text, "a time of day such as 10:15:00"))?;
    count(instant, precision)
}

/// Parses a part of an instant by completing it. Texts longer than any instant are not looked at.
fn parse_completed(before: &str, text: &str, after: &str) -> Option<OffsetDateTime> {
    const PART_BYTES_MAX: usize = 40;
    if text.len() > PART_BYTES_MAX {
        return None;
    }
    OffsetDateTime::parse(&[before, text, after].concat(), &Rfc3339).ok()
}

fn count(instant: OffsetDateTime, precision: Precision) -> Result<i64, Invalid> {
    let per_second = precision.per_second();
    let nanos_each = NANOS_PER_SECOND / per_second;
    let nanos = i64::from(instant.nanosecond());
    if nanos % nanos_each != 0 {
        let unit = match precision {
            Precision::Millis => "milliseconds",
            Precision::Micros => "microseconds",
            Precision::Nanos => "nanoseconds",
        };
        return Err(Invalid::new(Invalid::RANGE, format!("the field keeps {unit}, the value is finer")));
    }
    instant
        .unix_timestamp()
        .checked_mul(per_second)
        .and_then(|count| count.checked_add(nanos / nanos_each))
        .ok_or_else(|| Invalid::new(Invalid::RANGE, "outside the years 1677 to 2262, which nanoseconds can say"))
}

fn not(text: &str, what: &str) -> Invalid {
    Invalid::new(Invalid::FORMAT, format!("`{}` is not {what}", super::error::shortened(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_have_one_text() {
        for (text, count, precision) in [
            ("1970-01-01T00:00:00Z", 0, Precision::Millis),
            ("2013-01-01T10:15:00Z", 1_357_035_300_000, Precision::Millis),
            ("1969-12-31T23:59:59.5Z", -500, Precision::Millis),
            ("2013-01-01T10:15:00.000001Z", 1_357_035_300_000_001, Precision::Micros),
            ("2013-01-01T10:15:00.120000003Z", 1_357_035_300_120_000_003, Precision::Nanos),
            ("0000-01-01T00:00:00Z", -62_167_219_200_000, Precision::Millis),
            ("9999-12-31T23:59:59.999Z", 253_402_300_799_999, Precision::Millis),
        ] {
            assert_eq!(timestamp_text(count, precision).as_deref(), Some(text));
            assert_eq!(parse_timestamp(text, precision), Ok(count));
            let local = text.trim_end_matches('Z');
            assert_eq!(local_text(count, precision).as_deref(), Some(local));
            assert_eq!(parse_local(local, precision), Ok(count));
        }
        assert_eq!(parse_timestamp("2013-01-01T05:15:00-05:00", Precision::Millis), Ok(1_357_035_300_000));
    }

    #[test]
    fn days_and_times_have_one_text() {
        for (text, days) in [("1970-01-01", 0), ("2013-01-01", 15_706), ("1969-12-31", -1), ("2012-02-29", 15_399)] {
            assert_eq!((date_text(days).as_deref(), parse_date(text)), (Some(text), Ok(days)));
        }
        for (text, millis) in [("00:00:00", 0), ("10:15:00.25", 36_900_250), ("23:59:59.999", 86_399_999)] {
            assert_eq!(time_text(millis, Precision::Millis).as_deref(), Some(text));
            assert_eq!(parse_time(text, Precision::Millis), Ok(millis));
        }
    }

    #[test]
    fn what_rfc_3339_cannot_say_has_no_text() {
        for count in [i64::MIN, i64::MAX, -62_167_219_200_001, 253_402_300_800_000] {
            assert_eq!(timestamp_text(count, Precision::Millis), None, "{count}");
        }
        assert_eq!((date_text(i32::MAX), date_text(i32::MIN), date_text(-719_529)), (None, None, None));
        assert_eq!((time_text(-1, Precision::Millis), time_text(86_400_000, Precision::Millis)), (None, None));
    }

    #[test]
    fn nothing_is_rounded_or_guessed() {
        let finer = parse_timestamp("2013-01-01T10:15:00.0001Z", Precision::Millis);
        assert_eq!(finer.unwrap_err().code, Invalid::RANGE);
        let early = parse_timestamp("1600-01-01T00:00:00Z", Precision::Nanos);
        assert_eq!(early.unwrap_err().code, Invalid::RANGE);
        for bad in ["", "2013-01-01", "2013-01-01T10:15:00", "2013-02-29T00:00:00Z", "1357035300"] {
            assert_eq!(parse_timestamp(bad, Precision::Millis).unwrap_err().code, Invalid::FORMAT, "{bad:?}");
        }
        for bad in ["", "2013-01-01T10:15:00", "2013-1-1", "2013-13-01", "01.01.2013"] {
            assert_eq!(parse_date(bad).unwrap_err().code, Invalid::FORMAT, "{bad:?}");
        }
        for bad in ["", "24:00:00", "10:15", "10:15:00Z", "10:15:00+01:00"] {
            assert_eq!(parse_time(bad, Precision::Millis).unwrap_err().code, Invalid::FORMAT, "{bad:?}");
        }
    }
}
