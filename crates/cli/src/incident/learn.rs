//! `spina incident learn`: the history's proposals for rules.

use std::time::Duration;

use anyhow::Result;
use reqwest::Method;
use serde_json::{Value, json};
use spina_core::{ContextName, Timestamp};

use crate::client::{Client, Service};
use crate::output::{self, Format};
use crate::reach::seconds;

/// What is to be learned from; printed as the text of a correlation.yaml, or with --output json as figures and examples
#[derive(Debug, clap::Args)]
pub struct Learn {
    /// Contexts whose signals are looked at; the draft is for the first [default: monitoring]
    contexts: Vec<ContextName>,
    /// Only signals from this instant on
    #[arg(long)]
    from: Option<Timestamp>,
    /// Only signals before this instant
    #[arg(long)]
    to: Option<Timestamp>,
    /// Signals that lie at most so far apart come together
    #[arg(long, default_value = "5m", value_name = "SPAN")]
    frame: String,
    /// How often at least
    #[arg(long, default_value_t = 5, value_name = "N")]
    support: u32,
    /// In which share of all cases at least
    #[arg(long, default_value_t = 0.8, value_name = "SHARE")]
    confidence: f64,
    /// How many times as often as by chance at least
    #[arg(long, default_value_t = 3.0, value_name = "TIMES")]
    lift: f64,
    /// Longest time for all of it
    #[arg(long, default_value = "600", value_name = "SECONDS", value_parser = seconds)]
    give_up: Duration,
}

impl Learn {
    /// Asks and prints.
    pub async fn run(self, client: &Client, format: Format) -> Result<()> {
        let mut body = json!({
            "contexts": self.contexts, "frame": self.frame, "support": self.support, "confidence": self.confidence,
            "lift": self.lift,
        });
        for (name, time) in [("from", self.from), ("to", self.to)] {
            if let Some(time) = time {
                body[name] = Value::from(time.to_string());
            }
        }
        let request = client.request(Service::AlertCorrelator, Method::POST, "/v1/rules/learn").json(&body);
        let answer = client.document_within(Service::AlertCorrelator, request, self.give_up).await?;
        match format {
            Format::Json | Format::Ndjson => output::json(&answer),
            Format::Text => output::line(answer["draft"].as_str().unwrap_or_default().trim_end()),
        }
    }
}
