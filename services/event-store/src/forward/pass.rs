//! Passing a request on to the owner, and its answer back.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use spina_runtime::{ApiError, REQUEST_ID, current_request_id};
use spina_store::archive::Owner;
use tracing::warn;
use uuid::Uuid;

use super::{FORWARDED_BY, RETRY_AFTER_S, SERVED_BY};
use crate::context::Context;

/// How long connecting to an owner may take: they are on the same network, and one that is gone is to be noticed soon.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// Idempotency key of a request.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Headers that matter to the owner.
const SENT: [&str; 5] = ["content-type", "accept", IDEMPOTENCY_KEY, "traceparent", "tracestate"];

/// Sends requests to other event-stores. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Forwarder {
    pub(super) client: reqwest::Client,
    /// How other processes reach this one.
    endpoint: HeaderValue,
}

impl Forwarder {
    /// A forwarder of the process with this endpoint, whose own requests have this long. It gives up a little earlier, so
    /// that the caller is told what is known.
    pub fn new(endpoint: &str, timeout: Duration) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(timeout * 9 / 10)
            .redirect(reqwest::redirect::Policy::none())
            // Once is once: whether to try again is the caller's to decide.
            .retry(reqwest::retry::never())
            .build()?;
        Ok(Self { client, endpoint: HeaderValue::from_str(endpoint)? })
    }

    /// The owner's answer, unchanged. An answer that is lost is never asked for again here: what a writer is told then
    /// says how to find out.
    pub async fn pass_on(
        &self,
        context: &Context,
        owner: &Owner,
        parts: &Parts,
        body: &Bytes,
    ) -> Result<Response, Unanswered> {
        let reads = matches!(parts.method, Method::GET | Method::HEAD);
        let mut headers = self.headers(&parts.headers);
        let key = if reads { None } else { Some(fix_key(&mut headers, body)) };
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let url = format!("{}{path}", owner.endpoint.trim_end_matches('/'));
        context.shared.metrics.forwarded(context.name(), owner.partition);
        let lost = |error: reqwest::Error| lost(owner, key.as_deref(), &error);
        let answer =
            match self.client.request(parts.method.clone(), url).headers(headers).body(body.clone()).send().await {
                Ok(answer) => answer,
                Err(error) => {
                    context.owners.doubt(owner.partition).await;
                    return Err(lost(error));
                }
            };
        if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
            context.owners.doubt(owner.partition).await;
        }
        let mut response = Response::new(Body::empty());
        *response.status_mut() = answer.status();
        for name in [CONTENT_TYPE, RETRY_AFTER] {
            if let Some(value) = answer.headers().get(&name) {
                response.headers_mut().insert(name, value.clone());
            }
        }
        if let Ok(by) = HeaderValue::from_str(&owner.endpoint) {
            response.headers_mut().insert(SERVED_BY, by);
        }
        *response.body_mut() = match reads {
            // It may be long; a reader sees where it breaks off.
            true => Body::from_stream(answer.bytes_stream()),
            false => Body::from(answer.bytes().await.map_err(lost)?),
        };
        Ok(response)
    }

    pub(super) fn headers(&self, given: &HeaderMap) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for name in SENT {
            if let Some(value) = given.get(name) {
                headers.insert(HeaderName::from_static(name), value.clone());
            }
        }
        if let Some(id) = current_request_id().and_then(|id| HeaderValue::from_str(&id).ok()) {
            headers.insert(HeaderName::from_static(REQUEST_ID), id);
        }
        headers.insert(HeaderName::from_static(FORWARDED_BY), self.endpoint.clone());
        headers
    }
}

/// What of an append names it, should it have no key.
#[derive(Deserialize)]
struct Identified {
    events: Vec<EventId>,
}

#[derive(Deserialize)]
struct EventId {
    id: Option<String>,
}

/// The key by which the request can be repeated: the caller's, or the first event's id, or one made here, before anything
/// is sent.
fn fix_key(headers: &mut HeaderMap, body: &Bytes) -> String {
    if let Some(key) = headers.get(IDEMPOTENCY_KEY) {
        return String::from_utf8_lossy(key.as_bytes()).into_owned();
    }
    let first = serde_json::from_slice::<Identified>(body).ok().and_then(|append| append.events.into_iter().next());
    if let Some(id) = first.and_then(|event| event.id) {
        return id;
    }
    let key = Uuid::now_v7().to_string();
    headers.insert(IDEMPOTENCY_KEY, HeaderValue::from_str(&key).expect("a UUID is visible ASCII"));
    key
}

/// There is no answer, and this is what to tell the caller.
#[derive(Debug)]
pub enum Unanswered {
    /// Nothing was sent, so it may be sent elsewhere.
    Unsent(ApiError),
    /// What became of it is not known, or it read only.
    Lost(ApiError),
}

/// Without a connection nothing was sent; a reader lost nothing either.
fn lost(owner: &Owner, key: Option<&str>, error: &reqwest::Error) -> Unanswered {
    let (partition, endpoint) = (owner.partition, &owner.endpoint);
    warn!(partition, endpoint, error = %spell(error), "the owner did not answer");
    match key {
        Some(key) if !error.is_connect() => {
            let message = "the owner of the partition did not answer; repeat with this Idempotency-Key to find out";
            Unanswered::Lost(ApiError::unknown(message).with_details(json!({ "idempotency_key": key })))
        }
        Some(_) | None => {
            let message = format!("the owner of partition {partition} does not answer; nothing was stored, try again");
            let refusal = ApiError::unavailable(message, RETRY_AFTER_S);
            if error.is_connect() { Unanswered::Unsent(refusal) } else { Unanswered::Lost(refusal) }
        }
    }
}

/// The error with its causes.
pub(super) fn spell(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_append_can_be_repeated_by_its_key_its_first_id_or_a_key_made_here() {
        let with = |key: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(key) = key {
                headers.insert(IDEMPOTENCY_KEY, HeaderValue::from_static(key));
            }
            headers
        };
        let named = Bytes::from_static(br#"{"events":[{"type":"A","data":{},"id":"first"},{"type":"A"}]}"#);
        let nameless = Bytes::from_static(br#"{"events":[{"type":"A","data":{}},{"type":"A","id":"second"}]}"#);

        assert_eq!(fix_key(&mut with(Some("mine")), &named), "mine");
        let mut headers = with(None);
        assert_eq!(fix_key(&mut headers, &named), "first");
        assert!(headers.is_empty(), "the owner finds the same id in the body");
        let key = fix_key(&mut headers, &nameless);
        assert_eq!(headers.get(IDEMPOTENCY_KEY).unwrap(), key.as_str());
    }
}
