//! `spina replay`: events straight from the log; [`into`]: with a target, a job of the projector.
//!
//! Reads committed records with partitions assigned by hand: no consumer group is touched, no service is asked. It ends
//! at the ends that the partitions had when it began. The order is the log's: within a stream and a partition the order
//! of appending; partitions come one after another, so that two replays print the same.

mod from;
mod into;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use spina_codec::Readings;
use spina_codec::catalog::SchemaCache;
use spina_codec::headers::read_event_headers;
use spina_codec::partitioner::partition_for;
use spina_codec::recorded::{self, DecodeError};
use spina_codec::registry::RegistryClient;
use spina_core::{ContextName, Recorded, Selection, StreamId, Timestamp};
use spina_log::admin::PartitionEnds;
use spina_log::{Admin, Fetched, LogConfig, LogReader, ReaderOptions, Start, names};

use crate::event::{EventLine, one_line};
use crate::failure::Failure;
use crate::output::{self, Format, JsonLines};
use crate::reach::{InContext, Reach};
use crate::topology::Folders;
use from::From;
use into::Ask;

/// Print events from the log, or replay them into a topic or to an endpoint, touching no consumer group
///
/// Prints one JSON document per line, in the order of the log, one partition after another, up to the end that the log
/// has now. --from and --to compare the time at which events happened (ce_time), not when they were appended. Events of
/// older schemas are printed as they would be recorded today, as topology/ and schemas/ declare. With --into a job of the
/// projector does it: spina job steers it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this type of event; repeat for more
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    /// Only this stream; repeat for more
    #[arg(long = "stream", value_name = "STREAM")]
    streams: Vec<StreamId>,
    /// Only events of this business transaction; repeat for more
    #[arg(long = "correlation", value_name = "ID")]
    correlation_ids: Vec<String>,
    /// Events that happened at this instant or later; or, given a token, what the log has after it
    #[arg(long, value_name = "TIME|TOKEN")]
    from: Option<From>,
    /// Events that happened before this instant
    #[arg(long, value_name = "TIME")]
    to: Option<Timestamp>,
    /// Print events as they were written, not as they would be recorded today
    #[arg(long, conflicts_with = "into")]
    raw: bool,
    #[command(flatten)]
    ask: Ask,
    #[command(flatten)]
    folders: Folders,
    #[command(flatten)]
    context: InContext,
    #[command(flatten)]
    reach: Reach,
}

impl Args {
    /// Reads and prints, or asks for a job.
    pub async fn run(mut self, format: Format) -> Result<()> {
        let context = match (self.context.given(), self.streams.first()) {
            (Some(context), _) => context.clone(),
            (None, Some(stream)) => self.context.of_stream(&self.reach.client()?, stream).await?,
            (None, None) => self.context.resolve(&self.reach.client()?).await?,
        };
        if let Some(into) = self.ask.into.take() {
            let which = self.which(&context);
            return self.ask.run(&self.reach.client()?, into, which, format).await;
        }
        let log = LogConfig::new(self.reach.kafka()?, "spina-replay");
        let topic = names::events_topic(&context);
        let ends = Admin::connect(&log).await?.ends(&topic).await;
        let ends =
            ends.map_err(|error| Failure::not_found(error.to_string()).help("spina topology apply creates it"))?;
        let readings = self.readings(&context)?;
        let schemas = SchemaCache::reading(RegistryClient::new(&self.reach.registry()?)?, readings);
        let ranges = self.ranges(&topic, &ends)?;
        let total: i64 = ranges.iter().map(|range| range.end - range.start).sum();
        let mut replay = Replay {
            selection: self.selection(&context, schemas.readings()),
            schemas,
            printer: Printer { format, lines: JsonLines::new() },
            bar: output::progress(Some(total.unsigned_abs()), "records"),
            printed: 0,
        };
        for range in ranges {
            replay.partition(&log, &topic, range).await?;
        }
        replay.printer.lines.flush()?;
        replay.bar.finish_and_clear();
        output::note(format!("{} events", replay.printed));
        Ok(())
    }

    /// Which events, as a job is asked for them.
    fn which(&self, context: &ContextName) -> Value {
        let (from, after) = match &self.from {
            Some(From::Time(time)) => (Some(time), None),
            Some(From::Token(token)) => (None, Some(token)),
            None => (None, None),
        };
        json!({
            "context": context, "types": self.types, "streams": self.streams, "correlation_ids": self.correlation_ids,
            "from": from, "to": self.to, "after": after,
        })
    }

    /// How older events are read: as declared, if the declarations are here.
    fn readings(&self, context: &ContextName) -> Result<Readings> {
        if self.raw {
            return Ok(Readings::default());
        }
        let declared = self.folders.readings(context)?;
        if declared.is_none() {
            output::note(format!("context {context} is not declared here: events are printed as they were written"));
        }
        Ok(declared.unwrap_or_default())
    }

    fn selection(self, context: &ContextName, readings: &Readings) -> Selection {
        let from = match self.from {
            Some(From::Time(time)) => Some(time),
            Some(From::Token(_)) | None => None,
        };
        let former = |name: &String| readings.former_names(context, name.rsplit('.').next().unwrap_or(name));
        let former: Vec<String> = self.types.iter().flat_map(former).collect();
        let types = [self.types, former].concat();
        Selection { types, streams: self.streams, correlation_ids: self.correlation_ids, from, to: self.to }
    }

    /// What to read of each partition: the wanted streams' partitions only, from the token on if there is one.
    fn ranges(&self, topic: &str, ends: &[PartitionEnds]) -> Result<Vec<Range>> {
        let count = i32::try_from(ends.len()).context("count the partitions")?;
        let partitions: Vec<i32> =
            self.streams.iter().map(|stream| partition_for(stream.as_str().as_bytes(), count)).collect();
        let token = match &self.from {
            Some(From::Token(token)) if token.topic() != topic => {
                anyhow::bail!("the token is of {}, the events are in {topic}", token.topic());
            }
            Some(From::Token(token)) => Some(token),
            Some(From::Time(_)) | None => None,
        };
        let wanted = ends.iter().filter(|end| partitions.is_empty() || partitions.contains(&end.partition));
        let ranges = wanted.map(|end| {
            let after = token.and_then(|token| token.offset(end.partition)).map_or(end.earliest, |offset| offset + 1);
            Range { partition: end.partition, start: after.max(end.earliest), end: end.stable }
        });
        Ok(ranges.filter(|range| range.start < range.end).collect())
    }
}

/// Offsets of a partition, the end not included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    partition: i32,
    start: i64,
    end: i64,
}

struct Replay {
    selection: Selection,
    schemas: SchemaCache,
    printer: Printer,
    bar: indicatif::ProgressBar,
    printed: u64,
}

impl Replay {
    async fn partition(&mut self, log: &LogConfig, topic: &str, range: Range) -> Result<()> {
        let options = ReaderOptions { stop_at_end: true, ..ReaderOptions::default() };
        let starts = vec![(range.partition, Start::At(range.start))];
        let mut reader = LogReader::open(log, topic, starts, options)?;
        let done_before = self.bar.position();
        while let Some(batch) = reader.next().await {
            for record in batch?.records {
                // What was appended since this began is not wanted.
                if record.offset >= range.end {
                    break;
                }
                self.bar.set_position(done_before + (record.offset + 1 - range.start).unsigned_abs());
                self.record(record).await?;
            }
        }
        self.bar.set_position(done_before + (range.end - range.start).unsigned_abs());
        Ok(())
    }

    async fn record(&mut self, record: Fetched) -> Result<()> {
        let key = record.key.as_deref();
        let place = || format!("read the record at {}:{}:{}", record.topic, record.partition, record.offset);
        let headers = read_event_headers(&record.headers, key.unwrap_or_default()).with_context(place)?;
        if !self.selection.wants(&headers) {
            return Ok(());
        }
        let event = loop {
            let value = record.value.as_deref();
            let (partition, offset) = (record.partition, record.offset);
            match recorded::decode(&record.topic, partition, offset, key, value, &record.headers, &self.schemas) {
                Err(DecodeError::UnknownSchema(id)) => _ = self.schemas.resolve(id).await.with_context(place)?,
                decoded => break decoded.with_context(place)?,
            }
        };
        self.printed += 1;
        self.printer.print(event)
    }
}

struct Printer {
    format: Format,
    lines: JsonLines,
}

impl Printer {
    fn print(&mut self, event: Recorded) -> Result<()> {
        let line = EventLine::from(event);
        match self.format {
            Format::Text => self.lines.text(one_line(&serde_json::to_value(line)?)),
            Format::Json | Format::Ndjson => self.lines.push(&line),
        }
    }
}
