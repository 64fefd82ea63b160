//! Passing lines of an import on to the owner of their partitions.

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use bytes::Bytes;
use spina_store::archive::Owner;
use tracing::warn;

use super::pass::{Forwarder, spell};
use crate::context::Context;

/// There are no reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoReports {
    /// The owner has not begun to read.
    Untouched,
    /// What became of the lines is not known.
    Lost,
}

impl Forwarder {
    /// Sends lines, once, and gives the owner's reports when all of them are there.
    pub async fn import(&self, context: &Context, owner: &Owner, lines: String) -> Result<Bytes, NoReports> {
        let url = format!("{}/v1/{}/import", owner.endpoint.trim_end_matches('/'), context.name());
        let mut headers = self.headers(&HeaderMap::new());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        context.shared.metrics.forwarded(context.name(), owner.partition);
        let failed = |error: reqwest::Error| {
            warn!(endpoint = owner.endpoint, error = %spell(&error), "lines of an import got no answer");
            if error.is_connect() { NoReports::Untouched } else { NoReports::Lost }
        };
        let sent = self.client.post(url).headers(headers).body(lines).send().await.map_err(failed);
        let refused = |status: StatusCode| status.is_client_error() || status == StatusCode::SERVICE_UNAVAILABLE;
        let reports = match sent {
            Ok(answer) if answer.status() == StatusCode::OK => answer.bytes().await.map_err(failed),
            Ok(answer) if refused(answer.status()) => Err(NoReports::Untouched),
            Ok(_) => Err(NoReports::Lost),
            Err(nothing) => Err(nothing),
        };
        if reports.is_err() {
            context.owners.doubt(owner.partition).await;
        }
        reports
    }
}
