//! `/api/v2/silences`: silences are records of the journal, so a restart forgets none.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use spina_core::Timestamp;

use super::Served;
use super::text::{Query, Refused, instant};
use crate::clock;
use crate::correlate::{Input, Silence, SilenceMatcher};

/// Most matchers of a silence.
const MATCHERS_MAX: usize = 50;
/// Most silences that are kept, those that are over for five days among them.
const SILENCES_MAX: usize = 10_000;
/// Longest comment or name, in bytes.
const TEXT_BYTES_MAX: usize = 4_096;

/// A silence as clients post it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Posted {
    #[serde(default)]
    id: Option<String>,
    matchers: Vec<PostedMatcher>,
    starts_at: Timestamp,
    ends_at: Timestamp,
    created_by: String,
    comment: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PostedMatcher {
    name: String,
    value: String,
    is_regex: bool,
    #[serde(default = "yes")]
    is_equal: bool,
}

fn yes() -> bool {
    true
}

impl Posted {
    /// The silence under an id; what began in the past begins now, as in Alertmanager.
    fn silence(self, id: String, now: Timestamp) -> Result<Silence, String> {
        if self.matchers.is_empty() || self.matchers.len() > MATCHERS_MAX {
            return Err(format!("a silence has 1 to {MATCHERS_MAX} matchers"));
        }
        if self.comment.len() > TEXT_BYTES_MAX || self.created_by.len() > TEXT_BYTES_MAX {
            return Err(format!("comment and createdBy have at most {TEXT_BYTES_MAX} bytes"));
        }
        if self.ends_at <= self.starts_at || self.ends_at <= now {
            return Err("end time must be after start time and in the future".to_owned());
        }
        let matchers = self.matchers.into_iter().map(|m| SilenceMatcher {
            name: m.name,
            value: m.value,
            is_regex: m.is_regex,
            is_equal: m.is_equal,
        });
        let silence = Silence {
            id,
            matchers: matchers.collect(),
            starts_at: self.starts_at.max(now),
            ends_at: self.ends_at,
            updated_at: now,
            created_by: self.created_by,
            comment: self.comment,
        };
        let compiled = silence.compiled().map_err(|error| error.to_string())?;
        if compiled.iter().all(|matcher| matcher.is_equal() && matcher.value().is_empty()) {
            return Err("at least one matcher must ask for a value".to_owned());
        }
        Ok(silence)
    }
}

/// Now, as the journal's records tell the time: in milliseconds. So what begins or ends now does so with its record.
fn moment() -> Timestamp {
    let now = clock::now();
    Timestamp::from_millis(now.millis()).unwrap_or(now)
}

/// `POST /api/v2/silences`: a new one, or one that takes the place of another.
pub async fn set(State(served): State<Served>, body: Bytes) -> Result<Json<Value>, Refused> {
    let posted: Posted = serde_json::from_slice(&body).map_err(|error| Refused::Bad(error.to_string()))?;
    let now = moment();
    let old = posted.id.clone().filter(|id| !id.is_empty());
    if let Some(old) = &old {
        let known = served.engine()?.silences().any(|silence| silence.id == *old);
        if !known {
            return Err(Refused::Bad(format!("there is no silence {old}")));
        }
        served.write(&[Input::SilenceExpired { id: old.clone(), at: now }]).await?;
    }
    if served.engine()?.silences().count() >= SILENCES_MAX {
        return Err(Refused::Bad(format!("there are {SILENCES_MAX} silences: wait until some are over for five days")));
    }
    let id = uuid::Uuid::new_v4().to_string();
    let silence = posted.silence(id.clone(), now).map_err(Refused::Bad)?;
    served.write_and_see(Input::SilenceSet(silence)).await?;
    Ok(Json(json!({ "silenceID": id })))
}

/// `GET /api/v2/silences`; a filter takes the silences that have such a matcher.
pub async fn list(State(served): State<Served>, RawQuery(query): RawQuery) -> Result<Json<Value>, Refused> {
    let filter = Query::of(query.as_deref()).filter()?;
    let (engine, now) = (served.engine()?, moment());
    let fits = |silence: &&Silence| {
        let has = |asked: &spina_rules::correlation::Matcher| {
            silence.matchers.iter().any(|m| m.name == asked.name() && m.value == asked.value())
        };
        filter.matchers().iter().all(has)
    };
    let shown: Vec<Value> = engine.silences().filter(fits).map(|silence| gettable(silence, now)).collect();
    Ok(Json(Value::from(shown)))
}

/// `GET /api/v2/silence/{id}`.
pub async fn show(State(served): State<Served>, Path(id): Path<String>) -> Result<Response, Refused> {
    let engine = served.engine()?;
    let found = engine.silences().find(|silence| silence.id == id).map(|silence| gettable(silence, moment()));
    Ok(found.map_or_else(|| StatusCode::NOT_FOUND.into_response(), |silence| Json(silence).into_response()))
}

/// `DELETE /api/v2/silence/{id}`.
pub async fn expire(State(served): State<Served>, Path(id): Path<String>) -> Result<Response, Refused> {
    let now = moment();
    let found = served.engine()?.silences().find(|silence| silence.id == id).map(|silence| silence.ends_at <= now);
    match found {
        None => Ok(StatusCode::NOT_FOUND.into_response()),
        Some(true) => Err(Refused::Bad(format!("silence {id} is over already"))),
        Some(false) => {
            served.write_and_see(Input::SilenceExpired { id, at: now }).await?;
            Ok(StatusCode::OK.into_response())
        }
    }
}

fn gettable(silence: &Silence, now: Timestamp) -> Value {
    let state = if silence.ends_at <= now {
        "expired"
    } else if silence.starts_at > now {
        "pending"
    } else {
        "active"
    };
    let matcher =
        |m: &SilenceMatcher| json!({ "name": m.name, "value": m.value, "isRegex": m.is_regex, "isEqual": m.is_equal });
    json!({
        "id": silence.id,
        "status": { "state": state },
        "updatedAt": instant(silence.updated_at),
        "startsAt": instant(silence.starts_at),
        "endsAt": instant(silence.ends_at),
        "createdBy": silence.created_by,
        "comment": silence.comment,
        "annotations": {},
        "matchers": silence.matchers.iter().map(matcher).collect::<Vec<_>>(),
    })
}
