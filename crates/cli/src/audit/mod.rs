//! `spina audit`: is what PostgreSQL keeps what the log says?
//!
//! ```text
//! log ─ pass 1 ─▶ sample of streams, events per partition
//!                     │ what is kept of each, at one instant
//! log ─ pass 2 ─▶ what came meanwhile ─▶ fold, compare ─▶ findings
//! ```
//!
//! The log is read and not the event-store: the audit trusts nobody. Because the second pass comes after the look at the
//! database, everything that is kept must be in what was read.

mod compare;
mod log;
mod model;
mod sample;
#[cfg(test)]
mod samples;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde::Serialize;
use spina_codec::catalog::{Catalog, Declared, SchemaCache, TypeKind};
use spina_codec::frame;
use spina_codec::registry::RegistryClient;
use spina_core::{ContextName, Position, Recorded};
use spina_log::admin::PartitionEnds;
use spina_log::{Admin, LogConfig, names};
use spina_rules::context;
use spina_store::archive::{HeldSnapshot, Holding, Stored};
use spina_store::{Store, StoreConfig};

use crate::failure::{Exit, Failure};
use crate::output::{self, Format};
use crate::reach::{InContext, Reach};
use crate::table::Table;
use compare::{Finding, compare};
use sample::Sample;

/// Streams that are told when the archive is ahead of the log.
const AHEAD_NAMED_MAX: i64 = 10;
const HELP_SNAPSHOT: &str = "--repair deletes these snapshots; they come back from the log";
const HELP_ARCHIVE: &str = "stop the context's event-stores, delete its rows from spina.events, spina.streams, \
    spina.snapshots and spina.watermarks, and start them again: everything comes back from the log";
const HELP_LOG: &str = "the log is the truth and cannot be repaired from here; `spina replay` shows it";

/// Hold snapshots and archive against the log
///
/// Chooses streams at random, folds their events anew from the log, and compares with the snapshot, with every archived
/// event byte for byte, and with the index of streams; counts all archived events of every partition. Exit code 1 if
/// something does not fit. Memory is that of the chosen streams.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    of: Option<Of>,
    /// Context [default: the only one]
    context: Option<ContextName>,
    /// How many streams
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    streams: u16,
    /// The same seed chooses the same streams
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Delete snapshots that are wrong
    #[arg(long)]
    repair: bool,
    /// The database [default: the stack's]
    #[arg(long, env = "SPINA_POSTGRES_URL", value_name = "URL", hide_env_values = true)]
    postgres_url: Option<String>,
    /// Folder with a sub-folder for each context
    #[arg(long, env = "SPINA_TOPOLOGY_DIR", default_value = "topology")]
    topology_dir: PathBuf,
    #[command(flatten)]
    reach: Reach,
}

/// What is audited if not snapshots and archive.
#[derive(Debug, clap::Subcommand)]
enum Of {
    Model(model::ModelArgs),
}

impl Args {
    /// Reads, compares and tells. The exit code says whether everything fits.
    pub async fn run(self, format: Format) -> Result<ExitCode> {
        if let Some(Of::Model(args)) = self.of {
            return args.run(format).await;
        }
        let context = match &self.context {
            Some(context) => context.clone(),
            None => InContext::any().resolve(&self.reach.client()?).await?,
        };
        let postgres = StoreConfig::new(self.reach.postgres(&self.postgres_url)?, "spina-audit");
        let store = Store::open(&postgres).map_err(|error| unavailable(&error))?;
        let schemas = SchemaCache::new(RegistryClient::new(&self.reach.registry()?)?);
        let log = LogConfig::new(self.reach.kafka()?, "spina-audit");
        let admin = Admin::connect(&log).await?;
        let audit = Audit { catalog: self.catalog(&context, &schemas).await?, context, store, schemas, log, admin };
        let report = audit.run(self.seed, usize::from(self.streams), self.repair).await?;
        report.print(format)?;
        Ok(if report.drift.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(Exit::Failed as u8) })
    }

    /// Today's event types: they name the fold that snapshots were made by.
    async fn catalog(&self, context: &ContextName, schemas: &SchemaCache) -> Result<Catalog> {
        let defs = context::load_all(&self.topology_dir)?;
        let def = defs.iter().find(|def| def.name == *context).with_context(|| {
            format!("{} has no context {context}; name the folder with --topology-dir", self.topology_dir.display())
        })?;
        let declared = def.events().map(|(aggregate, event)| Declared {
            kind: TypeKind::Event,
            topic: names::events_topic(context),
            aggregate: aggregate.name.clone(),
            record: def.record_name(event),
        });
        Ok(Catalog::load(schemas, context, &declared.collect::<Vec<_>>()).await?)
    }
}

struct Audit {
    context: ContextName,
    catalog: Catalog,
    store: Store,
    schemas: SchemaCache,
    log: LogConfig,
    admin: Admin,
}

impl Audit {
    async fn run(&self, seed: u64, streams: usize, repair: bool) -> Result<Report> {
        let topic = names::events_topic(&self.context);
        let mut watermarks = BTreeMap::new();
        for PartitionEnds { partition, .. } in self.admin.ends(&topic).await? {
            let watermark = self.store.watermark(&self.context, partition).await;
            watermarks.insert(partition, watermark.map_err(|error| unavailable(&error))?.next_offset);
        }
        // After the watermarks: what is archived must be in what is read.
        let ends = self.admin.ends(&topic).await?;
        let (mut sample, mut counts, mut events) = (Sample::new(seed, streams), BTreeMap::<i32, u64>::new(), 0_u64);
        let total: i64 = ends.iter().map(|end| end.stable - end.earliest).sum();
        let bar = output::progress(Some(total.unsigned_abs()), "records");
        log::pass(&self.log, &topic, &ends, &ends, &bar, |event| {
            events += 1;
            *counts.entry(event.partition).or_default() += u64::from(event.offset < watermarks[&event.partition]);
            sample.offer(event);
        })
        .await?;
        let mut drift = self.partitions(&ends, &watermarks, &counts).await?;
        let mut holdings = Vec::new();
        for events in sample.streams() {
            let first = &events[0];
            holdings.push(self.store.holding(&self.context, first.partition, &first.headers.stream).await?);
        }
        let later = self.admin.ends(&topic).await?;
        let begun: Vec<PartitionEnds> = ends.iter().map(|end| PartitionEnds { earliest: end.stable, ..*end }).collect();
        log::pass(&self.log, &topic, &begun, &later, &bar, |event| sample.extend(event)).await?;
        bar.finish_and_clear();
        let (mut audited, mut snapshots) = (0, 0);
        for (events, holding) in sample.streams().zip(&holdings) {
            let fold = self.fold(events[0].headers.stream.category());
            let judged = |snapshot: &&HeldSnapshot| snapshot.fingerprint == fold;
            audited += 1;
            snapshots += usize::from(holding.snapshot.as_ref().filter(judged).is_some());
            drift.extend(self.stream(events, holding, &fold, repair).await?);
        }
        Ok(Report { context: self.context.clone(), seed, streams: audited, snapshots, events, drift })
    }

    /// What can be said of whole partitions: as many archived events as the log has, and none that it does not have.
    async fn partitions(
        &self,
        ends: &[PartitionEnds],
        watermarks: &BTreeMap<i32, i64>,
        counts: &BTreeMap<i32, u64>,
    ) -> Result<Vec<Drift>> {
        let mut drift = Vec::new();
        for end in ends {
            let (partition, watermark) = (end.partition, watermarks[&end.partition]);
            let mut add = |of: String, text: String| {
                drift.push(Drift { of, finding: Finding::Archive(text), repaired: false });
            };
            if watermark > end.stable {
                let text = format!("is archived up to offset {watermark}, the log ends at {}", end.stable);
                add(format!("partition {partition}"), text);
                let ahead = self.store.ahead_of_log(&self.context, partition, end.stable, AHEAD_NAMED_MAX).await?;
                for (stream, version) in ahead {
                    add(stream, format!("version {version} is not in the log"));
                }
                continue;
            }
            let logged = counts.get(&partition).copied().unwrap_or(0);
            let archived = self.store.archived_before(&self.context, partition, watermark).await?;
            // Where the log forgets old events the archive still has them.
            if archived != logged && (end.earliest == 0 || archived < logged) {
                let text = format!("has {archived} archived events before offset {watermark}, the log {logged}");
                add(format!("partition {partition}"), text);
            }
        }
        Ok(drift)
    }

    /// Names the fold that the audit makes: the default one, of events as they were written. A snapshot of upcast ones,
    /// by rules or code, or under other schemas is of another fold and not judged.
    fn fold(&self, category: &str) -> String {
        self.catalog.fingerprint(category, "", "")
    }

    async fn stream(&self, events: &[Stored], holding: &Holding, fold: &str, repair: bool) -> Result<Vec<Drift>> {
        let stream = &events[0].headers.stream;
        let mut recorded = Vec::with_capacity(events.len());
        for event in events {
            let decoded = self.decode(event).await;
            recorded.push(decoded.with_context(|| format!("decode {stream} version {}", event.headers.version))?);
        }
        let findings = compare(events, &recorded, holding, fold);
        let mut drift = Vec::new();
        for finding in findings {
            let repaired = repair && matches!(finding, Finding::Snapshot(_));
            if repaired {
                self.store.forget_snapshot(&self.context, stream).await?;
            }
            drift.push(Drift { of: stream.to_string(), finding, repaired });
        }
        Ok(drift)
    }

    async fn decode(&self, event: &Stored) -> Result<Recorded> {
        let (schema_id, avro) = frame::split(&event.value)?;
        let data = self.schemas.resolve(schema_id).await?.decode(avro)?;
        let topic = names::events_topic(&self.context);
        let position = Position { topic, partition: event.partition, offset: event.offset };
        Ok(Recorded { headers: event.headers.clone(), position, data })
    }
}

/// What was audited and what does not fit.
#[derive(Debug, Serialize)]
struct Report {
    context: ContextName,
    seed: u64,
    /// Streams that were folded anew.
    streams: usize,
    /// Snapshots among them that were compared.
    snapshots: usize,
    /// Events that were read and counted.
    events: u64,
    drift: Vec<Drift>,
}

#[derive(Debug, Serialize)]
struct Drift {
    /// The stream or partition.
    of: String,
    finding: Finding,
    repaired: bool,
}

impl Report {
    fn print(&self, format: Format) -> Result<()> {
        if format != Format::Text {
            return output::json(self);
        }
        let mut table = Table::new(["of", "kind", "finding"]);
        for drift in &self.drift {
            let (kind, text) = match &drift.finding {
                Finding::Log(text) => ("log", text),
                Finding::Archive(text) => ("archive", text),
                Finding::Index(text) => ("index", text),
                Finding::Snapshot(text) if drift.repaired => ("snapshot, deleted", text),
                Finding::Snapshot(text) => ("snapshot", text),
            };
            table.row([drift.of.clone(), kind.to_owned(), text.clone()]);
        }
        if !self.drift.is_empty() {
            output::line(&table)?;
        }
        let verdict = if self.drift.is_empty() { "everything fits" } else { "there is drift" };
        let Self { context, streams, snapshots, events, .. } = self;
        let amount = format!("{streams} streams and {snapshots} snapshots compared, {events} events counted");
        output::line(format!("{context}: {verdict}; {amount}"))?;
        self.help().into_iter().for_each(|help| output::note(format!("help: {help}")));
        Ok(())
    }

    /// What to do next.
    fn help(&self) -> Vec<&'static str> {
        let any = |test: fn(&Drift) -> bool| self.drift.iter().any(test);
        let advice = [
            (any(|it| matches!(it.finding, Finding::Snapshot(_)) && !it.repaired), HELP_SNAPSHOT),
            (any(|it| matches!(it.finding, Finding::Archive(_) | Finding::Index(_))), HELP_ARCHIVE),
            (any(|it| matches!(it.finding, Finding::Log(_))), HELP_LOG),
        ];
        advice.into_iter().filter_map(|(applies, help)| applies.then_some(help)).collect()
    }
}

fn unavailable(error: &spina_store::StoreError) -> Failure {
    let message = format!("PostgreSQL: {error}");
    Failure::new(Exit::Unavailable, "state.unavailable", message).help("`spina status` shows what runs")
}
