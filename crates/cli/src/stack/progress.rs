//! What a person sees while the stack comes up: one line per part, on standard
//! error, so that standard output stays free for answers.

use std::fmt::Display;
use std::io::Write;
use std::time::Instant;

/// Writes one line. A closed terminal is no reason to stop.
pub fn say(line: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Writes the line of one part: its name, what became of it, and how long that took.
pub fn done(part: impl Display, outcome: impl Display, since: Instant) {
    say(format_args!("{part:<18} {outcome} in {:.1} s", since.elapsed().as_secs_f64()));
}
