//! `spina doctor`: why it is stuck, and what to do next.

mod judge;
mod programs;

use anyhow::Result;

use crate::failure::{Exit, Failure};
use crate::observe::observe;
use crate::output::{self, Format};
use crate::reach::Reach;
use judge::{Finding, Verdict};

/// Say why it is stuck and what to do next
///
/// Looks at installed programs, servers, services, topics, the owner and epoch of every partition, open transactions,
/// the archive, and the projections.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    reach: Reach,
}

impl Args {
    /// Examines and prints; fails if something is broken.
    pub async fn run(self, format: Format) -> Result<()> {
        let mut findings = programs::findings();
        match Box::pin(observe(&self.reach)).await {
            Ok(seen) => findings.extend(judge::findings(&seen)),
            Err(error) => findings.push(Finding::bad("stack", format!("{error:#}"), "start it with spina up")),
        }
        match format {
            Format::Json => output::json(&findings)?,
            Format::Ndjson => findings.iter().try_for_each(output::json)?,
            Format::Text => findings.iter().try_for_each(output::line)?,
        }
        let broken: Vec<&Finding> = findings.iter().filter(|finding| finding.verdict == Verdict::Bad).collect();
        match broken.first() {
            None => Ok(()),
            Some(first) => {
                let message = format!("{} of {} examinations failed", broken.len(), findings.len());
                let failure = Failure::new(Exit::Unavailable, "state.unavailable", message);
                Err(failure.help(first.next.clone().unwrap_or_else(|| first.found.clone())).into())
            }
        }
    }
}
