//! HTTP to the registry: bounded in time, in size and in attempts.

use std::fmt;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use percent_encoding::percent_decode_str;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Client, Response, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::RegistryError;

const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest answer, in bytes: some 80,000 subjects.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Attempts after the first.
const RETRIES: usize = 4;
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// What to do with a resource of the registry.
pub(super) enum Method {
    Get,
    Post(Value),
    /// With `verbose=true`: asks for reasons.
    PostVerbose(Value),
    Put(Value),
}

#[derive(Clone)]
pub(super) struct Transport {
    client: Client,
    /// Without user and password.
    base: Url,
    user: Option<(String, Option<String>)>,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.base)
    }
}

impl Transport {
    pub(super) fn new(base_url: &str) -> Result<Self, RegistryError> {
        let bad = |reason: &dyn fmt::Display| RegistryError::Url { reason: reason.to_string() };
        let mut base = Url::parse(base_url).map_err(|error| bad(&error))?;
        if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
            return Err(bad(&"it does not begin with http:// or https:// and a host"));
        }
        let user = (!base.username().is_empty()).then(|| {
            let password = base.password().map(percent_decoded);
            (percent_decoded(base.username()), password)
        });
        base.set_username("").and_then(|()| base.set_password(None)).expect("a URL with a host can have no user");
        let client = Client::builder().connect_timeout(CONNECT_TIMEOUT).timeout(CALL_TIMEOUT).build();
        Ok(Self { client: client.map_err(|error| bad(&error))?, base, user })
    }

    /// Calls the registry; `path` is segments under the base, `what` names the call in errors.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        what: &str,
    ) -> Result<T, RegistryError> {
        let url = self.url(path);
        let pauses = ExponentialBuilder::default()
            .with_min_delay(PAUSE_MIN)
            .with_max_delay(PAUSE_MAX)
            .with_max_times(RETRIES)
            .with_jitter();
        let attempt = || self.attempt(&method, url.clone(), what);
        let body = attempt
            .retry(pauses)
            .when(RegistryError::is_transient)
            .notify(|error, pause| tracing::debug!(%error, ?pause, "registry call failed, trying again"))
            .await?;
        serde_json::from_slice(&body).map_err(|error| RegistryError::Unreadable {
            what: what.to_owned(),
            reason: format!("the registry's answer is not what its interface promises: {error}"),
        })
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        url.path_segments_mut().expect("an http URL has a path").pop_if_empty().extend(path);
        url
    }

    async fn attempt(&self, method: &Method, url: Url, what: &str) -> Result<Vec<u8>, RegistryError> {
        let request = match method {
            Method::Get => self.client.get(url),
            Method::Post(body) => self.client.post(url).body(body.to_string()),
            Method::PostVerbose(body) => self.client.post(url).query(&[("verbose", "true")]).body(body.to_string()),
            Method::Put(body) => self.client.put(url).body(body.to_string()),
        };
        let request = request.header(ACCEPT, MEDIA_TYPE).header(CONTENT_TYPE, MEDIA_TYPE);
        let request = match &self.user {
            Some((user, password)) => request.basic_auth(user, password.as_ref()),
            None => request,
        };
        let unreachable = |source: reqwest::Error| RegistryError::Unreachable { what: what.to_owned(), source };
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        let body = read_bounded(answer, what).await?;
        if status.is_success() { Ok(body) } else { Err(refusal(what, status.as_u16(), &body)) }
    }
}

async fn read_bounded(mut answer: Response, what: &str) -> Result<Vec<u8>, RegistryError> {
    let mut body = Vec::new();
    loop {
        let chunk = answer.chunk().await;
        match chunk.map_err(|source| RegistryError::Unreachable { what: what.to_owned(), source })? {
            None => return Ok(body),
            Some(chunk) if body.len() + chunk.len() > ANSWER_BYTES_MAX => {
                let reason = format!("the registry's answer is longer than {ANSWER_BYTES_MAX} bytes");
                return Err(RegistryError::Unreadable { what: what.to_owned(), reason });
            }
            Some(chunk) => body.extend_from_slice(&chunk),
        }
    }
}

#[derive(Deserialize)]
struct ErrorBody {
    error_code: Option<i64>,
    message: Option<String>,
}

fn refusal(what: &str, status: u16, body: &[u8]) -> RegistryError {
    const MESSAGE_CHARS_MAX: usize = 2_000;
    let told: Option<ErrorBody> = serde_json::from_slice(body).ok();
    let code = told.as_ref().and_then(|told| told.error_code);
    let message = told.and_then(|told| told.message).unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
    let message = message.chars().take(MESSAGE_CHARS_MAX).collect();
    RegistryError::Refused { what: what.to_owned(), status, code, message }
}

/// User and password stand percent-encoded in a URL.
fn percent_decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}
