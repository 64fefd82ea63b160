//! Requests, and what their answers mean for somebody who keeps a journal.

use serde_json::Value;
use spina_testkit::history::{Outcome, Place};

use super::arena::Arena;

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered {
    /// What it means.
    pub outcome: Outcome,
    /// The document, if there is one.
    pub body: Value,
    /// Whether the event-store that was asked does not serve the partition, or is not there.
    pub elsewhere: bool,
}

impl Answered {
    /// Nothing came back.
    fn silence(error: &reqwest::Error) -> Self {
        // A connection that was never made carried no request.
        let outcome = if error.is_connect() { Outcome::Failed } else { Outcome::Unknown };
        Self { outcome, body: Value::Null, elsewhere: true }
    }

    /// The stream's version as a conflict tells it.
    pub fn current_version(&self) -> Option<u64> {
        self.body["details"]["current_version"].as_u64()
    }
}

impl Arena {
    /// Appends through one of the event-stores.
    pub async fn append(&self, node: usize, stream: &str, key: Option<&str>, body: &str, events: usize) -> Answered {
        let url = format!("{}/v1/{}/streams/{stream}/events", self.urls[node], self.context.name);
        let mut request = self.client.post(url).header("content-type", "application/json").body(body.to_owned());
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Answered::silence(&error),
        };
        let status = response.status().as_u16();
        let body: Value = match response.json().await {
            Ok(body) => body,
            Err(_) => return Answered { outcome: Outcome::Unknown, body: Value::Null, elsewhere: false },
        };
        let outcome = match status {
            201 => Outcome::Ok(place(&body, events)),
            409 => Outcome::Conflict,
            400 | 413 | 422 => Outcome::Rejected,
            429 | 503 => Outcome::Failed,
            _ => Outcome::Unknown,
        };
        Answered { outcome, body, elsewhere: status == 503 }
    }

    /// Reads something about a stream, asking one event-store after the other; `None` if none answered.
    pub async fn read(&self, stream: &str, rest: &str) -> Option<Value> {
        let partition = self.partition_of(stream);
        for _ in 0..self.urls.len() {
            let node = self.route(partition);
            let url = format!("{}/v1/{}/streams/{stream}{rest}", self.urls[node], self.context.name);
            if let Ok(response) = self.client.get(url).send().await
                && response.status() == 200
            {
                return response.json().await.ok();
            }
            self.reroute(partition, node);
        }
        None
    }
}

/// Where the events stand, from `version` and the token `<topic>:<partition>:<offset>`.
fn place(body: &Value, events: usize) -> Option<Place> {
    let last = body["version"].as_u64()?;
    let mut token = body["token"].as_str()?.rsplit(':');
    let offset = token.next()?.parse().ok()?;
    let partition = token.next()?.parse().ok()?;
    Some(Place { first: last + 1 - events as u64, last, partition, offset })
}
