//! Spans of time as people write them: `90s`, `1h30m`, `2d`.

/// A span in microseconds.
pub type Span = i64;

/// Longest span: a year.
pub const SPAN_MAX: Span = 366 * 86_400 * 1_000_000;

const UNITS: [(&str, i64); 6] = [
    ("ms", 1_000),
    ("s", 1_000_000),
    ("m", 60_000_000),
    ("h", 3_600_000_000),
    ("d", 86_400_000_000),
    ("w", 7 * 86_400_000_000),
];

/// Reads a span. `None` if the text is none, or one of nothing or of more than a year.
pub fn parse_span(text: &str) -> Option<Span> {
    let mut rest = text;
    let mut sum: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: i64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(u8::is_ascii_lowercase).count();
        let (_, micros) = UNITS.iter().find(|(unit, _)| *unit == &rest[..letters])?;
        sum = sum.checked_add(number.checked_mul(*micros)?)?;
        rest = &rest[letters..];
    }
    (1..=SPAN_MAX).contains(&sum).then_some(sum)
}

/// The span as text, in the largest units that say it exactly.
pub fn show_span(mut micros: Span) -> String {
    let mut text = String::new();
    for (unit, size) in UNITS.iter().rev().filter(|(unit, _)| *unit != "w") {
        if micros >= *size {
            text.push_str(&format!("{}{unit}", micros / size));
            micros %= size;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_they_are_written() {
        for (text, seconds) in [("90s", 90), ("1h30m", 5_400), ("2d", 172_800), ("1w", 604_800)] {
            assert_eq!(parse_span(text), Some(seconds * 1_000_000), "{text}");
        }
        for wrong in ["", "5", "h", "1x", "-1s", "0s", "1.5h", "99999d", "999999999999999999999s", "1h 2m"] {
            assert_eq!(parse_span(wrong), None, "{wrong}");
        }
        assert_eq!(show_span(5_400_000_000), "1h30m");
        assert_eq!(show_span(172_800_000_000), "2d");
    }
}
