//! `spina rules`: the correlation rules in force, and drafts of them tried on history.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};
use spina_core::{ContextName, Timestamp};

use crate::client::{Client, Service};
use crate::incident;
use crate::output::{self, Format};
use crate::reach::{Reach, seconds};
use crate::table::{Table, cell};

/// See the correlation rules, and try drafts of them on history
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the rules in force and what each of them cost
    List,
    /// Run rules over the history of a context; nobody is told
    ///
    /// Exits with 0 if the result is within the bounds asked for, with 1 if it is not.
    Backtest(Backtest),
}

#[derive(Debug, clap::Args)]
struct Backtest {
    /// Context whose events are looked at
    context: ContextName,
    /// A correlation.yaml to try [default: the one that the service reads]
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Only signals from this instant on
    #[arg(long)]
    from: Option<Timestamp>,
    /// Only signals before this instant
    #[arg(long)]
    to: Option<Timestamp>,
    /// Fail if there are more incidents
    #[arg(long, value_name = "N")]
    at_most: Option<u64>,
    /// Fail if there are fewer incidents
    #[arg(long, value_name = "N")]
    at_least: Option<u64>,
    /// Longest time for all of it
    #[arg(long, default_value = "600", value_name = "SECONDS", value_parser = seconds)]
    give_up: Duration,
}

impl Args {
    /// Asks and prints.
    pub async fn run(self, format: Format) -> Result<ExitCode> {
        let client = self.reach.client()?;
        match self.verb {
            Verb::List => list(&client, format).await.map(|()| ExitCode::SUCCESS),
            Verb::Backtest(backtest) => backtest.run(&client, format).await,
        }
    }
}

impl Backtest {
    async fn run(self, client: &Client, format: Format) -> Result<ExitCode> {
        let read = |file: &PathBuf| std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()));
        let mut body = json!({ "context": self.context });
        if let Some(rules) = self.rules.as_ref().map(read).transpose()? {
            body["rules"] = Value::from(rules);
        }
        for (name, time) in [("from", self.from), ("to", self.to)] {
            if let Some(time) = time {
                body[name] = Value::from(time.to_string());
            }
        }
        let request = client.request(Service::AlertCorrelator, Method::POST, "/v1/rules/backtest").json(&body);
        let answer = client.document_within(Service::AlertCorrelator, request, self.give_up).await?;
        match format {
            Format::Json | Format::Ndjson => output::json(&answer)?,
            Format::Text => output::line(told(&answer))?,
        }
        Ok(if self.is_within(answer["incidents"].as_u64().unwrap_or(0)) {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    fn is_within(&self, incidents: u64) -> bool {
        self.at_most.is_none_or(|most| incidents <= most) && self.at_least.is_none_or(|least| incidents >= least)
    }
}

async fn list(client: &Client, format: Format) -> Result<()> {
    let answer = client.get(Service::AlertCorrelator, "/v1/rules", &[]).await?;
    let rules = answer["rules"].as_array().map(Vec::as_slice).unwrap_or_default();
    match format {
        Format::Json => output::json(&answer),
        Format::Ndjson => rules.iter().try_for_each(output::json),
        Format::Text => {
            let mut table = Table::new(["rule", "severity", "signals", "incidents", "shed", "failed"]);
            for rule in rules {
                let cost = &rule["cost"];
                let counts = ["matched", "opened", "shed", "failed"].map(|field| cell(&cost[field]));
                let [matched, opened, shed, failed] = counts;
                table.row([cell(&rule["rule"]), cell(&rule["severity"]), matched, opened, shed, failed]);
            }
            output::line(table)
        }
    }
}

/// The incidents as a table, and what they come from.
fn told(answer: &Value) -> String {
    let found = answer["found"].as_array().map(Vec::as_slice).unwrap_or_default();
    let noise = 100.0 * answer["noise_removed"].as_f64().unwrap_or(0.0);
    format!(
        "{}\n{} incidents of {} signals in {} events: {noise:.1} % of the noise removed",
        incident::table(found),
        answer["incidents"],
        answer["signals"],
        answer["events"],
    )
}
