//! Calls to the services over HTTP, each with a time-out, each failure with its code and what to do about it.

mod refusal;
pub mod retry;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;

use crate::failure::{Exit, Failure};

/// Longest time to reach a server; it is on this machine or near.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// One of Spina's services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// Appends and reads streams.
    EventStore,
    /// Fills and serves read models.
    Projector,
    /// Runs sagas.
    SagaOrchestrator,
    /// Turns alerts into incidents.
    AlertCorrelator,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::EventStore, Self::Projector, Self::SagaOrchestrator, Self::AlertCorrelator];

    /// Its name as people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::EventStore => "event-store",
            Self::Projector => "projector",
            Self::SagaOrchestrator => "saga-orchestrator",
            Self::AlertCorrelator => "alert-correlator",
        }
    }
}

/// Knows where the services are.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    bases: BTreeMap<Service, String>,
    timeout: Duration,
}

impl Client {
    /// A client of the services at these base URLs; `timeout` is for one call.
    pub fn new(bases: impl IntoIterator<Item = (Service, String)>, timeout: Duration) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).no_proxy().build();
        let bases = bases.into_iter().map(|(service, url)| (service, url.trim_end_matches('/').to_owned()));
        Ok(Self { http: http.context("set up the HTTP client")?, bases: bases.collect(), timeout })
    }

    /// Base URL of a service; empty if it is not known, so that calls fail as they do when nobody listens.
    pub fn base(&self, service: Service) -> &str {
        self.bases.get(&service).map_or("", String::as_str)
    }

    /// A request without a time-out for the whole of it: for streams that last.
    pub fn request(&self, service: Service, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base(service)))
    }

    /// GETs a JSON document.
    pub async fn get(&self, service: Service, path: &str, query: &[(&str, String)]) -> Result<Value, Failure> {
        let request = self.request(service, Method::GET, path).query(query);
        self.document(service, request).await
    }

    /// POSTs a JSON document.
    pub async fn post(&self, service: Service, path: &str, body: &Value) -> Result<Value, Failure> {
        self.document(service, self.request(service, Method::POST, path).json(body)).await
    }

    /// Sends a request and reads the JSON document of the answer.
    pub async fn document(&self, service: Service, request: RequestBuilder) -> Result<Value, Failure> {
        self.document_within(service, request, self.timeout).await
    }

    /// The same with another time-out: for calls that are meant to wait.
    pub async fn document_within(
        &self,
        service: Service,
        request: RequestBuilder,
        timeout: Duration,
    ) -> Result<Value, Failure> {
        let response = self.accepted(service, request.timeout(timeout)).await?;
        response.json().await.map_err(|error| {
            if error.is_timeout() { self.unreachable(service, &error) } else { self.garbled(service, &error) }
        })
    }

    /// Sends a request; an answer that is not a success is a failure.
    pub async fn accepted(&self, service: Service, request: RequestBuilder) -> Result<Response, Failure> {
        let response = request.send().await.map_err(|error| self.unreachable(service, &error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let retry_after = refusal::retry_after(response.headers());
        // An answer that ends early is judged by its status alone.
        let body = tokio::time::timeout(self.timeout, response.bytes()).await.ok().and_then(Result::ok);
        Err(refusal::read(service, status, retry_after, &body.unwrap_or_default()))
    }

    /// GETs a JSON document whatever the status, as health reports come.
    pub async fn report(&self, service: Service, path: &str) -> Result<Value, Failure> {
        let request = self.request(service, Method::GET, path).timeout(self.timeout);
        let response = request.send().await.map_err(|error| self.unreachable(service, &error))?;
        response.json().await.map_err(|error| self.garbled(service, &error))
    }

    fn unreachable(&self, service: Service, error: &reqwest::Error) -> Failure {
        let (name, url) = (service.name(), self.base(service));
        let help = "spina status shows what runs, spina up starts it";
        if url.is_empty() {
            return Failure::new(Exit::Unavailable, "state.unavailable", format!("{name} has no address")).help(help);
        }
        if error.is_timeout() {
            let seconds = self.timeout.as_secs_f64();
            let message = format!("{name} at {url} did not answer within {seconds} s");
            return Failure::new(Exit::Unavailable, "state.unknown", message).help("wait longer with --timeout");
        }
        let why = if error.is_connect() { "cannot be reached".to_owned() } else { root_cause(error) };
        Failure::new(Exit::Unavailable, "state.unavailable", format!("{name} at {url}: {why}")).help(help)
    }

    fn garbled(&self, service: Service, error: &reqwest::Error) -> Failure {
        let (name, url) = (service.name(), self.base(service));
        let message = format!("{name} at {url} gave an answer that is not JSON: {}", root_cause(error));
        Failure::new(Exit::Failed, "internal.error", message).help("is something else listening there?")
    }
}

/// The innermost cause: reqwest's outer layers say little more than that something went wrong.
pub fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// A path segment with everything escaped that would end it.
pub fn segment(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_stays_one_segment() {
        assert_eq!(segment("flight-UA1545-20130101-EWR"), "flight-UA1545-20130101-EWR");
        assert_eq!(segment("a/b?c#d é%"), "a%2Fb%3Fc%23d%20%C3%A9%25");
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_unavailable() {
        let client =
            Client::new([(Service::EventStore, "http://127.0.0.1:1/".to_owned())], Duration::from_secs(1)).unwrap();
        let failure = client.get(Service::EventStore, "/v1/contexts", &[]).await.unwrap_err();
        assert_eq!(failure.exit, Exit::Unavailable);
        assert_eq!(failure.message, "event-store at http://127.0.0.1:1: cannot be reached");
        let failure = client.get(Service::Projector, "/v1/projections", &[]).await.unwrap_err();
        assert_eq!(failure.message, "projector has no address");
    }
}
