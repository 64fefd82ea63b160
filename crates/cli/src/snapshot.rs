//! `spina snapshot`: takes a snapshot of a stream now.

use anyhow::Result;
use serde_json::json;
use spina_core::StreamId;

use crate::client::{Service, segment};
use crate::output::{self, Format};
use crate::reach::{InContext, Reach};

/// Take a snapshot of a stream now, so that its state is folded from there
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Stream, such as flight-UA1545-20130101-EWR
    stream: StreamId,
    #[command(flatten)]
    context: InContext,
    #[command(flatten)]
    reach: Reach,
}

impl Args {
    /// Asks for it and tells which version it is of.
    pub async fn run(self, format: Format) -> Result<()> {
        let client = self.reach.client()?;
        let context = self.context.of_stream(&client, &self.stream).await?;
        let path = format!("/v1/{context}/streams/{}/snapshot", segment(self.stream.as_str()));
        let answer = client.post(Service::EventStore, &path, &json!({})).await?;
        match format {
            Format::Text => output::line(format!("{} at version {}", self.stream, answer["version"])),
            Format::Json | Format::Ndjson => output::json(&answer),
        }
    }
}
