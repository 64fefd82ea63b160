//! Standard output: lines, JSON, tables. Everything that is not the answer goes to stderr.

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

/// How answers are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON document.
    Json,
    /// One JSON document per line.
    Ndjson,
}

/// Prints a line.
pub fn line(text: impl Display) -> Result<()> {
    writeln!(io::stdout().lock(), "{text}").context("print")
}

/// Prints a JSON document, over several lines if people may look at it.
pub fn json(value: &impl Serialize) -> Result<()> {
    let mut out = io::stdout().lock();
    if out.is_terminal() {
        serde_json::to_writer_pretty(&mut out, value)
    } else {
        serde_json::to_writer(&mut out, value)
    }
    .map_err(io::Error::from)
    .context("print")?;
    writeln!(out).context("print")
}

/// Many lines, buffered.
pub struct JsonLines {
    out: BufWriter<StdoutLock<'static>>,
}

impl JsonLines {
    /// Takes hold of standard output.
    pub fn new() -> Self {
        Self { out: BufWriter::with_capacity(1 << 16, io::stdout().lock()) }
    }

    /// Adds a line.
    pub fn push(&mut self, value: &impl Serialize) -> Result<()> {
        serde_json::to_writer(&mut self.out, value).map_err(io::Error::from).context("print")?;
        self.out.write_all(b"\n").context("print")
    }

    /// Adds a line that is not JSON.
    pub fn text(&mut self, text: impl Display) -> Result<()> {
        writeln!(self.out, "{text}").context("print")
    }

    /// Lets the reader see what was added so far.
    pub fn flush(&mut self) -> Result<()> {
        self.out.flush().context("print")
    }
}

impl Default for JsonLines {
    fn default() -> Self {
        Self::new()
    }
}

/// A note on stderr.
pub fn note(text: impl Display) {
    // A note that nobody can read is no reason to stop.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// A progress bar on stderr with rate and time left; silent where stderr is no terminal. `total` is unknown if `None`.
pub fn progress(total: Option<u64>, unit: &str) -> ProgressBar {
    let template = match total {
        Some(_) => format!(
            "{{prefix}} [{{bar:30}}] {{human_pos}}/{{human_len}} {unit}, {{per_sec}}, {{elapsed}} gone, {{eta}} left {{msg}}"
        ),
        None => format!("{{prefix}} {{spinner}} {{human_pos}} {unit}, {{per_sec}}, {{elapsed}} gone {{msg}}"),
    };
    let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let style = style.with_key("per_sec", |state: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
        // Formatting into indicatif's buffer cannot fail.
        let _ = write!(out, "{}/s", indicatif::HumanCount(state.per_sec().round() as u64));
    });
    let bar = match total {
        Some(total) => ProgressBar::new(total),
        None => ProgressBar::new_spinner(),
    };
    bar.set_draw_target(ProgressDrawTarget::stderr());
    bar.set_style(style.progress_chars("=> "));
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}
