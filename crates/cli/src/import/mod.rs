//! `spina import`: many events from NDJSON lines, over lost connections and restarts.
//!
//! ```text
//!   file or pipe -> lines -> backlog <=> attempt (one request) <=> event-store
//!                               |  a lost connection: the next attempt begins after the last confirmed line
//! ```

mod answer;
mod attempt;
mod backlog;
mod lines;
mod report;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use spina_core::ContextName;
use tokio::time::Instant;

pub use answer::{Counts, Rejection};
use backlog::Backlog;
pub use report::Report;

use crate::client::Client;
use crate::client::retry::Pauses;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};
use crate::reach::{InContext, Reach, seconds};

/// Append many events from NDJSON lines, resuming by itself over lost connections
///
/// A line: {"stream": "…", "type": "…", "data": {…}, "id": "…", "time": "…", "expected_version": …}; the last three may be
/// missing. An event whose id is there already is not appended again, so an import may be repeated as a whole.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// NDJSON file, or - for standard input
    file: PathBuf,
    /// Give up after this long without progress
    #[arg(long, default_value = "300", value_name = "SECONDS", value_parser = seconds)]
    give_up: Duration,
    #[command(flatten)]
    context: InContext,
    #[command(flatten)]
    reach: Reach,
}

impl Args {
    /// Imports and tells the counts.
    pub async fn run(self, format: Format) -> Result<()> {
        let client = self.reach.client()?;
        let context = self.context.resolve(&client).await?;
        let standard_input = self.file == Path::new("-");
        let total = if standard_input { None } else { Some(count_lines(&self.file)?) };
        let input: Box<dyn Read + Send> =
            if standard_input { Box::new(std::io::stdin()) } else { Box::new(open(&self.file)?) };
        let report = import(&client, &context, input, total, self.give_up).await?;
        report.print(format)?;
        let rejected = report.counts.rejected;
        if rejected > 0 {
            return Err(
                Failure::new(Exit::Refused, "validation.rejected", format!("{rejected} lines were refused")).into()
            );
        }
        Ok(())
    }
}

/// Imports all lines of `input`, with a progress bar; `total` is how many there are, if known.
///
/// Fails with a passing [`Failure`] after `give_up` without progress. Refused lines are no failure; the report has them.
pub async fn import(
    client: &Client,
    context: &ContextName,
    input: impl Read + Send + 'static,
    total: Option<u64>,
    give_up: Duration,
) -> Result<Report> {
    let backlog = Arc::new(Backlog::new(lines::spawn(input).context("start to read")?));
    let bar = output::progress(total, "events");
    let mut report = Report::new(bar);
    let mut pauses = Pauses::new();
    let mut progress = (0, Instant::now());
    loop {
        report.begin_attempt(backlog.confirmed());
        let mut hear = |answer: &_| backlog.confirm(report.hear(answer));
        let outcome = attempt::attempt(client, context, &backlog, &mut hear).await;
        if let Some(error) = backlog.failure() {
            return Err(error).context("read the lines to import");
        }
        let Err(failure) = outcome else { break };
        if backlog.confirmed() > progress.0 {
            progress = (backlog.confirmed(), Instant::now());
            pauses = Pauses::new();
        }
        if !failure.is_passing() || progress.1.elapsed() >= give_up {
            report.bar.abandon();
            let line = backlog.confirmed();
            let help = "run the command again: what was appended is recognised and not appended twice";
            return Err(failure.help(help)).with_context(|| format!("import stopped after line {line}"));
        }
        report.trouble(format!("{failure}; going on at line {}", backlog.confirmed() + 1));
        tokio::time::sleep(pauses.next(Some(&failure))).await;
    }
    report.finish();
    Ok(report)
}

/// The file to import.
pub fn open(path: &Path) -> Result<File> {
    File::open(path).with_context(|| format!("open {}", path.display()))
}

/// Lines of a file, for the progress bar. A million takes about a tenth of a second.
fn count_lines(path: &Path) -> Result<u64> {
    let mut file = open(path)?;
    let mut buffer = vec![0; 1 << 18];
    let (mut lines, mut last) = (0, b'\n');
    loop {
        let read = file.read(&mut buffer).with_context(|| format!("read {}", path.display()))?;
        let Some(end) = buffer[..read].last() else { break };
        lines += buffer[..read].iter().filter(|byte| **byte == b'\n').count() as u64;
        last = *end;
    }
    Ok(lines + u64::from(last != b'\n'))
}

#[cfg(test)]
mod tests;
