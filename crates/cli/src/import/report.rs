//! What an import has done so far, over all its attempts.

use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::ProgressBar;
use serde_json::json;

use super::answer::{Answer, Counts, Rejection};
use crate::output::{self, Format};

/// Refused lines remembered; the others are only counted.
const REJECTIONS_MAX: usize = 100;

/// What an import has done.
pub struct Report {
    /// Lines by what became of them.
    pub counts: Counts,
    /// The first lines that were refused.
    pub rejections: Vec<Rejection>,
    /// Connections after the first one.
    pub resumed: u32,
    /// How long it took.
    pub took: Duration,
    pub(super) bar: ProgressBar,
    before: Counts,
    first_line: u64,
    attempts: u32,
    last_trouble: String,
    started: Instant,
}

impl Report {
    pub(super) fn new(bar: ProgressBar) -> Self {
        Self {
            counts: Counts::default(),
            rejections: Vec::new(),
            resumed: 0,
            took: Duration::ZERO,
            bar,
            before: Counts::default(),
            first_line: 0,
            attempts: 0,
            last_trouble: String::new(),
            started: Instant::now(),
        }
    }

    /// The next answers count lines from after line `confirmed`.
    pub(super) fn begin_attempt(&mut self, confirmed: u64) {
        self.before = self.counts;
        self.first_line = confirmed;
        self.resumed = self.attempts;
        self.attempts += 1;
    }

    /// Takes an answer in; returns the last line of the input that is confirmed by now.
    pub(super) fn hear(&mut self, answer: &Answer) -> u64 {
        match answer {
            Answer::Progress(counts) | Answer::End { counts, .. } => {
                self.counts = self.before.plus(*counts);
                self.bar.set_position(self.counts.lines);
            }
            Answer::Rejected(rejection) if self.rejections.len() < REJECTIONS_MAX => {
                let rejection = Rejection { line: self.first_line + rejection.line, ..rejection.clone() };
                let Rejection { line, error_code, message } = &rejection;
                self.note(format!("line {line}: {error_code}: {message}"));
                self.rejections.push(rejection);
            }
            Answer::Rejected(_) => {}
        }
        self.counts.lines
    }

    /// Says why it does not go on, once.
    pub(super) fn trouble(&mut self, text: String) {
        if self.last_trouble != text {
            self.note(text.clone());
            self.last_trouble = text;
        }
    }

    /// Says something without disturbing the bar.
    fn note(&self, text: String) {
        self.bar.suspend(|| output::note(text));
    }

    pub(super) fn finish(&mut self) {
        self.took = self.started.elapsed();
        self.bar.finish_and_clear();
    }

    /// Lines per second.
    pub fn rate(&self) -> f64 {
        self.counts.lines as f64 / self.took.as_secs_f64().max(0.001)
    }

    /// Prints the counts.
    pub fn print(&self, format: Format) -> Result<()> {
        let Counts { lines, appended, duplicates, rejected } = self.counts;
        let seconds = self.took.as_secs_f64();
        if format != Format::Text {
            return output::json(&json!({
                "lines": lines, "appended": appended, "duplicates": duplicates, "rejected": rejected,
                "seconds": seconds, "lines_per_second": self.rate(), "resumed": self.resumed,
                "rejections": self.rejections,
            }));
        }
        output::line(format!(
            "{lines} lines in {seconds:.1} s ({:.0}/s): {appended} appended, {duplicates} were there already, {rejected} refused",
            self.rate()
        ))?;
        if self.resumed > 0 && duplicates > 0 {
            output::note(
                "lines on their way when a connection was lost count as there already if they had been appended",
            );
        }
        Ok(())
    }
}
