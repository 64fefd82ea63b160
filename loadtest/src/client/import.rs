//! The import route: many events in one request.

use std::net::SocketAddr;

use anyhow::{Context, ensure};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{Method, StatusCode};
use serde::Deserialize;

use super::HttpClient;

/// The last report of an import.
#[derive(Debug, Deserialize)]
struct Report {
    done: Option<bool>,
    #[serde(default)]
    appended: u64,
    #[serde(default)]
    duplicates: u64,
    #[serde(default)]
    rejected: u64,
}

/// Imports NDJSON `lines` of `events` events into a context, and is content only if each of them was appended.
pub async fn import(address: SocketAddr, context: &str, lines: Bytes, events: u64) -> anyhow::Result<()> {
    let mut client = HttpClient::connect(address).await?;
    let answer = client.send(Method::POST, &format!("/v1/{context}/import"), "application/x-ndjson", lines).await?;
    ensure!(answer.status() == StatusCode::OK, "the import answered {}", answer.status());
    let reports = answer.into_body().collect().await.context("read the import's reports")?.to_bytes();
    let last = reports.trim_ascii().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    let report: Report = serde_json::from_slice(last).context("read the import's last report")?;
    let whole = report.done == Some(true) && report.duplicates == 0 && report.rejected == 0;
    ensure!(whole && report.appended == events, "the import ended with {}", String::from_utf8_lossy(last));
    Ok(())
}
