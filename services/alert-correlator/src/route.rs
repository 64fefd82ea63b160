//! Routing as a stage of the shared record loop: events and alerts in, signals of the journal out, exactly once.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;
use spina_codec::SchemaCache;
use spina_codec::headers::read_event_headers;
use spina_codec::recorded;
use spina_core::correlation::{Kind, Labels, Signal};
use spina_core::{Recorded, Timestamp};
use spina_log::Fetched;
use spina_rules::correlation::RuleSet;
use spina_runtime::processor::{Input as LoopInput, Output, Processor, Stage};

use crate::clock;
use crate::correlate::Input;
use crate::journal::Journal;
use crate::rules::{ALERTS, Files};

/// A record as signals, and how far its source has come with it.
#[derive(Debug, Default)]
pub struct Routed {
    /// The signals.
    pub signals: Vec<Signal>,
    reached: Option<(u32, Timestamp)>,
}

/// Writes what was routed.
pub struct Router {
    source: String,
    journal: Arc<Journal>,
}

impl Processor for Router {
    type Input = Routed;
    type Request = ();
    type Effect = ();

    fn apply(&mut self, inputs: Vec<LoopInput<Routed, ()>>, now: Timestamp) -> Output<()> {
        let mut output = Output::default();
        let mut reached: BTreeMap<u32, Timestamp> = BTreeMap::new();
        for input in inputs {
            let LoopInput::Record(routed) = input else { continue };
            for signal in routed.signals {
                output.records.push(self.journal.input(&Input::SignalTaken(signal), now));
            }
            if let Some((part, time)) = routed.reached {
                let known = reached.entry(part).or_insert(time);
                *known = (*known).max(time);
            }
        }
        // What was read without being a signal is progress too: windows close by it.
        for (part, time) in reached {
            let advanced = Input::SourceAdvanced { source: self.source.clone(), part, time };
            output.records.push(self.journal.input(&advanced, now));
        }
        output
    }

    fn due(&self) -> Option<Timestamp> {
        None
    }
}

/// Routes the events of one context.
pub struct EventRoute {
    /// The context.
    pub source: String,
    /// Encodes and decodes.
    pub journal: Arc<Journal>,
    /// Says which events are signals.
    pub files: Files,
}

/// The signals in a record of a context's events, and how far its partition has come with it.
pub async fn routed(record: &Fetched, source: &str, rules: &RuleSet, schemas: &SchemaCache) -> Option<Routed> {
    let headers = read_event_headers(&record.headers, record.key.as_deref()?).ok()?;
    let reached = Some((u32::try_from(record.partition).unwrap_or(0), headers.time));
    let name = headers.event_name();
    let mappings: Vec<_> = rules.mappings(source).iter().filter(|mapping| mapping.event == name).collect();
    if mappings.is_empty() {
        return Some(Routed { signals: Vec::new(), reached });
    }
    let event = event(record, schemas).await?;
    let told = mappings.iter().filter_map(|mapping| match mapping.signal(source, &event) {
        Ok(signal) => signal,
        Err(error) => {
            tracing::warn!(event = event.headers.id, %error, "an event is no signal because an expression fails");
            None
        }
    });
    Some(Routed { signals: told.collect(), reached })
}

async fn event(record: &Fetched, schemas: &SchemaCache) -> Option<Recorded> {
    let (key, value) = (record.key.as_deref(), record.value.as_deref());
    let decode = || {
        let (topic, headers) = (&record.topic, &record.headers);
        recorded::decode(topic, record.partition, record.offset, key, value, headers, schemas)
    };
    match decode() {
        Err(recorded::DecodeError::UnknownSchema(id)) => {
            // An event that is passed over is a signal that nobody sees.
            schemas.resolve_in_the_end(id).await.ok()?;
            decode().ok()
        }
        decoded => decoded.ok(),
    }
}

#[async_trait]
impl Stage for EventRoute {
    type Processor = Router;

    async fn open(&self, _: i32) -> anyhow::Result<(Router, i64)> {
        Ok((Router { source: self.source.clone(), journal: Arc::clone(&self.journal) }, 0))
    }

    async fn restore(&self, _: &mut Router, _: Vec<Fetched>) -> anyhow::Result<()> {
        Ok(())
    }

    async fn read(&self, records: Vec<Fetched>) -> Vec<Routed> {
        let wanted = self.files.wanted();
        let mut routed = Vec::with_capacity(records.len());
        for record in &records {
            let told = self::routed(record, &self.source, &wanted.set, self.journal.schemas()).await;
            routed.push(told.unwrap_or_default());
        }
        routed
    }

    async fn after(&self, _: i32, _: Vec<()>) {}
}

/// Routes the records of the alerts topic.
pub struct AlertRoute {
    /// Encodes and decodes.
    pub journal: Arc<Journal>,
}

/// An alert as it is told: `monitoring.Alert`, or an element of what Alertmanager's API is posted.
#[derive(Debug, Clone, Deserialize)]
pub struct Alert {
    /// What tells it apart.
    pub labels: Labels,
    /// What else there is to know.
    pub annotations: Labels,
    /// When it began.
    pub starts_at: Timestamp,
    /// When it ended or will.
    pub ends_at: Option<Timestamp>,
    /// Where to look.
    pub generator_url: Option<String>,
}

impl Alert {
    /// The alert as a signal, told at that time: over if its end has passed.
    pub fn signal(self, now: Timestamp) -> Signal {
        let over = self.ends_at.filter(|ends_at| *ends_at <= now);
        let (kind, time) = over.map_or((Kind::Firing, self.starts_at), |ends_at| (Kind::Resolved, ends_at));
        Signal {
            source: ALERTS.to_owned(),
            part: 0,
            id: format!("{:016x}@{time}", self.labels.fingerprint()),
            time,
            kind,
            labels: self.labels,
            annotations: self.annotations,
            ends_at: self.ends_at,
            link: self.generator_url.filter(|link| !link.is_empty()),
        }
    }
}

#[async_trait]
impl Stage for AlertRoute {
    type Processor = Router;

    async fn open(&self, _: i32) -> anyhow::Result<(Router, i64)> {
        Ok((Router { source: ALERTS.to_owned(), journal: Arc::clone(&self.journal) }, 0))
    }

    async fn restore(&self, _: &mut Router, _: Vec<Fetched>) -> anyhow::Result<()> {
        Ok(())
    }

    async fn read(&self, records: Vec<Fetched>) -> Vec<Routed> {
        let mut routed = Vec::with_capacity(records.len());
        for record in &records {
            let fields = self.journal.fields(record).await;
            let alert = fields.and_then(|(_, fields)| serde_json::from_value::<Alert>(fields.into()).ok());
            let signals: Vec<Signal> = alert.map(|alert| alert.signal(clock::now())).into_iter().collect();
            if signals.is_empty() {
                tracing::warn!(partition = record.partition, offset = record.offset, "a record is no alert");
            }
            routed.push(Routed { signals, reached: None });
        }
        routed
    }

    async fn after(&self, _: i32, _: Vec<()>) {}
}
