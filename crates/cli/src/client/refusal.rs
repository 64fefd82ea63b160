//! Reads the services' unified error format.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Service;
use crate::failure::{Exit, Failure};

/// Characters of an answer in no known format that are worth showing.
const SHOWN_CHARS_MAX: usize = 200;

#[derive(Deserialize)]
struct Refusal {
    error_code: String,
    message: String,
    #[serde(default)]
    details: Value,
    request_id: Option<String>,
}

/// Seconds of a Retry-After header.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

/// The failure that an answer stands for.
pub fn read(service: Service, status: StatusCode, retry_after: Option<Duration>, body: &[u8]) -> Failure {
    let Ok(refusal) = serde_json::from_slice::<Refusal>(body) else {
        let said: String = String::from_utf8_lossy(body).chars().take(SHOWN_CHARS_MAX).collect();
        let message = format!("{} answered {status}: {}", service.name(), said.trim());
        return Failure::new(exit("", status), default_code(status), message);
    };
    let mut failure = Failure::new(exit(&refusal.error_code, status), refusal.error_code, refusal.message);
    failure.facts = match refusal.details {
        Value::Object(details) => details,
        Value::Null => Map::new(),
        other => Map::from_iter([("details".to_owned(), other)]),
    };
    if let Some(wait) = retry_after {
        failure.facts.insert("retry_after_seconds".to_owned(), wait.as_secs().into());
    }
    if let (Exit::Failed, Some(id)) = (failure.exit, refusal.request_id) {
        failure.facts.insert("request_id".to_owned(), id.into());
    }
    failure.help = help(&failure.code).map(str::to_owned);
    failure
}

fn exit(code: &str, status: StatusCode) -> Exit {
    match code {
        "state.unavailable" | "state.unknown" => return Exit::Unavailable,
        "resource.not_found" => return Exit::NotFound,
        _ => {}
    }
    match status.as_u16() {
        408 | 429 | 502 | 503 | 504 => Exit::Unavailable,
        404 if code.is_empty() => Exit::NotFound,
        400..=499 => Exit::Refused,
        _ => Exit::Failed,
    }
}

fn default_code(status: StatusCode) -> &'static str {
    match exit("", status) {
        Exit::Failed => "internal.error",
        Exit::Refused => "validation.refused",
        Exit::Unavailable => "state.unavailable",
        Exit::NotFound => "resource.not_found",
    }
}

fn help(code: &str) -> Option<&'static str> {
    match code {
        "state.conflict" => Some("read the stream, decide again, and publish with its current version"),
        "state.unavailable" => Some("try again; spina doctor tells why it is not ready"),
        "state.unknown" => Some("try again with the same --idempotency-key: what was appended is not appended twice"),
        "rate_limit.exceeded" => Some("wait and try again"),
        "validation.unknown_type" => {
            Some("spina topology plan shows the types; spina topology apply registers new ones")
        }
        "internal.error" => Some("the service's log has the request id"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(status: u16, body: &str) -> Failure {
        read(Service::EventStore, StatusCode::from_u16(status).unwrap(), None, body.as_bytes())
    }

    #[test]
    fn a_conflict_is_refused_and_shows_the_current_version() {
        let body = r#"{"error_code":"state.conflict","message":"no","details":{"current_version":3},"request_id":"r"}"#;
        let failure = failure(409, body);
        assert_eq!((failure.exit, failure.code.as_str()), (Exit::Refused, "state.conflict"));
        assert_eq!(failure.facts["current_version"], 3);
    }

    #[test]
    fn codes_decide_before_the_status() {
        let code = |code: &str| format!(r#"{{"error_code":"{code}","message":"m"}}"#);
        for (status, body, exit) in [
            (504, code("state.unknown"), Exit::Unavailable),
            (503, code("state.unavailable"), Exit::Unavailable),
            (429, code("rate_limit.exceeded"), Exit::Unavailable),
            (404, code("resource.not_found"), Exit::NotFound),
            (422, code("seats.sold_out"), Exit::Refused),
            (400, code("validation.type"), Exit::Refused),
            (500, code("internal.error"), Exit::Failed),
            (502, "<html>".to_owned(), Exit::Unavailable),
            (404, String::new(), Exit::NotFound),
            (418, "tea".to_owned(), Exit::Refused),
        ] {
            assert_eq!(failure(status, &body).exit, exit, "{status} {body}");
        }
    }
}
