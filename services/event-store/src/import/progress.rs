//! What the client of an import is told.

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::routes::Sender;
use super::verdict::{Judged, Verdict};

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

    /// Only the log knows what became of a line.
    pub fn unknown() -> Self {
        Self::new("state.unknown", "the end of a transaction is not known; send it again")
    }

    /// Nobody takes lines of the partition.
    pub fn not_served(partition: i32) -> Self {
        Self::new(
            "state.unavailable",
            format!("partition {partition} is between two owners or not served, send it again"),
        )
    }

    /// For programs.
    #[cfg(test)]
    pub fn error_code(&self) -> &'static str {
        self.error_code
    }
}

/// Counts outcomes in line order and writes reports.
pub struct Progress {
    reports: mpsc::Sender<Bytes>,
    sender: Sender,
    lines: u64,
    appended: u64,
    duplicates: u64,
    rejected: u64,
    deferred: Option<Stop>,
}

impl Progress {
    /// Nothing is done yet.
    pub fn new(reports: mpsc::Sender<Bytes>, sender: Sender) -> Self {
        Self { reports, sender, lines: 0, appended: 0, duplicates: 0, rejected: 0, deferred: None }
    }

    /// No more lines are taken; those in flight still count.
    pub fn defer(&mut self, stop: Stop) {
        self.deferred.get_or_insert(stop);
    }

    /// Counts a chunk. Fails at the first line of which nothing certain is known.
    pub async fn count(&mut self, chunk: Vec<Judged>) -> Result<(), Stop> {
        let mut told = String::new();
        let mut stopped = Ok(());
        for judged in chunk {
            match judged {
                Ok(verdict) => self.tell(verdict, &mut told),
                Err(stop) => {
                    stopped = Err(stop);
                    break;
                }
            }
        }
        if !told.is_empty() {
            // A client that is gone shows at the next report.
            let _gone = self.reports.send(Bytes::from(told)).await;
        }
        stopped
    }

    /// Counts a line, and says what became of it where that is of interest: to a client if it was refused, to an
    /// event-store in any case.
    fn tell(&mut self, verdict: Verdict, told: &mut String) {
        self.lines += 1;
        match &verdict {
            Verdict::Blank => {}
            Verdict::Appended => self.appended += 1,
            Verdict::Duplicate => self.duplicates += 1,
            Verdict::Refused { .. } => self.rejected += 1,
        }
        let report = match (self.sender, verdict) {
            (Sender::EventStore, verdict) => {
                let mut report = json!(verdict);
                report["line"] = Value::from(self.lines);
                report
            }
            (Sender::Client, Verdict::Refused { error_code, message }) if self.rejected <= REFUSALS_MAX => {
                json!({"line": self.lines, "error_code": error_code, "message": message})
            }
            (Sender::Client, _) => return,
        };
        told.push_str(&report.to_string());
        told.push('\n');
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
