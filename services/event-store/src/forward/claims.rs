//! Asking the owner of a partition about claims and their holders.

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use spina_core::StreamId;
use spina_runtime::ApiError;
use spina_store::archive::Owner;

use super::not_served;
use super::pass::{Forwarder, spell};
use crate::context::Context;
use crate::unique::{Answer, Question};

/// What one event-store asks another.
#[derive(Debug, Serialize, Deserialize)]
pub struct Asked {
    /// The stream that is asked about.
    pub stream: StreamId,
    /// The question.
    pub question: Question,
}

impl Forwarder {
    /// Asks once.
    ///
    /// # Errors
    /// When there is no answer; the owner may have done what it was asked to.
    pub async fn ask(
        &self,
        context: &Context,
        owner: &Owner,
        stream: &StreamId,
        question: &Question,
    ) -> Result<Answer, ApiError> {
        let url = format!("{}/v1/{}/claims", owner.endpoint.trim_end_matches('/'), context.name());
        let mut headers = self.headers(&HeaderMap::new());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let asked = Asked { stream: stream.clone(), question: question.clone() };
        let body = serde_json::to_vec(&asked).map_err(ApiError::internal)?;
        context.shared.metrics.forwarded(context.name(), owner.partition);
        let failed = |error: reqwest::Error| ApiError::unknown(spell(&error));
        let answer = match self.client.post(url).headers(headers).body(body).send().await.map_err(failed) {
            Ok(answer) if answer.status() == StatusCode::OK => answer.bytes().await.map_err(failed),
            Ok(_) => Err(not_served(owner.partition)),
            Err(error) => Err(error),
        };
        if answer.is_err() {
            context.owners.doubt(owner.partition).await;
        }
        serde_json::from_slice(&answer?).map_err(ApiError::internal)
    }
}
