//! A client of the services' HTTP APIs.

use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use crate::PATIENCE;

/// Talks to one service.
#[derive(Debug, Clone)]
pub struct Http {
    client: Client,
    base: String,
}

/// Status and body of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The document; text if it is none.
    pub body: Value,
}

impl Answer {
    /// The error's code, if it is one.
    pub fn error_code(&self) -> &str {
        self.body["error_code"].as_str().unwrap_or("")
    }
}

impl Http {
    /// A client of its own for each test: it belongs to the runtime that uses it first.
    pub fn new(base: &str) -> Self {
        let client = Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        Self { client, base: base.to_owned() }
    }

    /// GET; fails when nobody answers.
    pub async fn get(&self, path: &str) -> Result<Answer, reqwest::Error> {
        Self::answer(self.client.get(format!("{}{path}", self.base))).await
    }

    /// POST of a document.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_with_key(path, None, body).await
    }

    /// POST of a document; fails when nobody answers.
    pub async fn try_post(&self, path: &str, body: &Value) -> Result<Answer, reqwest::Error> {
        Self::answer(self.client.post(format!("{}{path}", self.base)).json(body)).await
    }

    /// POST of a document under an idempotency key.
    pub async fn post_with_key(&self, path: &str, key: Option<&str>, body: &Value) -> Answer {
        self.try_post_with_key(path, key, body).await.unwrap()
    }

    /// The same; fails when nobody answers.
    pub async fn try_post_with_key(
        &self,
        path: &str,
        key: Option<&str>,
        body: &Value,
    ) -> Result<Answer, reqwest::Error> {
        let mut request = self.client.post(format!("{}{path}", self.base)).json(body);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        Self::answer(request).await
    }

    /// Appends events to a stream of a context.
    pub async fn append(&self, context: &str, stream: &str, expected: impl Into<Value>, events: Value) -> Answer {
        let body = json!({ "expected_version": expected.into(), "events": events });
        self.post(&format!("/v1/{context}/streams/{stream}/events"), &body).await
    }

    async fn answer(request: RequestBuilder) -> Result<Answer, reqwest::Error> {
        let response = request.send().await?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        Ok(Answer { status, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) })
    }
}
