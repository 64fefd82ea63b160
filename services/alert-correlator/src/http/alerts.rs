//! `/api/v2/alerts`: alerts in, and those that fire out.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use serde::Deserialize;
use serde_json::{Value, json};
use spina_core::Timestamp;
use spina_core::correlation::Labels;

use super::Served;
use super::text::{NOBODY, Query, Refused, instant};
use crate::clock;
use crate::correlate::{Active, Engine, Input};
use crate::route::Alert;

/// Most alerts of one request.
const ALERTS_MAX: usize = 10_000;

/// An alert as clients post it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Posted {
    labels: Labels,
    #[serde(default)]
    annotations: Labels,
    #[serde(default)]
    starts_at: Option<Timestamp>,
    #[serde(default)]
    ends_at: Option<Timestamp>,
    #[serde(rename = "generatorURL", default)]
    generator_url: Option<String>,
}

impl Posted {
    /// The alert; an instant of the year 1, which is Go's zero, is none.
    fn alert(self, now: Timestamp) -> Result<Alert, String> {
        let said = |time: Option<Timestamp>| time.filter(|time| time.micros() > 0);
        let ends_at = said(self.ends_at);
        let starts_at = said(self.starts_at).unwrap_or_else(|| ends_at.map_or(now, |ends_at| ends_at.min(now)));
        if ends_at.is_some_and(|ends_at| ends_at < starts_at) {
            return Err("start time must be before end time".to_owned());
        }
        self.labels.check().map_err(|error| error.to_string())?;
        let (labels, annotations) = (self.labels, self.annotations);
        Ok(Alert { labels, annotations, starts_at, ends_at, generator_url: self.generator_url })
    }
}

/// `POST /api/v2/alerts`. Valid alerts are taken even if others of the request are not.
pub async fn take(State(served): State<Served>, body: Bytes) -> Result<(), Refused> {
    let posted: Vec<Posted> = serde_json::from_slice(&body).map_err(|error| Refused::Bad(error.to_string()))?;
    if posted.len() > ALERTS_MAX {
        return Err(Refused::Bad(format!("at most {ALERTS_MAX} alerts are taken at once")));
    }
    let now = clock::now();
    let (mut inputs, mut bad) = (Vec::with_capacity(posted.len()), Vec::new());
    for posted in posted {
        match posted.alert(now) {
            Ok(alert) => inputs.push(Input::SignalTaken(alert.signal(now))),
            Err(reason) => bad.push(reason),
        }
    }
    served.write(&inputs).await?;
    if bad.is_empty() { Ok(()) } else { Err(Refused::Bad(bad.join("; "))) }
}

/// `GET /api/v2/alerts`.
pub async fn list(State(served): State<Served>, RawQuery(query): RawQuery) -> Result<Json<Value>, Refused> {
    let engine = served.engine()?;
    Ok(Json(Value::from(shown(&engine, &Query::of(query.as_deref()))?)))
}

/// `GET /api/v2/alerts/groups`: by receiver and the labels that its route groups by.
pub async fn groups(State(served): State<Served>, RawQuery(query): RawQuery) -> Result<Json<Value>, Refused> {
    let engine = served.engine()?;
    let mut groups: BTreeMap<(String, Labels), Vec<Value>> = BTreeMap::new();
    for alert in shown(&engine, &Query::of(query.as_deref()))? {
        let labels: Labels = serde_json::from_value(alert["labels"].clone()).unwrap_or_default();
        let route = engine.route(&labels);
        let receiver = route.map_or(NOBODY, |route| &route.receiver).to_owned();
        let group = route.map(|route| labels.only(&route.group_by)).unwrap_or_default();
        groups.entry((receiver, group)).or_default().push(alert);
    }
    let groups = groups.into_iter();
    let shown = groups.map(
        |((receiver, labels), alerts)| json!({ "labels": labels, "routeLabels": {}, "receiver": { "name": receiver }, "alerts": alerts }),
    );
    Ok(Json(Value::from(shown.collect::<Vec<_>>())))
}

fn shown(engine: &Engine, query: &Query) -> Result<Vec<Value>, Refused> {
    let filter = query.filter()?;
    let (muting, mut shown) = (engine.muting(), Vec::new());
    for active in engine.conditions() {
        let labels = &active.signal.labels;
        let muted = muting.of(labels);
        let suppressed = !muted.silenced_by.is_empty() || !muted.inhibited_by.is_empty();
        let wanted = filter.takes(labels)
            && (suppressed || query.wants("active"))
            && (muted.silenced_by.is_empty() || query.wants("silenced"))
            && (muted.inhibited_by.is_empty() || query.wants("inhibited"));
        if wanted {
            let state = if suppressed { "suppressed" } else { "active" };
            let receiver = engine.route(labels).map_or(NOBODY, |route| &route.receiver);
            let mut alert = gettable(&active, receiver);
            alert["status"] = json!({
                "state": state,
                "silencedBy": muted.silenced_by,
                "inhibitedBy": muted.inhibited_by,
                "mutedBy": [],
            });
            shown.push(alert);
        }
    }
    Ok(shown)
}

fn gettable(active: &Active, receiver: &str) -> Value {
    let signal = &active.signal;
    json!({
        "labels": signal.labels,
        "annotations": signal.annotations,
        "fingerprint": format!("{:016x}", signal.labels.fingerprint()),
        "startsAt": instant(signal.time),
        "endsAt": instant(active.expires),
        "updatedAt": instant(active.told_at),
        "generatorURL": signal.link.as_deref().unwrap_or_default(),
        "receivers": [{ "name": receiver }],
    })
}

#[cfg(test)]
mod tests {
    use spina_core::correlation::Kind;

    use super::*;

    fn signal(body: &str) -> Result<(Kind, i64), String> {
        let now = Timestamp::from_micros(1_000_000_000).unwrap();
        let posted: Posted = serde_json::from_str(body).map_err(|error| error.to_string())?;
        let signal = posted.alert(now)?.signal(now);
        Ok((signal.kind, signal.time.micros() / 1_000_000))
    }

    #[test]
    fn an_alert_fires_until_its_end_has_passed() {
        let fired = r#"{"labels": {"alertname": "Down"}, "startsAt": "1970-01-01T00:10:00Z"}"#;
        assert_eq!(signal(fired), Ok((Kind::Firing, 600)));
        let over = r#"{"labels": {"alertname": "Down"}, "startsAt": "1970-01-01T00:10:00Z", "endsAt": "1970-01-01T00:11:00Z"}"#;
        assert_eq!(signal(over), Ok((Kind::Resolved, 660)));
        let zero = r#"{"labels": {"alertname": "Down"}, "startsAt": "0001-01-01T00:00:00Z", "endsAt": "0001-01-01T00:00:00Z"}"#;
        assert_eq!(signal(zero), Ok((Kind::Firing, 1_000)));
        let backwards =
            r#"{"labels": {"a": "b"}, "startsAt": "1970-01-01T00:10:00Z", "endsAt": "1970-01-01T00:01:00Z"}"#;
        assert!(signal(backwards).is_err());
        assert!(signal(r#"{"labels": {}}"#).is_err());
    }
}
