//! `spina tail`: events as they are appended.

mod sse;

use std::time::Duration;

use anyhow::Result;
use reqwest::Method;
use serde_json::Value;
use spina_core::{ContextName, StreamId};

use crate::client::retry::Pauses;
use crate::client::{Client, Service, root_cause};
use crate::event::one_line;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format, JsonLines};
use crate::reach::{InContext, Reach, seconds};

/// A connection on which nothing came for so long is a dead one: the event-store sends a comment every few seconds.
const SILENT_AFTER: Duration = Duration::from_secs(60);

/// Follow the events of a context as they are appended
///
/// Reconnects by itself and resumes after the last event seen, without gap or duplicate.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this type of event; repeat for more
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    /// Only streams of this category, such as flight
    #[arg(long)]
    category: Option<String>,
    /// Only this stream
    #[arg(long)]
    stream: Option<StreamId>,
    /// earliest, latest, or the token of the last event not wanted
    #[arg(long, default_value = "latest", value_name = "TOKEN")]
    from: String,
    /// Stop after so many events
    #[arg(long, value_name = "EVENTS")]
    limit: Option<u64>,
    /// Give up when the event-store cannot be reached for this long
    #[arg(long, default_value = "300", value_name = "SECONDS", value_parser = seconds)]
    give_up: Duration,
    #[command(flatten)]
    context: InContext,
    #[command(flatten)]
    reach: Reach,
}

impl Args {
    /// Prints events until told to stop.
    pub async fn run(self, format: Format) -> Result<()> {
        let client = self.reach.client()?;
        let context = match &self.stream {
            Some(stream) => self.context.of_stream(&client, stream).await?,
            None => self.context.resolve(&client).await?,
        };
        let mut seen = Seen { format, left: self.limit, last_id: None };
        let mut pauses = Pauses::new();
        let mut alone_since = None;
        loop {
            let before = seen.last_id.clone();
            let failure = match self.connection(&client, &context, &mut seen).await? {
                Ended::Enough => return Ok(()),
                Ended::Lost(failure) => failure,
            };
            if before != seen.last_id {
                pauses = Pauses::new();
                alone_since = None;
            }
            let since = alone_since.get_or_insert_with(tokio::time::Instant::now);
            if !failure.is_passing() || since.elapsed() >= self.give_up {
                return Err(failure.into());
            }
            output::note(format!("{failure}; connecting again"));
            tokio::time::sleep(pauses.next(Some(&failure))).await;
        }
    }

    async fn connection(&self, client: &Client, context: &ContextName, seen: &mut Seen) -> Result<Ended> {
        let mut request = client.request(Service::EventStore, Method::GET, &format!("/v1/{context}/events"));
        request = request.query(&self.query()).header("accept", "text/event-stream");
        if let Some(id) = &seen.last_id {
            request = request.header("Last-Event-ID", id);
        }
        let mut response = match client.accepted(Service::EventStore, request).await {
            Ok(response) => response,
            Err(failure) => return Ok(Ended::Lost(failure)),
        };
        let lost = |why: &str| {
            let message = format!("lost the event-store: {why}");
            Ok(Ended::Lost(Failure::new(Exit::Unavailable, "state.unavailable", message)))
        };
        let mut parser = sse::Parser::default();
        loop {
            let part = match tokio::time::timeout(SILENT_AFTER, response.chunk()).await {
                Err(_) => return lost("it went silent"),
                Ok(Err(error)) => return lost(&root_cause(&error)),
                Ok(Ok(None)) => return lost("it ended the stream"),
                Ok(Ok(Some(part))) => part,
            };
            for message in parser.feed(&part)? {
                if seen.show(message)? {
                    return Ok(Ended::Enough);
                }
            }
        }
    }

    fn query(&self) -> Vec<(&str, String)> {
        let mut query = vec![("from", self.from.clone())];
        if !self.types.is_empty() {
            query.push(("types", self.types.join(",")));
        }
        query.extend(self.category.as_ref().map(|category| ("category", category.clone())));
        query.extend(self.stream.as_ref().map(|stream| ("stream", stream.to_string())));
        query
    }
}

enum Ended {
    Enough,
    Lost(Failure),
}

struct Seen {
    format: Format,
    left: Option<u64>,
    last_id: Option<String>,
}

impl Seen {
    /// Prints an event; tells whether it was the last one wanted.
    fn show(&mut self, message: sse::Message) -> Result<bool> {
        if message.id.is_some() {
            self.last_id = message.id;
        }
        if self.left == Some(0) || message.data.is_empty() {
            return Ok(self.left == Some(0));
        }
        let event: Value = serde_json::from_str(&message.data)?;
        match self.format {
            Format::Text => output::line(one_line(&event))?,
            Format::Json | Format::Ndjson => {
                let mut lines = JsonLines::new();
                lines.push(&event)?;
                lines.flush()?;
            }
        }
        self.left = self.left.map(|left| left - 1);
        Ok(self.left == Some(0))
    }
}
