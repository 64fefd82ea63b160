//! Activities: the HTTP calls of sagas. Made at least once, always under the same `Idempotency-Key`.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use spina_core::Timestamp;
use spina_core::saga::{AskId, Class, Fields, Input, Refusal};
use spina_runtime::processor::{Clock, Requests};
use spina_runtime::{Tasks, shutdown};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::sagas::Answer;

/// Largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 256 << 10;
/// Longest time for a call, whatever the step says.
const CALL_MAX: Duration = Duration::from_secs(300);
/// Pause before an answer is handed over again to a partition that has no room.
const HAND_OVER_PAUSE: Duration = Duration::from_millis(20);
/// How often it is: 60 s. Then the step's time-out makes the call again.
const HAND_OVERS_MAX: u32 = 3_000;

/// A call to be made.
#[derive(Debug, Clone)]
pub struct Call {
    /// Its id: the idempotency key.
    pub ask: AskId,
    /// Where.
    pub url: String,
    /// What is sent, in JSON.
    pub body: Fields,
    /// When it is given up.
    pub due: Option<Timestamp>,
}

/// Makes calls. Clones share the limit.
#[derive(Clone)]
pub struct Calls {
    client: reqwest::Client,
    places: Arc<Semaphore>,
    tasks: Tasks,
    stopping: CancellationToken,
    clock: Clock,
}

impl Calls {
    /// At most so many calls at a time.
    ///
    /// # Errors
    /// When the client cannot be set up.
    pub fn new(calls_max: usize, tasks: Tasks, stopping: CancellationToken, clock: Clock) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(5))
            .build()?;
        Ok(Self { client, places: Arc::new(Semaphore::new(calls_max.max(1))), tasks, stopping, clock })
    }

    /// Makes the call in a task of its own; the answer goes to the partition that asked, as long as it is served here. The
    /// next owner makes the call again.
    pub fn make(&self, call: Call, partition: i32, requests: Requests<Answer>) {
        let calls = self.clone();
        self.tasks.spawn("call of a saga", async move {
            let stopping = calls.stopping.clone();
            let made = stopping.run_until_cancelled(async {
                let _place = calls.places.acquire().await;
                calls.answer(&call).await
            });
            let Some(result) = made.await else { return Ok(()) };
            let answer = (call.ask.saga.clone(), Input::Reply { ask: call.ask, result });
            for _ in 0..HAND_OVERS_MAX {
                if requests.send(partition, answer.clone()).is_ok() || !requests.partitions().contains(&partition) {
                    break;
                }
                shutdown::sleep(&stopping, HAND_OVER_PAUSE).await;
            }
            Ok(())
        });
    }

    async fn answer(&self, call: &Call) -> Result<Fields, Refusal> {
        let left = call.due.map_or(i64::MAX, |due| due.micros() - (self.clock)().micros());
        let left = Duration::from_micros(u64::try_from(left).unwrap_or(0)).min(CALL_MAX);
        let request = self.client.post(&call.url).header("Idempotency-Key", call.ask.to_string()).json(&call.body);
        let response = request.timeout(left).send().await.map_err(|error| failed(&error))?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(|error| failed(&error))?;
        if status.is_success() {
            let body = bytes.get(..bytes.len().min(ANSWER_BYTES_MAX)).unwrap_or_default();
            let body: Value = serde_json::from_slice(body).unwrap_or_default();
            return Ok(Fields::from_iter([("status".to_owned(), json!(status.as_u16())), ("body".to_owned(), body)]));
        }
        let again = status.is_server_error() || [408, 425, 429].contains(&status.as_u16());
        Err(Refusal {
            class: if again { Class::Unavailable } else { Class::Rejected },
            code: format!("http.{}", status.as_u16()),
            message: String::from_utf8_lossy(&bytes[..bytes.len().min(300)]).into_owned(),
            // A server that fails may have begun.
            doubtful: status.is_server_error(),
        })
    }
}

fn failed(error: &reqwest::Error) -> Refusal {
    let (class, doubtful) = match (error.is_timeout(), error.is_connect()) {
        (true, _) => (Class::TimedOut, true),
        (false, true) => (Class::Unavailable, false),
        (false, false) => (Class::Unavailable, true),
    };
    Refusal { class, code: "http.failed".to_owned(), message: error.to_string(), doubtful }
}
