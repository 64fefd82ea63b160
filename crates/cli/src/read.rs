//! `spina read`: the events of a stream, or of a context since a place.

use anyhow::Result;
use clap::ValueEnum;
use serde_json::Value;
use spina_core::{StreamId, Timestamp};

use crate::client::{Client, Service, segment};
use crate::event::{one_line, short_type};
use crate::output::{self, Format, JsonLines};
use crate::reach::{InContext, Reach};
use crate::table::{Table, cell};

/// Show the events of a stream, or those of a whole context since a place
///
/// Everything that was acknowledged is included. `spina tail` goes on with what comes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Stream, such as flight-UA1545-20130101-EWR; without it, all streams of the context
    stream: Option<StreamId>,
    /// First version wanted [default: 1, or the last one backward]
    #[arg(long, value_name = "VERSION", requires = "stream")]
    from_version: Option<u64>,
    /// Only what happened at this time or later, such as 2013-01-01T12:00:00Z
    #[arg(long, value_name = "TIME", requires = "stream")]
    from_time: Option<Timestamp>,
    /// Only what happened before this time
    #[arg(long, value_name = "TIME", requires = "stream")]
    to_time: Option<Timestamp>,
    /// Oldest or newest first
    #[arg(long, value_enum, default_value_t, requires = "stream")]
    direction: Direction,
    /// earliest, latest, or a token: of the last event not wanted, or the one that the last read gave
    #[arg(long, value_name = "TOKEN", default_value = "earliest", conflicts_with = "stream")]
    since: String,
    /// Only this type of event; repeat for more
    #[arg(long = "type", value_name = "TYPE", conflicts_with = "stream")]
    types: Vec<String>,
    /// Only streams of this category, such as flight
    #[arg(long, conflicts_with = "stream")]
    category: Option<String>,
    /// Most events
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    #[command(flatten)]
    context: InContext,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Direction {
    #[default]
    Forward,
    Backward,
}

impl Args {
    /// Reads and prints.
    pub async fn run(self, format: Format) -> Result<()> {
        let client = self.reach.client()?;
        let answer = match &self.stream {
            Some(stream) => self.of_stream(&client, stream).await?,
            None => self.of_context(&client).await?,
        };
        let events = answer["events"].as_array().map(Vec::as_slice).unwrap_or_default();
        match format {
            Format::Json => output::json(&answer),
            Format::Ndjson => {
                let mut lines = JsonLines::new();
                events.iter().try_for_each(|event| lines.push(event))?;
                lines.flush()?;
                note_what_follows(&answer);
                Ok(())
            }
            Format::Text => {
                match self.stream {
                    Some(_) => output::line(table(events))?,
                    None => events.iter().try_for_each(|event| output::line(one_line(event)))?,
                }
                note_what_follows(&answer);
                Ok(())
            }
        }
    }

    async fn of_stream(&self, client: &Client, stream: &StreamId) -> Result<Value> {
        let context = self.context.of_stream(client, stream).await?;
        let path = format!("/v1/{context}/streams/{}/events", segment(stream.as_str()));
        let direction = match self.direction {
            Direction::Forward => "forward",
            Direction::Backward => "backward",
        };
        let mut query = vec![("limit", self.limit.to_string()), ("direction", direction.to_owned())];
        query.extend(self.from_version.map(|version| ("from_version", version.to_string())));
        query.extend(self.from_time.map(|time| ("from_time", time.to_string())));
        query.extend(self.to_time.map(|time| ("to_time", time.to_string())));
        Ok(client.get(Service::EventStore, &path, &query).await?)
    }

    async fn of_context(&self, client: &Client) -> Result<Value> {
        let context = self.context.resolve(client).await?;
        let mut query = vec![("limit", self.limit.to_string()), ("from", self.since.clone())];
        if !self.types.is_empty() {
            query.push(("types", self.types.join(",")));
        }
        query.extend(self.category.as_ref().map(|category| ("category", category.clone())));
        Ok(client.get(Service::EventStore, &format!("/v1/{context}/events"), &query).await?)
    }
}

/// Says beside the events how to read on.
fn note_what_follows(answer: &Value) {
    if let Some(version) = answer["next_from_version"].as_u64() {
        output::note(format!("there may be more: --from-version {version}"));
    }
    if let Some(token) = answer["next"].as_str() {
        let there = if answer["at_end"] == true { "that is all so far; what comes" } else { "there is more" };
        output::note(format!("{there}: --since {token}"));
    }
}

fn table(events: &[Value]) -> Table {
    let mut table = Table::new(["version", "time", "type", "data"]);
    for event in events {
        let event_type = event["type"].as_str().map(short_type).unwrap_or_default().to_owned();
        table.row([cell(&event["version"]), cell(&event["time"]), event_type, cell(&event["data"])]);
    }
    table
}
