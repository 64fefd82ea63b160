//! Records of the journal and of the incidents topic: our values as Avro, and back.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use spina_codec::SchemaCache;
use spina_codec::frame;
use spina_codec::headers::Headers;
use spina_core::Timestamp;
use spina_core::correlation::{IncidentEvent, Notification};
use spina_log::{Fetched, NewRecord, Publisher, names};
use spina_runtime::Written;

use crate::correlate::Input;

/// Who writes these records.
pub const SOURCE: &str = "/spina/alert-correlator";
/// The record of a decision to notify.
const DECIDED: &str = "NotificationDecided";
/// The one partition of the journal and of the incidents topic: what belongs together must be seen together.
pub const PARTITION: i32 = 0;

/// The schemas that we write with, and those of others that we read.
pub struct Journal {
    schemas: SchemaCache,
    ours: HashMap<&'static str, Written>,
    signals: Arc<str>,
    incidents: Arc<str>,
}

impl Journal {
    /// Reads the schemas from the registry.
    ///
    /// # Errors
    /// When one is missing or the registry does not answer.
    pub async fn load(schemas: SchemaCache) -> anyhow::Result<Self> {
        let mut ours = HashMap::new();
        let inputs = names::SIGNAL_RECORDS.iter().map(|name| (names::SIGNALS_TOPIC, *name));
        let events = names::INCIDENT_RECORDS.iter().map(|name| (names::INCIDENTS_TOPIC, *name));
        for (topic, name) in inputs.chain(events) {
            ours.insert(name, Written::latest(&schemas, topic, &format!("spina.{name}")).await?);
        }
        Ok(Self { schemas, ours, signals: names::SIGNALS_TOPIC.into(), incidents: names::INCIDENTS_TOPIC.into() })
    }

    /// All schemas.
    pub fn schemas(&self) -> &SchemaCache {
        &self.schemas
    }

    /// The journal's record of an input that was told now.
    pub fn input(&self, input: &Input, now: Timestamp) -> NewRecord {
        let key = match input {
            Input::SignalTaken(signal) => format!("signal-{:016x}", signal.labels.fingerprint()),
            Input::SourceAdvanced { source, .. } => format!("source-{source}"),
            Input::ClockTicked { .. } => "clock-1".to_owned(),
            Input::RulesChanged { .. } => "rules-1".to_owned(),
            Input::SilenceSet(silence) => format!("silence-{}", silence.id),
            Input::SilenceExpired { id, .. } => format!("silence-{id}"),
            Input::IncidentAsked { incident, .. } => format!("incident-{incident}"),
            Input::NotificationEnded { notification, .. } => format!("notification-{notification}"),
        };
        self.record(&self.signals, input.name(), &key, input, now)
    }

    /// The record of the n-th incident event that was ever decided, from 1.
    pub fn event(&self, event: &IncidentEvent, sequence: u64, now: Timestamp) -> NewRecord {
        let key = format!("incident-{}", event.incident());
        let mut record = self.record(&self.incidents, event.name(), &key, event, now);
        record.headers.push("ce_id", Some(event_id(event.incident(), sequence).as_bytes()));
        record.headers.push("ce_time", Some(event.at().to_string().as_bytes()));
        record
    }

    /// The record of a decision to notify, which counts as an event too.
    pub fn notification(&self, notification: &Notification, sequence: u64, now: Timestamp) -> NewRecord {
        let key = format!("notification-{}", notification.notification);
        let value = Value::from_iter([(DECIDED, serde_json::to_value(notification).unwrap_or_default())]);
        let mut record = self.record(&self.incidents, DECIDED, &key, &value, now);
        record.headers.push("ce_id", Some(format!("{}/{sequence}", notification.notification).as_bytes()));
        record.headers.push("ce_time", Some(notification.at.to_string().as_bytes()));
        record
    }

    /// The input in a record of the journal; `None` if it is none of ours.
    pub async fn read(&self, record: &Fetched) -> Option<Input> {
        let (name, fields) = self.fields(record).await?;
        tagged(name, fields)
    }

    /// The value of a record that carries one schema's fields, such as an alert.
    pub async fn fields(&self, record: &Fetched) -> Option<(String, Map<String, Value>)> {
        let (id, avro) = frame::split(record.value.as_deref()?).ok()?;
        let shape = match self.schemas.get(id) {
            Some(shape) => shape,
            None => self.schemas.resolve(id).await.ok()?,
        };
        Some((shape.name().to_owned(), shape.decode(avro).ok()?))
    }

    fn record(
        &self,
        topic: &Arc<str>,
        name: &'static str,
        key: &str,
        value: &impl Serialize,
        now: Timestamp,
    ) -> NewRecord {
        let Ok(Value::Object(mut variant)) = serde_json::to_value(value) else {
            unreachable!("inputs and events are variants with fields")
        };
        let Some(Value::Object(fields)) = variant.remove(name) else { unreachable!("the variant bears that name") };
        let framed = self.ours[name].framed(&fields).expect("our values fit our schemas, which tests check");
        let mut headers = Headers::default();
        headers.push("ce_specversion", Some(b"1.0"));
        headers.push("ce_type", Some(format!("spina.{name}").as_bytes()));
        headers.push("ce_source", Some(SOURCE.as_bytes()));
        NewRecord {
            topic: Arc::clone(topic),
            partition: PARTITION,
            key: Bytes::copy_from_slice(key.as_bytes()),
            value: Some(framed),
            headers,
            timestamp_ms: Some(now.millis()),
        }
    }
}

/// The `ce_id` of the record of the n-th event that was ever decided.
pub fn event_id(incident: &str, sequence: u64) -> String {
    format!("{incident}/{sequence}")
}

/// The variant of that name.
fn tagged<T: DeserializeOwned>(name: String, fields: Map<String, Value>) -> Option<T> {
    serde_json::from_value(Value::Object(Map::from_iter([(name, Value::Object(fields))]))).ok()
}

/// Writes inputs from outside the loop: what came by HTTP.
#[derive(Clone)]
pub struct Scribe {
    /// The journal.
    pub journal: Arc<Journal>,
    /// Publishes.
    pub publisher: Publisher,
}

impl Scribe {
    /// Writes inputs, in order, and returns the offset of the last.
    ///
    /// # Errors
    /// When the brokers do not take them.
    pub async fn write(&self, inputs: &[Input], now: Timestamp) -> anyhow::Result<i64> {
        let mut on_their_way = Vec::with_capacity(inputs.len());
        for input in inputs {
            on_their_way.push(self.publisher.enqueue(&self.journal.input(input, now)).await?);
        }
        let mut last = -1;
        for delivery in on_their_way {
            last = delivery.wait().await?.1.max(last);
        }
        Ok(last)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use spina_codec::shape::Shape;
    use spina_core::correlation::incident::{Alternative, Ending, Evidence, Reopening};
    use spina_core::correlation::{Kind, Labels, Notice, Signal};

    use super::*;
    use crate::correlate::{Asked, Silence, SilenceMatcher};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000 + 5).unwrap()
    }

    fn labels() -> Labels {
        [("alertname".to_owned(), "Down".to_owned())].into_iter().collect()
    }

    /// What comes back from the Avro of its own schema file.
    fn round<T: Serialize + DeserializeOwned>(name: &str, value: &T) -> T {
        let file = format!("{}/../../schemas/spina/{name}.avsc", env!("CARGO_MANIFEST_DIR"));
        let shape = Shape::compile(&std::fs::read_to_string(file).unwrap()).unwrap();
        let Value::Object(mut variant) = serde_json::to_value(value).unwrap() else { panic!() };
        let Some(Value::Object(fields)) = variant.remove(name) else { panic!("{name}") };
        let avro = shape.encode(&fields).unwrap();
        tagged(name.to_owned(), shape.decode(&avro).unwrap()).unwrap()
    }

    #[test]
    fn every_input_fits_its_schema_and_comes_back() {
        let signal = Signal {
            source: "m".into(),
            part: 3,
            id: "1".into(),
            time: at(1),
            kind: Kind::Firing,
            labels: labels(),
            annotations: Labels::default(),
            ends_at: Some(at(2)),
            link: None,
        };
        let matchers = vec![SilenceMatcher { name: "a".into(), value: "b".into(), is_regex: true, is_equal: false }];
        let silence = Silence {
            id: "s".into(),
            matchers,
            starts_at: at(1),
            ends_at: at(2),
            updated_at: at(1),
            created_by: "ann".into(),
            comment: String::new(),
        };
        let asked = |action| Input::IncidentAsked {
            incident: "i".into(),
            action,
            by: "ann".into(),
            comment: String::new(),
            at: at(1),
        };
        let inputs = [
            Input::SignalTaken(signal),
            Input::SourceAdvanced { source: "m".into(), part: 1, time: at(1) },
            Input::ClockTicked { now: at(1) },
            Input::RulesChanged {
                files: BTreeMap::from([("m".to_owned(), "rules: {}".to_owned())]),
                sources: BTreeMap::from([("m".to_owned(), 4)]),
            },
            Input::SilenceSet(silence),
            Input::SilenceExpired { id: "s".into(), at: at(1) },
            asked(Asked::Acknowledge),
            asked(Asked::Resolve),
            asked(Asked::Mitigate),
            asked(Asked::Reopen),
            Input::NotificationEnded {
                notification: "n".into(),
                delivered: false,
                attempts: 3,
                error: Some("http.503".into()),
                at: at(1),
            },
        ];
        for input in &inputs {
            assert_eq!(round(input.name(), input), *input);
        }
        let told: std::collections::BTreeSet<&str> = inputs.iter().map(Input::name).collect();
        assert_eq!(told, names::SIGNAL_RECORDS.into_iter().collect());
    }

    #[test]
    fn every_incident_event_fits_its_schema_and_comes_back() {
        let evidence = vec![Evidence { id: "1".into(), source: "m".into(), time: at(1), labels: labels() }];
        let alternatives = vec![Alternative { rule: "m/r".into(), group: labels(), verdict: "1 of 2 signals".into() }];
        let incident = || "i".to_owned();
        let endings = [Ending::Quiet, Ending::Ended, Ending::Returned, Ending::Span, Ending::Asked, Ending::RuleGone];
        let over = endings.map(|because| IncidentEvent::IncidentResolved {
            incident: incident(),
            count: 3,
            because,
            by: Some("ann".into()),
            comment: None,
            at: at(9),
            last_at: at(8),
        });
        let mut events = vec![
            IncidentEvent::IncidentOpened {
                incident: incident(),
                rule: "m/r".into(),
                rules_version: "1".into(),
                group: labels(),
                severity: "warning".into(),
                summary: "x".into(),
                at: at(5),
                began_at: at(1),
                count: 2,
                reason: "y".into(),
                evidence: evidence.clone(),
                alternatives,
            },
            IncidentEvent::IncidentMitigated { incident: incident(), by: "ann".into(), comment: "x".into(), at: at(6) },
            IncidentEvent::IncidentReopened {
                incident: incident(),
                because: Reopening::Returned,
                count: 3,
                by: None,
                comment: Some("x".into()),
                at: at(6),
            },
            IncidentEvent::IncidentMerged {
                incident: incident(),
                into: "j".into(),
                count: 3,
                reason: "near".into(),
                evidence: evidence.clone(),
                at: at(6),
            },
            IncidentEvent::IncidentGrew { incident: incident(), count: 4, at: at(6), evidence },
            IncidentEvent::IncidentAcknowledged {
                incident: incident(),
                by: "ann".into(),
                comment: String::new(),
                at: at(7),
            },
        ];
        events.extend(over);
        for event in &events {
            assert_eq!(round(event.name(), event), *event);
        }
        let notice = Notice {
            incident: incident(),
            labels: labels(),
            summary: "x".into(),
            began_at: at(1),
            resolved_at: Some(at(2)),
            count: 3,
        };
        let notification = Notification {
            notification: "n".into(),
            receiver: "ops".into(),
            group: labels(),
            at: at(1),
            again: true,
            notices: vec![Notice { resolved_at: None, ..notice.clone() }, notice],
            omitted: 5,
        };
        let decided = BTreeMap::from([(DECIDED.to_owned(), notification)]);
        assert_eq!(round(DECIDED, &decided), decided);
        let told = events.iter().map(IncidentEvent::name).chain([DECIDED]);
        let told: std::collections::BTreeSet<&str> = told.collect();
        assert_eq!(told, names::INCIDENT_RECORDS.into_iter().collect());
    }
}
