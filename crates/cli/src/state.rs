//! `spina state`: what a stream's events add up to, now or earlier.

use anyhow::Result;
use spina_core::{StreamId, Timestamp};

use crate::client::{Service, segment};
use crate::output::{self, Format};
use crate::reach::{InContext, Reach};
use crate::table::{Table, cell};

/// Show the state of a stream, now or at an earlier version or time
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Stream, such as flight-UA1545-20130101-EWR
    stream: StreamId,
    /// As of this version
    #[arg(long)]
    version: Option<u64>,
    /// As of this instant, such as 2013-01-01T12:00:00Z, by the events' own time
    #[arg(long, conflicts_with = "version", value_name = "TIME")]
    at: Option<Timestamp>,
    #[command(flatten)]
    context: InContext,
    #[command(flatten)]
    reach: Reach,
}

impl Args {
    /// Asks and prints.
    pub async fn run(self, format: Format) -> Result<()> {
        let client = self.reach.client()?;
        let context = self.context.of_stream(&client, &self.stream).await?;
        let path = format!("/v1/{context}/streams/{}", segment(self.stream.as_str()));
        let mut query = Vec::new();
        query.extend(self.version.map(|version| ("version", version.to_string())));
        query.extend(self.at.map(|at| ("at", at.to_string())));
        let answer = client.get(Service::EventStore, &path, &query).await?;
        if format != Format::Text {
            return output::json(&answer);
        }
        output::line(format!("{} at version {}, {}", self.stream, answer["version"], cell(&answer["time"])))?;
        let mut table = Table::new(["field", "value"]);
        for (field, value) in answer["state"].as_object().into_iter().flatten() {
            table.row([field.clone(), cell(value)]);
        }
        output::line(table)
    }
}
