//! Activities: the HTTP calls of sagas. Made at least once, always under the same `Idempotency-Key`.
//!
//! A target of a step with `heartbeat_ms` may answer 202 and do it later: see [`callback`].
//!
//! A call has until half of its time to start: to find a place at its target, the target's breaker closed, and its turn by
//! the step's pace. Otherwise it is not made, which its saga is told, so that its retry policy goes on from there.

mod callback;
mod targets;

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};
use spina_core::Timestamp;
use spina_core::saga::{AskId, Class, Fields, Input, Refusal};
use spina_runtime::processor::{Clock, Requests};
use spina_runtime::{Tasks, shutdown};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::metrics::SagaMetrics;
use crate::sagas::Answer;
use targets::Entered;
pub use targets::{Pace, TargetView, Targets};

/// Largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 256 << 10;
/// Longest time for a call, whatever the step says.
const CALL_MAX: Duration = Duration::from_secs(300);
/// Pause before an answer is handed over again to a partition that has no room.
const HAND_OVER_PAUSE: Duration = Duration::from_millis(20);
/// How often it is: 60 s. Then the step's time-out makes the call again.
const HAND_OVERS_MAX: u32 = 3_000;

/// Most calls that wait for their start at a time; more are not made.
const WAITING_MAX: usize = 10_000;

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
    /// The pace that its step declares.
    pub pace: Option<Pace>,
    /// Whether the target may take it for later.
    pub for_later: bool,
}

/// What a target has said.
enum Said {
    /// It is done; this is what it gave.
    Done(Fields),
    /// It has taken the call for later.
    Later,
}

/// Makes calls. Clones share the limits.
#[derive(Clone)]
pub struct Calls {
    client: reqwest::Client,
    targets: Targets,
    places: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    tasks: Tasks,
    stopping: CancellationToken,
    clock: Clock,
    metrics: SagaMetrics,
    endpoint: Arc<str>,
}

/// What calls share with the rest of the process.
pub struct Around {
    /// Where they go.
    pub targets: Targets,
    /// Runs them.
    pub tasks: Tasks,
    /// Ends them.
    pub stopping: CancellationToken,
    /// The time.
    pub clock: Clock,
    /// Counts them.
    pub metrics: SagaMetrics,
    /// Base URL under which targets answer later.
    pub endpoint: String,
}

impl Calls {
    /// At most so many calls at a time.
    ///
    /// # Errors
    /// When the client cannot be set up.
    pub fn new(calls_max: usize, around: Around) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(5))
            .build()?;
        let Around { targets, tasks, stopping, clock, metrics, endpoint } = around;
        let (places, waiting) = (Semaphore::new(calls_max.max(1)), Semaphore::new(WAITING_MAX));
        let (places, waiting) = (Arc::new(places), Arc::new(waiting));
        let endpoint = endpoint.into();
        Ok(Self { client, targets, places, waiting, tasks, stopping, clock, metrics, endpoint })
    }

    /// Makes the call in a task of its own; the answer goes to the partition that asked, as long as it is served here. The
    /// next owner makes the call again.
    pub fn make(&self, call: Call, partition: i32, requests: Requests<Answer>) {
        let calls = self.clone();
        self.tasks.spawn("call of a saga", async move {
            let stopping = calls.stopping.clone();
            let Some(result) = stopping.run_until_cancelled(calls.answer(&call)).await else { return Ok(()) };
            let saga = call.ask.saga.clone();
            let input = match result {
                Ok(Said::Later) => Input::Beat { ask: call.ask },
                Ok(Said::Done(fields)) => Input::Reply { ask: call.ask, result: Ok(fields) },
                Err(refusal) => Input::Reply { ask: call.ask, result: Err(refusal) },
            };
            let answer = (saga, input);
            for _ in 0..HAND_OVERS_MAX {
                if requests.send(partition, answer.clone()).is_ok() || !requests.partitions().contains(&partition) {
                    break;
                }
                shutdown::sleep(&stopping, HAND_OVER_PAUSE).await;
            }
            Ok(())
        });
    }

    /// How long the call may take.
    fn left(&self, call: &Call) -> Duration {
        let left = call.due.map_or(i64::MAX, |due| due.micros() - (self.clock)().micros());
        Duration::from_micros(u64::try_from(left).unwrap_or(0)).min(CALL_MAX)
    }

    /// Waits for the start of the call, makes it, and tells the target how it ended.
    async fn answer(&self, call: &Call) -> Result<Said, Refusal> {
        let Some(name) = target_of(&call.url) else {
            let message = format!("`{}` is not the address of an HTTP target", call.url);
            return Err(Refusal { class: Class::Rejected, code: "http.address".to_owned(), message, doubtful: false });
        };
        let Some(target) = self.targets.of(&name) else { return Err(self.not_started("there are too many targets")) };
        let Ok(waiting) = self.waiting.try_acquire() else { return Err(self.not_started("too many calls wait")) };
        let start = async {
            let entered: Entered<'_> = target.enter(call.pace.as_ref()).await;
            (entered, self.places.acquire().await)
        };
        let Ok((entered, _place)) = tokio::time::timeout(self.left(call) / 2, start).await else {
            return Err(self.not_started(&format!("{name} did not take it in time")));
        };
        drop(waiting);
        let began = Instant::now();
        let result = self.ask(call).await;
        let outcome = match &result {
            Ok(Said::Done(_)) => "done",
            Ok(Said::Later) => "taken_for_later",
            Err(refusal) => outcome(refusal.class),
        };
        self.metrics.called(outcome, Some(began.elapsed()));
        // A target that says no is well.
        let well = result.as_ref().err().is_none_or(|refusal| refusal.class == Class::Rejected);
        entered.ended(&call.ask.to_string(), well);
        result
    }

    fn not_started(&self, why: &str) -> Refusal {
        self.metrics.called("not_started", None);
        let message = format!("the call was not made: {why}");
        Refusal { class: Class::Unavailable, code: "http.not_started".to_owned(), message, doubtful: false }
    }

    async fn ask(&self, call: &Call) -> Result<Said, Refusal> {
        let left = self.left(call);
        let mut request = self.client.post(&call.url).header("Idempotency-Key", call.ask.to_string()).json(&call.body);
        if call.for_later {
            request = request.header(callback::HEADER, callback::url(&self.endpoint, &call.ask));
        }
        let response = request.timeout(left).send().await.map_err(|error| failed(&error))?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(|error| failed(&error))?;
        if call.for_later && status == StatusCode::ACCEPTED {
            return Ok(Said::Later);
        }
        if status.is_success() {
            let body = bytes.get(..bytes.len().min(ANSWER_BYTES_MAX)).unwrap_or_default();
            let body: Value = serde_json::from_slice(body).unwrap_or_default();
            return Ok(Said::Done(answered(status.as_u16(), body)));
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

/// What later steps see as the reply of a call.
pub fn answered(status: u16, body: Value) -> Fields {
    Fields::from_iter([("status".to_owned(), json!(status)), ("body".to_owned(), body)])
}

/// `http://host:port` of an address.
fn target_of(url: &str) -> Option<String> {
    let url = reqwest::Url::parse(url).ok().filter(|url| ["http", "https"].contains(&url.scheme()))?;
    Some(url.origin().ascii_serialization())
}

fn outcome(class: Class) -> &'static str {
    match class {
        Class::Rejected => "rejected",
        Class::Unavailable => "unavailable",
        Class::TimedOut => "timed_out",
        Class::Definition => "definition",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_scheme_host_and_port() {
        assert_eq!(target_of("http://stub:7900/a?b=c").as_deref(), Some("http://stub:7900"));
        assert_eq!(target_of("https://stub/a").as_deref(), Some("https://stub"));
        assert!(["stub", "file:///etc", ""].iter().all(|bad| target_of(bad).is_none()));
    }
}
