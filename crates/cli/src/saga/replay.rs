//! `spina saga replay`: would today's code and definitions decide as was decided?
//!
//! ```text
//! spina.sagas.v1, or a file ─▶ records of each saga ─▶ spina_core::saga::replay with the plan of its version ─▶ differences
//! ```

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use spina_codec::catalog::SchemaCache;
use spina_codec::frame;
use spina_codec::registry::RegistryClient;
use spina_codec::saga_record;
use spina_core::saga::{Happened, Plan, SagaEvent, replay};
use spina_log::{Admin, LogConfig, LogReader, ReaderOptions, Start, names};

use super::check::Definitions;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};
use crate::reach::Reach;

/// Differences that are told one by one.
const TOLD_MAX: usize = 50;

/// Replay what sagas did: would today's code and definitions decide the same?
///
/// Reads the whole log of sagas, or a file, decides every saga again by the version that it runs on, and compares decision by
/// decision. Exits with 1 if one differs: then sagas that run, or are folded anew, may not go on as they began. Memory is
/// that of the sagas that have not ended.
#[derive(Debug, clap::Args)]
pub struct Replay {
    /// Only this saga, such as saga-rebook-17
    #[arg(long)]
    id: Option<String>,
    /// Only sagas of this definition, such as rebook
    #[arg(long)]
    definition: Option<String>,
    /// Histories in a file, a record in JSON on each line, instead of the log
    #[arg(long, value_name = "FILE", conflicts_with = "write")]
    file: Option<PathBuf>,
    /// Write the histories into a file besides
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    #[command(flatten)]
    definitions: Definitions,
}

impl Replay {
    /// Reads, decides again, compares and prints.
    pub async fn run(self, reach: &Reach, format: Format) -> Result<()> {
        let plans = self.definitions.read()?;
        let mut report = Report::new(plans, self.id, self.definition, self.write.is_some());
        match &self.file {
            Some(file) => {
                let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
                for (number, line) in text.lines().enumerate() {
                    let place = || format!("read {}:{}", file.display(), number + 1);
                    report.take(serde_json::from_str(line).with_context(place)?);
                }
            }
            None => read(reach, &mut report).await?,
        }
        report.end();
        if let Some(file) = &self.write {
            fs::write(file, report.lines()?).with_context(|| format!("write {}", file.display()))?;
        }
        report.print(format)
    }
}

/// Reads the log to its end.
async fn read(reach: &Reach, report: &mut Report) -> Result<()> {
    let log = LogConfig::new(reach.kafka()?, "spina-saga-replay");
    let schemas = SchemaCache::new(RegistryClient::new(&reach.registry()?)?);
    let ends = Admin::connect(&log).await?.ends(names::SAGAS_TOPIC).await?;
    let bar =
        output::progress(Some(ends.iter().map(|end| (end.stable - end.earliest).unsigned_abs()).sum()), "records");
    for end in ends.iter().filter(|end| end.earliest < end.stable) {
        let options = ReaderOptions { stop_at_end: true, ..ReaderOptions::default() };
        let start = vec![(end.partition, Start::At(end.earliest))];
        let mut reader = LogReader::open(&log, names::SAGAS_TOPIC, start, options)?;
        while let Some(batch) = reader.next().await {
            for record in batch?.records {
                let place = || format!("read {}:{}:{}", names::SAGAS_TOPIC, record.partition, record.offset);
                let value = record.value.as_deref().unwrap_or_default();
                let (schema, _) = frame::split(value).with_context(place)?;
                let shape = schemas.resolve(schema).await.with_context(place)?;
                report.take(saga_record::read(value, &shape).with_context(place)?);
                bar.inc(1);
            }
        }
    }
    bar.finish_and_clear();
    Ok(())
}

/// What came of it so far.
struct Report {
    plans: Vec<Plan>,
    id: Option<String>,
    definition: Option<String>,
    /// Sagas that have not ended yet.
    open: HashMap<String, Vec<Happened>>,
    /// All records, if they are wanted.
    kept: Option<Vec<Happened>>,
    sagas: u64,
    records: u64,
    differing: u64,
    differences: Vec<Value>,
}

impl Report {
    fn new(plans: Vec<Plan>, id: Option<String>, definition: Option<String>, keeps: bool) -> Self {
        let (open, kept) = (HashMap::new(), keeps.then(Vec::new));
        Self { plans, id, definition, open, kept, sagas: 0, records: 0, differing: 0, differences: Vec::new() }
    }

    fn take(&mut self, happened: Happened) {
        let id = happened.saga.clone();
        if self.id.as_ref().is_some_and(|wanted| *wanted != id) {
            return;
        }
        let ends = matches!(happened.event, SagaEvent::Completed | SagaEvent::Compensated | SagaEvent::Resolved { .. });
        let log = self.open.entry(id.clone()).or_default();
        log.push(happened);
        if ends && let Some(log) = self.open.remove(&id) {
            self.judge(log);
        }
    }

    /// Those that have not ended.
    fn end(&mut self) {
        let mut open: Vec<Vec<Happened>> = std::mem::take(&mut self.open).into_values().collect();
        open.sort_by(|a, b| a[0].saga.cmp(&b[0].saga));
        open.into_iter().for_each(|log| self.judge(log));
    }

    fn judge(&mut self, log: Vec<Happened>) {
        let begun = if let SagaEvent::Started { definition, version, .. } = &log[0].event {
            Some((definition.clone(), *version))
        } else {
            None
        };
        let other = |wanted: &String| begun.as_ref().is_some_and(|(definition, _)| definition != wanted);
        if self.definition.as_ref().is_some_and(other) {
            return;
        }
        self.sagas += 1;
        self.records += log.len() as u64;
        let saga = &log[0].saga;
        let found = match &begun {
            None => Some(json!({ "saga": saga, "difference": "its log does not begin with its start" })),
            Some((name, version)) => {
                match self.plans.iter().find(|plan| plan.name == *name && plan.version == *version) {
                    None => {
                        let difference = format!("there is no version {version} of {name} any more");
                        Some(json!({ "saga": saga, "difference": difference }))
                    }
                    Some(plan) => replay(plan, &log).err().map(|difference| {
                        json!({ "saga": saga, "number": difference.number, "difference": difference.to_string() })
                    }),
                }
            }
        };
        if let Some(found) = found {
            self.differing += 1;
            if self.differences.len() < TOLD_MAX {
                self.differences.push(found);
            }
        }
        if let Some(kept) = &mut self.kept {
            kept.extend(log);
        }
    }

    fn lines(&self) -> Result<String> {
        let mut lines = String::new();
        for record in self.kept.iter().flatten() {
            lines.push_str(&serde_json::to_string(record).context("write a record")?);
            lines.push('\n');
        }
        Ok(lines)
    }

    fn print(&self, format: Format) -> Result<()> {
        match format {
            Format::Json | Format::Ndjson => output::json(&json!({ "sagas": self.sagas, "records": self.records,
                "differing": self.differing, "differences": self.differences }))?,
            Format::Text => {
                for found in self.differences.iter().filter_map(|found| found["difference"].as_str()) {
                    output::line(found)?;
                }
                output::line(format!("{} sagas with {} records decided again", self.sagas, self.records))?;
            }
        }
        if self.differing == 0 {
            return Ok(());
        }
        let message = format!("{} of {} sagas are decided otherwise than recorded", self.differing, self.sagas);
        let help = "a definition that has changed gets a new version; the old one stays until its last saga has ended";
        Err(Failure::new(Exit::Failed, "saga.differs", message).help(help).into())
    }
}

#[cfg(test)]
mod tests {
    use spina_core::Timestamp;
    use spina_core::saga::{Fields, start};

    use super::*;

    fn plan(version: u32) -> Plan {
        Plan { name: "rest".into(), version, steps: Vec::new() }
    }

    fn history(key: &str, version: u32) -> Vec<Happened> {
        let (id, at) = (format!("saga-rest-{key}"), Timestamp::default());
        let (_, events) = start(&plan(version), &id, key, Fields::new(), at);
        (1..).zip(events).map(|(number, event)| Happened { saga: id.clone(), number, at, event }).collect()
    }

    #[test]
    fn each_saga_is_held_against_its_version_and_what_is_not_asked_for_is_passed_over() {
        let told = |id: Option<&str>, definition: Option<&str>| {
            let mut report = Report::new(vec![plan(1)], id.map(str::to_owned), definition.map(str::to_owned), true);
            let logs = [history("a", 1), history("b", 2), history("c", 1)[..1].to_vec()];
            logs.into_iter().flatten().for_each(|record| report.take(record));
            report.end();
            (report.sagas, report.records, report.differing, report.lines().unwrap().lines().count())
        };
        // One is on a version that is not there, and the log of another ends in the middle of a turn.
        assert_eq!(told(None, None), (3, 5, 2, 5));
        assert_eq!(told(Some("saga-rest-a"), None), (1, 2, 0, 2));
        assert_eq!(told(None, Some("other")), (0, 0, 0, 0));
    }
}
