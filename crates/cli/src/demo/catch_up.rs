//! How far the read models are behind the log, and waiting until they are not.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;
use tokio::time::Instant;

use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::{output, projection};

/// How often the projector is asked.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// Watches the projections of a context.
pub struct LagWatch {
    context: &'static str,
    worst: AtomicI64,
}

impl LagWatch {
    /// Nothing seen yet.
    pub fn new(context: &'static str) -> Self {
        Self { context, worst: AtomicI64::new(0) }
    }

    /// The greatest lag seen, in records.
    pub fn worst(&self) -> i64 {
        self.worst.load(Ordering::Relaxed)
    }

    /// Looks again and again, for ever. A projector that is away is looked for again.
    pub async fn sample(&self, client: &Client) {
        loop {
            if let Ok(projections) = projection::list(client).await {
                self.note(&projections);
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// Waits until every projection has caught up.
    pub async fn catch_up(&self, client: &Client, give_up: Duration) -> Result<()> {
        let bar = output::progress(None, "records behind");
        let mut progress = (i64::MAX, Instant::now());
        loop {
            let (behind, why) = match projection::list(client).await {
                Ok(projections) => (self.note(&projections), last_error(&projections)),
                Err(failure) => (None, Some(failure.to_string())),
            };
            if behind == Some(0) {
                bar.finish_and_clear();
                return Ok(());
            }
            if let Some(behind) = behind {
                bar.set_position(behind.unsigned_abs());
                if behind < progress.0 {
                    progress = (behind, Instant::now());
                }
            }
            if progress.1.elapsed() >= give_up {
                bar.abandon();
                let why = why.unwrap_or_else(|| "no error is known".to_owned());
                let message = format!("the read models made no progress for {} s: {why}", give_up.as_secs());
                return Err(Failure::new(Exit::Unavailable, "state.unavailable", message)
                    .help("see spina doctor")
                    .into());
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// Takes the lag in; returns the largest now, at least 1 unless all have caught up, `None` without projections.
    fn note(&self, projections: &[Value]) -> Option<i64> {
        let ours = projections.iter().filter(|projection| projection["context"] == self.context);
        let behind = ours.map(|projection| {
            let lag = projection["lag_records"].as_i64().unwrap_or(0).max(0);
            if projection["caught_up"] == true { 0 } else { lag.max(1) }
        });
        let behind = behind.max()?;
        self.worst.fetch_max(behind, Ordering::Relaxed);
        Some(behind)
    }
}

fn last_error(projections: &[Value]) -> Option<String> {
    projections.iter().find_map(|projection| projection["last_error"].as_str()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_of_the_context_must_have_caught_up() {
        let seen = |context: &str, lag: u64, caught_up: bool| json!({ "context": context, "lag_records": lag, "caught_up": caught_up });
        let watch = LagWatch::new("flights");
        assert_eq!(watch.note(&[]), None);
        assert_eq!(watch.note(&[seen("flights", 7, false), seen("flights", 0, true)]), Some(7));
        assert_eq!(watch.note(&[seen("flights", 0, false)]), Some(1));
        // Transaction markers may be left over when everything has been read.
        assert_eq!(watch.note(&[seen("flights", 1, true), seen("booking", 9, false)]), Some(0));
        assert_eq!(watch.worst(), 7);
    }
}
