//! What the client of an import is told.

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{ChunkOutcome, LineOutcome};
use crate::decide::append::Outcome;

/// Refused lines that are reported one by one; the rest is only counted.
const REFUSALS_MAX: u64 = 100;

/// Why an import ended before its last line. The lines after the last one counted have to be sent again.
#[derive(Debug, Clone)]
pub struct Stop {
    error_code: &'static str,
    message: String,
}

impl Stop {
    /// For programs and for people.
    pub fn new(error_code: &'static str, message: impl Into<String>) -> Self {
        Self { error_code, message: message.into() }
    }
}

/// Counts outcomes in line order and writes reports.
pub struct Progress {
    reports: mpsc::Sender<Bytes>,
    lines: u64,
    appended: u64,
    duplicates: u64,
    rejected: u64,
    deferred: Option<Stop>,
}

impl Progress {
    /// Nothing is done yet.
    pub fn new(reports: mpsc::Sender<Bytes>) -> Self {
        Self { reports, lines: 0, appended: 0, duplicates: 0, rejected: 0, deferred: None }
    }

    /// No more lines are taken; those in flight still count.
    pub fn defer(&mut self, stop: Stop) {
        self.deferred.get_or_insert(stop);
    }

    /// Counts a chunk. Fails at the first line of which nothing certain is known, or when nobody listens.
    pub async fn count(&mut self, outcomes: ChunkOutcome) -> Result<(), Stop> {
        for (line, outcome) in outcomes {
            match outcome {
                LineOutcome::Blank => {}
                LineOutcome::Refused(invalid) => self.refuse(line.number, invalid.error_code, &invalid.message).await,
                LineOutcome::Judged(Outcome::Appended(_)) => self.appended += 1,
                LineOutcome::Judged(Outcome::Repeated(_)) => self.duplicates += 1,
                LineOutcome::Judged(Outcome::Conflict(conflict)) => {
                    self.refuse(line.number, "state.conflict", &conflict.to_string()).await;
                }
                LineOutcome::Judged(Outcome::KeyReused) => {
                    let message = "the id belongs to an event with other data";
                    self.refuse(line.number, "validation.idempotency_key", message).await;
                }
                LineOutcome::Judged(Outcome::Unavailable(why)) => return Err(Stop::new("state.unavailable", why)),
                LineOutcome::Judged(Outcome::Unknown) => {
                    return Err(Stop::new("state.unknown", "the end of a transaction is not known; send it again"));
                }
            }
            self.lines = line.number;
        }
        Ok(())
    }

    async fn refuse(&mut self, line: u64, error_code: &str, message: &str) {
        self.rejected += 1;
        if self.rejected <= REFUSALS_MAX {
            // A client that is gone shows at the next report.
            let _gone = self.send(&json!({"line": line, "error_code": error_code, "message": message})).await;
        }
    }

    /// Reports how far it got. An error means that nobody listens any more.
    pub async fn report(&self) -> Result<(), mpsc::error::SendError<Bytes>> {
        self.send(&self.counts()).await
    }

    /// The last report.
    pub async fn finish(mut self, stop: Option<Stop>) {
        let mut last = self.counts();
        let stop = stop.or(self.deferred.take());
        last["done"] = Value::from(stop.is_none());
        if let Some(stop) = stop {
            last["error_code"] = Value::from(stop.error_code);
            last["message"] = Value::from(stop.message);
        }
        let _gone = self.send(&last).await;
    }

    fn counts(&self) -> Value {
        json!({
            "lines": self.lines,
            "appended": self.appended,
            "duplicates": self.duplicates,
            "rejected": self.rejected,
        })
    }

    async fn send(&self, report: &Value) -> Result<(), mpsc::error::SendError<Bytes>> {
        self.reports.send(Bytes::from(format!("{report}\n"))).await
    }
}
