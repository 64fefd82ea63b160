//! Notifications as receivers read them: as Alertmanager writes webhooks, or as this service's API has incidents.

use serde_json::{Map, Value, json};
use spina_core::correlation::{Labels, Notice, Notification};
use spina_rules::correlation::Format;

/// Go's zero time, which clients of Alertmanager take for "not yet".
const NOT_YET: &str = "0001-01-01T00:00:00Z";

/// What is posted.
pub fn of(notification: &Notification, format: Format, external_url: &str) -> Value {
    match format {
        Format::Alertmanager => alertmanager(notification, external_url),
        Format::Generic => json!({ "status": status(notification.is_firing()), "notification": notification }),
    }
}

/// Version 4 of Alertmanager's webhook.
fn alertmanager(notification: &Notification, external_url: &str) -> Value {
    let labels: Vec<&Labels> = notification.notices.iter().map(|notice| &notice.labels).collect();
    let annotations: Vec<Labels> = notification.notices.iter().map(annotations_of).collect();
    let alerts: Vec<Value> =
        notification.notices.iter().zip(&annotations).map(|(notice, annotations)| alert(notice, annotations)).collect();
    json!({
        "version": "4",
        "groupKey": format!("{}:{}", notification.receiver, Value::from_iter(pairs(&notification.group))),
        "truncatedAlerts": notification.omitted,
        "status": status(notification.is_firing()),
        "receiver": notification.receiver,
        "groupLabels": notification.group,
        "commonLabels": common(&labels),
        "commonAnnotations": common(&annotations.iter().collect::<Vec<_>>()),
        "externalURL": external_url,
        "alerts": alerts,
    })
}

fn alert(notice: &Notice, annotations: &Labels) -> Value {
    json!({
        "status": status(notice.resolved_at.is_none()),
        "labels": notice.labels,
        "annotations": annotations,
        "startsAt": notice.began_at.to_string(),
        "endsAt": notice.resolved_at.map_or_else(|| NOT_YET.to_owned(), |time| time.to_string()),
        "generatorURL": "",
        "fingerprint": format!("{:016x}", notice.labels.fingerprint()),
    })
}

fn annotations_of(notice: &Notice) -> Labels {
    let told = [
        ("summary", notice.summary.clone()),
        ("incident", notice.incident.clone()),
        ("signals", notice.count.to_string()),
    ];
    told.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// What all have the same value of.
fn common(all: &[&Labels]) -> Value {
    let Some((first, others)) = all.split_first() else { return json!({}) };
    Value::Object(
        pairs(first).filter(|(name, value)| others.iter().all(|other| value == other.get(name))).collect::<Map<_, _>>(),
    )
}

fn pairs(labels: &Labels) -> impl Iterator<Item = (String, Value)> {
    labels.iter().map(|(name, value)| (name.to_owned(), Value::from(value)))
}

fn status(is_firing: bool) -> &'static str {
    if is_firing { "firing" } else { "resolved" }
}

#[cfg(test)]
mod tests {
    use spina_core::Timestamp;

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn notification() -> Notification {
        let notice = |airport: &str, resolved_at| Notice {
            incident: format!("i-{airport}"),
            labels: labels(&[("airport", airport), ("severity", "critical")]),
            summary: "61 flights cancelled".into(),
            began_at: Timestamp::default(),
            resolved_at,
            count: 61,
        };
        Notification {
            notification: "n-1".into(),
            receiver: "ops".into(),
            group: labels(&[("severity", "critical")]),
            at: Timestamp::default(),
            again: false,
            notices: vec![notice("EWR", None), notice("JFK", Timestamp::from_millis(60_000))],
            omitted: 3,
        }
    }

    #[test]
    fn webhooks_are_those_of_alertmanager() {
        let body = of(&notification(), Format::Alertmanager, "http://here");
        assert_eq!(
            (&body["version"], &body["status"], &body["truncatedAlerts"]),
            (&json!("4"), &json!("firing"), &json!(3))
        );
        assert_eq!(body["groupKey"], r#"ops:{"severity":"critical"}"#);
        assert_eq!(body["commonLabels"], json!({ "severity": "critical" }));
        assert_eq!(body["commonAnnotations"], json!({ "summary": "61 flights cancelled", "signals": "61" }));
        let alerts = body["alerts"].as_array().unwrap();
        assert_eq!((&alerts[0]["status"], &alerts[0]["endsAt"]), (&json!("firing"), &json!(NOT_YET)));
        assert_eq!((&alerts[1]["status"], &alerts[1]["endsAt"]), (&json!("resolved"), &json!("1970-01-01T00:01:00Z")));
        let keys = "alerts commonAnnotations commonLabels externalURL groupKey groupLabels receiver status truncatedAlerts version";
        let mut had: Vec<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
        had.sort_unstable();
        assert_eq!(had.join(" "), keys);
    }

    #[test]
    fn a_generic_body_is_the_notification_as_it_was_decided() {
        let mut notification = notification();
        notification.notices.remove(0);
        let body = of(&notification, Format::Generic, "");
        assert_eq!((&body["status"], &body["notification"]["notification"]), (&json!("resolved"), &json!("n-1")));
        assert_eq!(body["notification"]["notices"][0]["incident"], "i-JFK");
    }
}
