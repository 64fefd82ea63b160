//! Reading back what was written, and judging it.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context, ensure};
use spina_core::{ContextName, ExpectedVersion};
use spina_log::admin::TopicSpec;
use spina_log::{Admin, Fetched, LogConfig, LogReader, ReaderOptions, Start, names, settled};
use spina_testkit::history::{self, Logged, Operation};

use crate::drive::Done;
use crate::script::{PARTITIONS, Script};

/// Topic of the floors.
pub const SCRATCH: &str = "bench.scratch.v1";
/// How long an open transaction may keep the read back.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(20);

/// The broker, as the checks use it.
pub struct Log {
    /// Where it is.
    pub config: LogConfig,
    /// Topic of the context's events.
    pub events_topic: String,
    admin: Admin,
}

/// Where a topic ended.
#[derive(Debug, Clone)]
pub struct Mark {
    topic: String,
    ends: Vec<(i32, Start)>,
}

impl Log {
    /// Connects, and makes the scratch topic.
    pub async fn connect(bootstrap: &str) -> anyhow::Result<Self> {
        let config = LogConfig::new(bootstrap, "loadtest");
        let admin = Admin::connect(&config).await?;
        let bench: ContextName = "bench".parse()?;
        let log = Self { config, events_topic: names::events_topic(&bench), admin };
        log.create(SCRATCH, PARTITIONS).await?;
        Ok(log)
    }

    /// Makes a topic of a floor.
    pub async fn create(&self, topic: &str, partitions: i32) -> anyhow::Result<()> {
        let configs = [("retention.ms".to_owned(), "-1".to_owned())].into();
        let spec = TopicSpec { name: topic.to_owned(), partitions, replication: 1, configs };
        self.admin.create(&spec).await?;
        Ok(())
    }

    /// Where the topic ends now.
    pub async fn mark(&self, topic: &str) -> anyhow::Result<Mark> {
        let ends = self.admin.ends(topic).await?;
        let ends = ends.into_iter().map(|end| (end.partition, Start::At(end.high))).collect();
        Ok(Mark { topic: topic.to_owned(), ends })
    }

    /// Follows what is committed after the mark, without end.
    pub fn follow(&self, mark: Mark) -> anyhow::Result<LogReader> {
        let options = ReaderOptions { batch_records_max: 10_000, queue_batches_max: 16, stop_at_end: false };
        Ok(LogReader::open(&self.config, &mark.topic, mark.ends, options)?)
    }

    /// Every committed record after the mark.
    pub async fn since(&self, mark: Mark) -> anyhow::Result<Vec<Fetched>> {
        for (partition, _) in &mark.ends {
            settled::wait(&self.admin, &mark.topic, *partition, SETTLE_TIMEOUT).await?;
        }
        let options = ReaderOptions { stop_at_end: true, ..ReaderOptions::default() };
        let mut reader = LogReader::open(&self.config, &mark.topic, mark.ends, options)?;
        let mut records = Vec::new();
        while let Some(batch) = reader.next().await {
            records.extend(batch?.records);
        }
        Ok(records)
    }

    /// The history of an arm that wrote events after the mark keeps every invariant.
    pub async fn check(&self, mark: Mark, script: &Script, done: &[Done]) -> anyhow::Result<()> {
        let records = self.since(mark).await.context("read back what was written")?;
        let log = records.iter().map(Logged::read).collect::<Result<Vec<_>, _>>().context("read an event back")?;
        let operations: Vec<Operation> = done.iter().map(|done| operation(script, done)).collect();
        let report = history::check(&operations, &log);
        let Some(first) = report.violations.first() else { return Ok(()) };
        anyhow::bail!("the log is wrong in {} places; the first: {first}", report.count)
    }

    /// The raw arm's records are there, each once.
    pub async fn check_raw(&self, mark: Mark, script: &Script, done: &[Done]) -> anyhow::Result<()> {
        let records = self.since(mark).await.context("read back what was written raw")?;
        let mut found = HashSet::with_capacity(records.len());
        for record in &records {
            let event = Logged::read(record).context("read a raw record back")?;
            ensure!(found.insert(event.id), "a raw record is there twice");
        }
        for Done { n, .. } in done {
            ensure!(found.contains(&script.id(*n)), "raw record {n} is not there");
        }
        ensure!(done.len() == found.len(), "{} raw records are there, {} were sent", found.len(), done.len());
        Ok(())
    }
}

/// A request as the checker sees it.
fn operation(script: &Script, done: &Done) -> Operation {
    Operation {
        stream: script.stream(done.n).to_owned(),
        expected: ExpectedVersion::Any,
        request: None,
        events: vec![script.payload(done.n)],
        invoked: done.invoked,
        completed: done.completed,
        outcome: done.outcome,
    }
}
