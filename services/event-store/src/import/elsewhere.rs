//! Lines of a chunk that another process has to append.

use serde::Deserialize;
use spina_store::archive::Owner;

use super::progress::Stop;
use super::routes::Turn;
use super::verdict::{Judged, Verdict};
use crate::context::Context;
use crate::forward::NoReports;

/// Lines for one owner, and the places of their verdicts in the chunk.
#[derive(Debug)]
pub struct Parcel {
    owner: Owner,
    turn: Turn,
    body: String,
    /// Places of its lines in the chunk.
    pub places: Vec<usize>,
}

impl Parcel {
    /// An empty one.
    pub fn new(owner: Owner, turn: Turn) -> Self {
        Self { owner, turn, body: String::new(), places: Vec::new() }
    }

    /// Adds a line.
    pub fn add(&mut self, line: &str, place: usize) {
        self.body.push_str(line);
        self.body.push('\n');
        self.places.push(place);
    }

    /// Sends it when it is its turn, and gives what became of each line. It is never sent twice: what its events' ids are
    /// for the owner to give if the lines have none.
    pub async fn deliver(mut self, context: &Context) -> (Vec<usize>, Vec<Judged>) {
        let endpoint = self.owner.endpoint.clone();
        let unavailable =
            || Stop::new("state.unavailable", format!("{endpoint} did not take all lines, send them again"));
        if !self.turn.come().await {
            let none = vec![Err(unavailable()); self.places.len()];
            return (self.places, none);
        }
        let judged = match context.shared.forwarder.import(context, &self.owner, self.body).await {
            Ok(reports) => judged(&reports, self.places.len(), &unavailable()),
            Err(NoReports::Untouched) => vec![Err(unavailable()); self.places.len()],
            Err(NoReports::Lost) => vec![Err(Stop::unknown()); self.places.len()],
        };
        if judged.iter().all(Result::is_ok) {
            self.turn.done();
        }
        (self.places, judged)
    }
}

/// A report of the owner, as far as it matters here.
#[derive(Deserialize)]
#[serde(untagged)]
enum Report {
    Line {
        line: usize,
        #[serde(flatten)]
        verdict: Verdict,
    },
    Counts {
        error_code: Option<String>,
    },
}

/// What became of each line. Of those that are not reported, nothing is certain unless the owner says why it stopped.
fn judged(reports: &[u8], lines: usize, unavailable: &Stop) -> Vec<Judged> {
    let mut verdicts: Vec<Option<Verdict>> = vec![None; lines];
    let mut stop = Stop::unknown();
    for report in reports.split(|byte| *byte == b'\n') {
        match serde_json::from_slice(report) {
            Ok(Report::Line { line, verdict }) => {
                if let Some(place) = line.checked_sub(1).and_then(|place| verdicts.get_mut(place)) {
                    *place = Some(verdict);
                }
            }
            Ok(Report::Counts { error_code: Some(code) }) if code == "state.unavailable" => stop = unavailable.clone(),
            Ok(Report::Counts { .. }) | Err(_) => {}
        }
    }
    verdicts.into_iter().map(|verdict| verdict.ok_or_else(|| stop.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(reports: &str, lines: usize) -> Vec<String> {
        let unavailable = Stop::new("state.unavailable", "gone");
        let code = |judged: Judged| match judged {
            Ok(verdict) => serde_json::to_value(verdict).unwrap()["outcome"].as_str().unwrap().to_owned(),
            Err(stop) => stop.error_code().to_owned(),
        };
        judged(reports.as_bytes(), lines, &unavailable).into_iter().map(code).collect()
    }

    #[test]
    fn each_line_has_the_verdict_that_the_owner_reports() {
        let reports = concat!(
            "{\"line\":1,\"outcome\":\"appended\"}\n{\"line\":2,\"outcome\":\"duplicate\"}\n",
            "{\"lines\":2,\"appended\":1,\"duplicates\":1,\"rejected\":0}\n",
            "{\"line\":3,\"outcome\":\"refused\",\"error_code\":\"state.conflict\",\"message\":\"m\"}\n",
            "{\"lines\":3,\"appended\":1,\"duplicates\":1,\"rejected\":1,\"done\":true}\n",
        );
        assert_eq!(codes(reports, 3), ["appended", "duplicate", "refused"]);
    }

    #[test]
    fn a_line_without_verdict_is_never_taken_for_done() {
        let first = "{\"line\":1,\"outcome\":\"appended\"}\n";
        let stopped = format!("{first}{{\"lines\":1,\"done\":false,\"error_code\":\"state.unavailable\"}}\n");
        assert_eq!(codes(&stopped, 2), ["appended", "state.unavailable"]);
        assert_eq!(codes(first, 2), ["appended", "state.unknown"], "the answer broke off");
        assert_eq!(codes("{\"line\":9,\"outcome\":\"appended\"}\nnonsense", 1), ["state.unknown"]);
    }
}
