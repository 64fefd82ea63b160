//! `spina doctor`: why it is stuck, and what to do next.

mod growth;
mod judge;
mod programs;

use std::time::Duration;

use anyhow::Result;
use tokio::time::Instant;

use crate::failure::{Exit, Failure};
use crate::observe::observe;
use crate::output::{self, Format};
use crate::reach::Reach;
use judge::{Finding, Verdict};

/// How long after the first look whatever lags is looked at again.
const SECOND_LOOK: Duration = Duration::from_secs(2);

/// Say why it is stuck and what to do next
///
/// Looks at installed programs, servers, services, topics, the owner and epoch of every partition, open transactions,
/// the archive, and the projections. Where something lags it looks again after 2 s, to tell whether the lag grows.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    reach: Reach,
}

impl Args {
    /// Examines and prints; fails if something is broken.
    pub async fn run(self, format: Format) -> Result<()> {
        let mut findings = programs::findings();
        let begun = Instant::now();
        match Box::pin(observe(&self.reach)).await {
            Ok(seen) => {
                findings.extend(judge::findings(&seen));
                if growth::anything_lags(&seen) {
                    tokio::time::sleep(SECOND_LOOK).await;
                    let again = Box::pin(observe(&self.reach)).await;
                    findings.extend(again.iter().flat_map(|again| growth::growing(&seen, again, begun.elapsed())));
                }
            }
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
