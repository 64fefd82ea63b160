//! Sending notifications: made at least once, always under the same `Idempotency-Key`.
//!
//! ```text
//! NotificationDecided (committed) --> attempt --2xx--> NotificationEnded, into the journal
//!                                       |  ^
//!                                       +--+ longer and longer pauses; given up after the last attempt, or when refused
//! ```

mod body;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use spina_core::correlation::Notification;
use spina_rules::correlation::{Format, RuleSet};
use spina_runtime::Tasks;
use spina_runtime::shutdown::sleep;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::config::AlertCorrelatorConfig;
use crate::correlate::Input;
use crate::journal::Scribe;

/// Pause before the journal is asked again to take what became of a notification.
const WRITE_PAUSE: Duration = Duration::from_millis(500);
/// Longest reason that is kept, in bytes.
const REASON_BYTES_MAX: usize = 300;

/// A notification on its way.
#[derive(Debug)]
pub struct Post {
    notification: Notification,
    /// Where to and how; `None` if the receiver is gone.
    place: Option<(String, Format)>,
    /// Ends the sending without an outcome: somebody else will do it.
    held: CancellationToken,
}

impl Post {
    /// A notification to where its receiver is now.
    pub fn of(notification: Notification, rules: &RuleSet, held: CancellationToken) -> Self {
        let receiver = rules.receiver(&notification.receiver);
        let place = receiver.and_then(|receiver| Some((receiver.webhook.clone()?, receiver.format)));
        Self { notification, place, held }
    }
}

/// How an attempt failed.
struct Failure {
    reason: String,
    again: bool,
}

/// Sends. Clones share the limit.
#[derive(Clone)]
pub struct Sender {
    client: reqwest::Client,
    places: Arc<Semaphore>,
    attempts_max: u32,
    pause: Duration,
    pause_max: Duration,
    external_url: String,
    tasks: Tasks,
    scribe: Scribe,
}

impl Sender {
    /// Sends as the settings say, and tells the journal what became of it.
    ///
    /// # Errors
    /// When the client cannot be set up.
    pub fn new(config: &AlertCorrelatorConfig, tasks: Tasks, scribe: Scribe) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_millis(config.notify_timeout_ms.max(1)))
            .build()
            .context("set up a client for notifications")?;
        Ok(Self {
            client,
            places: Arc::new(Semaphore::new(config.notify_at_once_max.max(1))),
            attempts_max: config.notify_attempts_max.max(1),
            pause: Duration::from_millis(config.notify_pause_ms.max(1)),
            pause_max: Duration::from_millis(config.notify_pause_max_ms.max(1)),
            external_url: config.external_url.clone(),
            tasks,
            scribe,
        })
    }

    /// Sends in a task of its own, of which there is at most one for each group.
    pub fn send(&self, post: Post) {
        let sender = self.clone();
        self.tasks.spawn("send a notification", async move {
            let held = post.held.clone();
            held.run_until_cancelled(sender.deliver(post)).await;
            Ok(())
        });
    }

    async fn deliver(&self, post: Post) {
        let id = post.notification.notification.clone();
        let (attempts, result) = match &post.place {
            None => (0, Err("the receiver is not there any more".to_owned())),
            Some((url, format)) => self.attempts(&post, url, *format).await,
        };
        if let Err(reason) = &result {
            tracing::warn!(
                notification = id,
                receiver = post.notification.receiver,
                reason,
                "a notification is given up"
            );
        }
        let ended = Input::NotificationEnded {
            notification: id,
            delivered: result.is_ok(),
            attempts: i64::from(attempts),
            error: result.err(),
            at: clock::now(),
        };
        while let Err(error) = self.scribe.write(std::slice::from_ref(&ended), clock::now()).await {
            tracing::warn!(error = format!("{error:#}"), "the journal does not take what became of a notification");
            sleep(&post.held, WRITE_PAUSE).await;
        }
    }

    /// Tries until it is taken, refused, or tried often enough; with the number of attempts.
    async fn attempts(&self, post: &Post, url: &str, format: Format) -> (u32, Result<(), String>) {
        let body = body::of(&post.notification, format, &self.external_url);
        let mut pause = self.pause;
        for attempt in 1.. {
            match self.attempt(&post.notification.notification, url, &body).await {
                Ok(()) => return (attempt, Ok(())),
                Err(failure) if !failure.again || attempt >= self.attempts_max => {
                    return (attempt, Err(failure.reason));
                }
                Err(_) => sleep(&post.held, pause).await,
            };
            pause = (pause * 2).min(self.pause_max);
        }
        unreachable!("there is a last attempt")
    }

    async fn attempt(&self, id: &str, url: &str, body: &serde_json::Value) -> Result<(), Failure> {
        let _place = self.places.acquire().await;
        let sent = self.client.post(url).header("Idempotency-Key", id).json(body).send().await;
        let response = sent.map_err(|error| Failure { reason: format!("http.failed: {error}"), again: true })?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let again = status.is_server_error() || [408, 425, 429].contains(&status.as_u16());
        let said = response.bytes().await.unwrap_or_default();
        let said = String::from_utf8_lossy(&said[..said.len().min(REASON_BYTES_MAX)]).into_owned();
        Err(Failure { reason: format!("http.{}: {said}", status.as_u16()), again })
    }
}
