//! `spina command`: asks a stream to decide.

use anyhow::Result;
use serde_json::{Value, json};
use spina_core::StreamId;

use crate::output::{self, Format};
use crate::publish::fields;
use crate::sending::Sending;

/// Send a command to a stream, which accepts or rejects it
///
/// Tries again by itself, under the same idempotency key, when a server is away or the outcome unknown.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Stream, such as account-42
    stream: StreamId,
    /// Type of the command, such as PayIn
    #[arg(value_name = "TYPE")]
    command_type: String,
    /// The command's fields: JSON, @FILE, or - for standard input
    #[arg(default_value = "{}")]
    data: String,
    #[command(flatten)]
    sending: Sending,
}

impl Args {
    /// Sends it and tells what it led to.
    pub async fn run(self, format: Format) -> Result<()> {
        let body = json!({
            "stream": self.stream,
            "type": self.command_type,
            "data": fields(&self.data)?,
            "expected_version": self.sending.expected_version,
            "time": self.sending.time.map(|time| time.to_string()),
            "correlation_id": self.sending.correlation_id,
        });
        let client = self.sending.reach.client()?;
        let context = self.sending.context.of_stream(&client, &self.stream).await?;
        let path = format!("/v1/{context}/commands");
        let answer = self.sending.send(&client, &path, &self.sending.key(), &body).await?;
        match format {
            Format::Json | Format::Ndjson => output::json(&answer),
            Format::Text => output::line(told(&answer)),
        }
    }
}

/// One line an event, and where the stream is then.
fn told(answer: &Value) -> String {
    let events = answer["events"].as_array().map(Vec::as_slice).unwrap_or_default();
    let line = |event: &Value| {
        let name = event["type"].as_str().and_then(|name| name.rsplit('.').next()).unwrap_or("-");
        format!("{:>6}  {name}  {}\n", event["version"].to_string(), event["data"])
    };
    let lines: String = events.iter().map(line).collect();
    let stream = answer["stream"].as_str().unwrap_or("-");
    let nothing = if events.is_empty() { ", nothing had to be done" } else { "" };
    format!("{lines}{stream} is at version {}{nothing}", answer["version"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_command_led_to_is_told_in_lines() {
        let event = json!({"version": 2, "type": "bank.account.PaidIn", "data": {"cents": 5}});
        let answer = json!({"stream": "account-7", "version": 2, "events": [event]});
        assert_eq!(told(&answer), "     2  PaidIn  {\"cents\":5}\naccount-7 is at version 2");
        let nothing = json!({"stream": "account-7", "version": 2, "events": []});
        assert_eq!(told(&nothing), "account-7 is at version 2, nothing had to be done");
    }
}
