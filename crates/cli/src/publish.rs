//! `spina publish`: appends one event.

use std::io::Read;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use spina_core::StreamId;

use crate::client::segment;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};
use crate::sending::Sending;

mod forget;

/// Most that is read as an event's data, in bytes; the event-store's own limit is far lower.
const DATA_BYTES_MAX: u64 = 16 << 20;

/// Append an event to a stream
///
/// Tries again by itself, under the same idempotency key, when a server is away or the outcome unknown.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Stream, such as flight-UA1545-20130101-EWR
    stream: StreamId,
    /// Type of the event, such as FlightDeparted
    #[arg(value_name = "TYPE")]
    event_type: String,
    /// The event's fields: JSON, @FILE, or - for standard input
    #[arg(long, default_value = "{}")]
    data: String,
    /// The event or command that led to it
    #[arg(long, value_name = "ID")]
    causation_id: Option<String>,
    /// Produce to the commands topic and do not wait for the verdict
    #[arg(long, conflicts_with = "ack")]
    fire_and_forget: bool,
    #[command(flatten)]
    sending: Sending,
}

impl Args {
    /// Publishes and tells the version.
    pub async fn run(self, format: Format) -> Result<()> {
        let data = fields(&self.data)?;
        let client = self.sending.reach.client()?;
        let context = self.sending.context.of_stream(&client, &self.stream).await?;
        let key = self.sending.key();
        if self.fire_and_forget {
            return forget::publish(&self, &context, &key, &data, format).await;
        }
        let path = format!("/v1/{context}/streams/{}/events", segment(self.stream.as_str()));
        let body = self.body(data);
        let answer = self.sending.send(&client, &path, &key, &body).await.map_err(|failure| self.explain(failure))?;
        match format {
            Format::Json | Format::Ndjson => output::json(&answer),
            Format::Text => output::line(format!(
                "{} is at version {} (token {})",
                self.stream,
                answer["version"],
                answer["token"].as_str().unwrap_or("-")
            )),
        }
    }

    fn body(&self, data: Map<String, Value>) -> Value {
        let mut event = json!({ "type": self.event_type, "data": data });
        let optional = [
            ("time", self.sending.time.map(|time| time.to_string())),
            ("correlation_id", self.sending.correlation_id.clone()),
            ("causation_id", self.causation_id.clone()),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                event[name] = Value::from(value);
            }
        }
        json!({ "expected_version": self.sending.expected_version, "events": [event] })
    }

    fn explain(&self, mut failure: Failure) -> Failure {
        if failure.code == "state.conflict" {
            failure.help = Some(format!("spina read {} shows what happened meanwhile", self.stream));
        }
        failure
    }
}

/// The event's fields, from where the flag says.
pub fn fields(source: &str) -> Result<Map<String, Value>> {
    let text = match source.strip_prefix('@') {
        Some(path) => {
            let file = std::fs::File::open(path).with_context(|| format!("open {path}"))?;
            limited(file).with_context(|| format!("read {path}"))?
        }
        None if source == "-" => limited(std::io::stdin().lock()).context("read standard input")?,
        None => source.to_owned(),
    };
    serde_json::from_str(&text).map_err(|error| {
        let message = format!("the data is not a JSON object: {error}");
        Failure::new(Exit::Refused, "validation.json", message)
            .help("--data '{\"field\": 1}', --data @file or --data -")
            .into()
    })
}

fn limited(from: impl Read) -> Result<String> {
    let mut text = String::new();
    from.take(DATA_BYTES_MAX + 1).read_to_string(&mut text)?;
    anyhow::ensure!(text.len() as u64 <= DATA_BYTES_MAX, "more than {DATA_BYTES_MAX} bytes");
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn data_is_given_or_read_from_a_file() {
        assert_eq!(fields(r#"{"a": 1}"#).unwrap()["a"], 1);
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(br#"{"a": 2}"#).unwrap();
        assert_eq!(fields(&format!("@{}", file.path().display())).unwrap()["a"], 2);
        for bad in ["", "[1]", "{", "@/nowhere"] {
            assert!(fields(bad).is_err(), "{bad:?}");
        }
    }
}
