//! `spina read`: the events of a stream.

use anyhow::Result;
use clap::ValueEnum;
use serde_json::Value;
use spina_core::StreamId;

use crate::client::{Service, segment};
use crate::event::short_type;
use crate::output::{self, Format, JsonLines};
use crate::reach::{InContext, Reach};
use crate::table::{Table, cell};

/// Show the events of a stream
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Stream, such as flight-UA1545-20130101-EWR
    stream: StreamId,
    /// First version wanted [default: 1, or the last one backward]
    #[arg(long, value_name = "VERSION")]
    from_version: Option<u64>,
    /// Most events
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Oldest or newest first
    #[arg(long, value_enum, default_value_t)]
    direction: Direction,
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
        let context = self.context.of_stream(&client, &self.stream).await?;
        let path = format!("/v1/{context}/streams/{}/events", segment(self.stream.as_str()));
        let direction = match self.direction {
            Direction::Forward => "forward",
            Direction::Backward => "backward",
        };
        let mut query = vec![("limit", self.limit.to_string()), ("direction", direction.to_owned())];
        query.extend(self.from_version.map(|version| ("from_version", version.to_string())));
        let answer = client.get(Service::EventStore, &path, &query).await?;
        let events = answer["events"].as_array().map(Vec::as_slice).unwrap_or_default();
        match format {
            Format::Json => output::json(&answer),
            Format::Ndjson => {
                let mut lines = JsonLines::new();
                events.iter().try_for_each(|event| lines.push(event))?;
                lines.flush()
            }
            Format::Text => {
                output::line(table(events))?;
                if events.len() == self.limit as usize {
                    output::note("there may be more: --limit and --from-version");
                }
                Ok(())
            }
        }
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
