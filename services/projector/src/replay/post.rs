//! Posting to an HTTP endpoint, one event after the other.
//!
//! An answer that was lost is asked for again, so an event may come twice: always under the same `Idempotency-Key`. The
//! header `Spina-Replay` tells replayed events from those that happen now.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use spina_codec::catalog::SchemaCache;
use spina_codec::recorded::{self, DecodeError};
use spina_core::{Recorded, Token};
use spina_log::Fetched;
use spina_store::jobs::JobProgress;

use super::Trouble;

/// Longest time to reach the endpoint.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time for one event.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How much of a refusal is kept, in characters.
const REFUSAL_CHARS_MAX: usize = 300;

/// Posts events.
pub struct Post {
    client: Client,
    url: String,
    job: String,
    schemas: SchemaCache,
}

impl Post {
    /// Posts to the endpoint.
    pub fn new(url: &str, job: String, schemas: SchemaCache) -> Result<Self, Trouble> {
        let client = Client::builder().no_proxy().redirect(Policy::none()).connect_timeout(CONNECT_TIMEOUT);
        let client = client.timeout(TIMEOUT).build().map_err(|error| Trouble::Final(error.to_string()))?;
        Ok(Self { client, url: url.to_owned(), job, schemas })
    }

    /// Posts these events; each that was taken counts at once.
    pub async fn send(
        &self,
        events: Vec<Fetched>,
        next_offsets: &[i64],
        progress: &mut JobProgress,
    ) -> Result<(), Trouble> {
        for event in events {
            let (partition, offset) = (event.partition, event.offset);
            self.one(event).await?;
            progress.matched += 1;
            if let Some(next) = usize::try_from(partition).ok().and_then(|at| progress.next_offsets.get_mut(at)) {
                *next = offset + 1;
            }
        }
        progress.next_offsets = next_offsets.to_vec();
        Ok(())
    }

    async fn one(&self, event: Fetched) -> Result<(), Trouble> {
        let event = self.decode(&event).await?;
        let key = format!("replay-{}-{}", self.job, event.headers.id);
        let request = self.client.post(&self.url).header("idempotency-key", key).header("spina-replay", &self.job);
        let passing = |error: reqwest::Error| Trouble::Passing(format!("{} did not answer: {error}", self.url));
        let answer = request.json(&body(event)).send().await.map_err(passing)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let said: String = answer.text().await.unwrap_or_default().chars().take(REFUSAL_CHARS_MAX).collect();
        let message = format!("{} answered {status}: {said}", self.url);
        let later = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
        let passes = status.is_server_error() || later.contains(&status);
        Err(if passes { Trouble::Passing(message) } else { Trouble::Final(message) })
    }

    async fn decode(&self, record: &Fetched) -> Result<Recorded, Trouble> {
        let place = || format!("{}:{}:{}", record.topic, record.partition, record.offset);
        loop {
            let (key, value) = (record.key.as_deref(), record.value.as_deref());
            let (partition, offset) = (record.partition, record.offset);
            match recorded::decode(&record.topic, partition, offset, key, value, &record.headers, &self.schemas) {
                Ok(event) => return Ok(event),
                Err(DecodeError::UnknownSchema(id)) => match self.schemas.resolve(id).await {
                    Ok(_) => {}
                    Err(error) if error.is_transient() => return Err(Trouble::Passing(error.to_string())),
                    Err(error) => return Err(Trouble::Final(format!("{}: {error}", place()))),
                },
                Err(error) => return Err(Trouble::Final(format!("{}: {error}", place()))),
            }
        }
    }
}

/// The event as the event-store's API gives it.
fn body(event: Recorded) -> Value {
    let Recorded { headers, position, data } = event;
    let mut body = json!({
        "id": headers.id,
        "type": headers.event_type,
        "stream": headers.stream.as_str(),
        "version": headers.version,
        "time": headers.time,
        "token": Token::from(&position),
        "data": data,
    });
    for (name, value) in [("correlation_id", headers.correlation_id), ("causation_id", headers.causation_id)] {
        if let Some(value) = value {
            body[name] = Value::String(value);
        }
    }
    body
}
