//! Stateless processors: each record of a topic becomes one record of another, or none.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use spina_codec::dead_letter::{Unhandled, headers_of};
use spina_core::Timestamp;
use spina_log::{Admin, Fetched, LaneFactory, LogConfig, NewRecord};
use spina_runtime::Context;
use spina_runtime::processor::{BrokerLog, Clock, Input, Output, Process, Processor};

use crate::config::ProjectorConfig;

/// Writes what it is given; it has nothing to remember.
pub struct PassOn;

impl Processor for PassOn {
    type Input = Option<NewRecord>;
    type Request = ();
    type Effect = ();

    fn apply(&mut self, inputs: Vec<Input<Option<NewRecord>, ()>>, _: Timestamp) -> Output<()> {
        let records = inputs.into_iter().filter_map(|input| match input {
            Input::Record(record) => record,
            Input::Request(()) | Input::Tick => None,
        });
        Output { records: records.collect(), effects: Vec::new() }
    }

    fn due(&self) -> Option<Timestamp> {
        None
    }
}

/// What this process is to the brokers.
pub async fn process(ctx: &Context<ProjectorConfig>, log: LogConfig, admin: Arc<Admin>) -> anyhow::Result<Process> {
    let least = admin.session_timeout_min().await.context("ask the brokers for their least session time-out")?;
    Ok(Process {
        instance: ctx.config.instance.clone(),
        session_timeout: Duration::from_millis(ctx.config.session_timeout_ms).max(least),
        lanes: Arc::new(LaneFactory::connect(&log).await.context("connect to Kafka")?),
        state: Arc::new(BrokerLog { config: log.clone(), admin }),
        clock: clock(),
        tasks: ctx.tasks.clone(),
        readiness: ctx.readiness.clone(),
        draining: ctx.shutdown.draining(),
        log,
    })
}

/// The processor wants the time; nothing here goes by it.
fn clock() -> Clock {
    Arc::new(|| {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since_epoch.as_micros()).ok().and_then(Timestamp::from_micros).unwrap_or_default()
    })
}

/// Why a record is not passed on.
#[derive(Debug, Clone, Copy)]
pub struct NotPassed<'r> {
    /// Class of the error.
    pub class: &'r str,
    /// Who could not pass it on.
    pub reader: &'r str,
    /// The error.
    pub reason: &'r str,
}

/// The record as it came, for a topic and partition of dead letters, and why it could not be passed on.
pub fn dead_letter((topic, partition): (&Arc<str>, i32), record: &Fetched, why: &NotPassed<'_>) -> NewRecord {
    let headers = headers_of(&Unhandled {
        place: (&record.topic, record.partition, record.offset),
        timestamp_ms: record.timestamp_ms,
        headers: &record.headers,
        class: why.class,
        message: why.reason,
        reader: why.reader,
    });
    NewRecord {
        topic: Arc::clone(topic),
        partition,
        key: record.key.clone().unwrap_or_default(),
        value: record.value.clone(),
        headers,
        timestamp_ms: None,
    }
}
