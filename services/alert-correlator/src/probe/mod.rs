//! Watching the platform itself: what the rules' `watch` asks for is read every so often and becomes alerts of our own input.
//!
//! ```text
//! /metrics, PostgreSQL, Kafka --Platform--> values --Watching (pure)--> alerts --> the journal
//! ```
//!
//! Only the process that correlates looks. A state that is lost with it comes back by looking again: alerts end by not being
//! told any more.

mod metrics;
mod readings;
mod watching;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use spina_rules::correlation::{Reading, Watch};
use spina_runtime::processor::Requests;
use spina_runtime::shutdown::sleep;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::correlate::Input;
use crate::journal::{PARTITION, Scribe};
use crate::rules::Files;

pub use readings::Platform;
use watching::Watching;

/// Looks until the process stops.
pub struct Probe {
    /// What is read from.
    pub platform: Platform,
    /// Which conditions there are.
    pub files: Files,
    /// Writes the alerts down.
    pub scribe: Scribe,
    /// Whether it is this process that correlates.
    pub requests: Requests<()>,
}

impl Probe {
    /// See the [module](self).
    pub async fn run(mut self, every: Duration, stopping: CancellationToken) -> anyhow::Result<()> {
        let (mut watching, mut failing) = (Watching::default(), BTreeMap::new());
        while sleep(&stopping, every).await {
            if !self.requests.partitions().contains(&PARTITION) {
                watching = Watching::default();
                continue;
            }
            let Some(unread) = stopping.run_until_cancelled(self.look(&mut watching)).await else { break };
            for (reading, reason) in unread.iter().filter(|(reading, _)| !failing.contains_key(*reading)) {
                tracing::warn!(reading = reading.name(), reason, "cannot see how the platform does");
            }
            failing = unread;
        }
        Ok(())
    }

    async fn look(&mut self, watching: &mut Watching) -> BTreeMap<Reading, String> {
        let wanted = self.files.wanted();
        let watches: Vec<&Watch> = wanted.set.files.iter().flat_map(|file| &file.watches).collect();
        let readings: BTreeSet<Reading> = watches.iter().map(|watch| watch.reads).collect();
        let (values, unread) = self.platform.read(&readings).await;
        let now = clock::now();
        let alerts = watching.look(&watches, &values, &unread.keys().copied().collect(), now);
        let inputs: Vec<Input> = alerts.into_iter().map(|alert| Input::SignalTaken(alert.signal(now))).collect();
        if let Err(error) = self.scribe.write(&inputs, now).await {
            tracing::warn!(error = format!("{error:#}"), "the journal does not take the platform's own alerts");
        }
        unread
    }
}
