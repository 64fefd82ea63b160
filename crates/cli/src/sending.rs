//! What `spina publish` and `spina command` have in common: a request that is sent until its outcome is known.

use std::time::Duration;

use clap::ValueEnum;
use reqwest::Method;
use serde_json::Value;
use spina_core::{ExpectedVersion, Timestamp};

use crate::client::{Client, Service, retry};
use crate::failure::{Exit, Failure};
use crate::reach::{InContext, Reach};

/// How long a request is tried again when the outcome is unknown or nobody is there to ask.
const TRY_FOR: Duration = Duration::from_secs(30);

/// What an answer waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Ack {
    /// The commit
    Commit,
    /// Until a committed reader has seen the events
    Readback,
}

/// See the [module](self).
#[derive(Debug, clap::Args)]
pub struct Sending {
    /// any, no_stream, stream_exists or a version
    #[arg(long, default_value = "any", value_name = "VERSION")]
    pub expected_version: ExpectedVersion,
    /// What was accepted under this key has the same answer again [default: a new one]
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    /// When it happened [default: now, by the event-store]
    #[arg(long)]
    pub time: Option<Timestamp>,
    /// The business transaction that it belongs to
    #[arg(long, value_name = "ID")]
    pub correlation_id: Option<String>,
    /// What the answer waits for
    #[arg(long, default_value = "commit")]
    pub ack: Ack,
    /// Of which context the stream is.
    #[command(flatten)]
    pub context: InContext,
    /// Where the servers are.
    #[command(flatten)]
    pub reach: Reach,
}

impl Sending {
    /// The key that it is sent under.
    pub fn key(&self) -> String {
        self.idempotency_key.clone().unwrap_or_else(|| uuid::Uuid::now_v7().to_string())
    }

    /// The event-store's answer. What is not known in the end can be asked for again by the key, which the failure tells.
    pub async fn send(&self, client: &Client, path: &str, key: &str, body: &Value) -> Result<Value, Failure> {
        let asked: &[(&str, &str)] = match self.ack {
            Ack::Commit => &[],
            Ack::Readback => &[("ack", "readback")],
        };
        let answer = retry::until_settled(TRY_FOR, || {
            let request = client.request(Service::EventStore, Method::POST, path).query(asked);
            client.document(Service::EventStore, request.header("Idempotency-Key", key).json(body))
        });
        answer.await.map_err(|mut failure| {
            if failure.exit == Exit::Unavailable {
                failure.facts.insert("idempotency_key".to_owned(), key.into());
            }
            failure
        })
    }
}
