//! What a run leaves behind: one table for people, every histogram for later.

mod spread;
mod table;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use serde_json::json;

use crate::args::Args;
use crate::measured::Measured;
use crate::trials::Trial;

/// A finished run.
#[derive(Debug)]
pub struct Report<'r> {
    /// What was measured: the commit, with `-dirty` if files differ from it.
    pub commit: String,
    /// When, in seconds since 1970.
    pub run: u64,
    /// Mean size of a value, in bytes.
    pub bytes: usize,
    /// How.
    pub args: &'r Args,
    /// The figures.
    pub measured: &'r [Measured],
    /// The trials' figures.
    pub trials: &'r [Trial],
}

impl Report<'_> {
    /// Writes everything as JSON.
    pub fn save(&self, folder: &Path) -> anyhow::Result<()> {
        let path = folder.join("report.json");
        let Args {
            rounds,
            seconds,
            import_events,
            connections,
            rate,
            command_records,
            streams,
            signals,
            sagas,
            seed,
            smoke,
            ..
        } = self.args;
        let report = json!({
            "commit": self.commit,
            "run": self.run,
            "value_bytes": self.bytes,
            "options": {
                "rounds": rounds, "seconds": seconds, "import_events": import_events, "connections": connections,
                "rate": rate, "command_records": command_records, "streams": streams, "signals": signals, "sagas": sagas,
                "seed": seed, "smoke": smoke,
            },
            "arms": self.measured,
            "trials": self.trials,
        });
        let file = File::create(&path).with_context(|| format!("create {}", path.display()))?;
        let mut file = BufWriter::new(file);
        serde_json::to_writer(&mut file, &report).with_context(|| format!("write {}", path.display()))?;
        file.flush().with_context(|| format!("write {}", path.display()))
    }

    /// Prints the table.
    pub fn print(&self, folder: &Path) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        write!(out, "{}", table::table(self)).context("print the table")?;
        writeln!(out, "\nhistograms: {}", folder.join("report.json").display()).context("print the table")
    }
}

/// The commit that is checked out, or `unknown`.
pub fn commit() -> String {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "unknown".to_owned() };
    match git(&["status", "--porcelain"]) {
        Some(changes) if changes.is_empty() => commit,
        Some(_) | None => format!("{commit}-dirty"),
    }
}
