//! `spina rules`: the correlation rules in force, and drafts of them tried on history.

mod reference;

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
    /// Fail if one of the incidents in this file is not found
    ///
    /// A list in YAML: `- { rule: flights/storm, group: { airport: EWR }, from: 2013-02-08T00:00:00Z, to:
    /// 2013-02-10T00:00:00Z }`. Found is what has that rule (any, if it is left out) and those labels, and lasts at some time
    /// between those two.
    #[arg(long, value_name = "FILE")]
    reference: Option<PathBuf>,
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
        let known = self.reference.as_deref().map(reference::read).transpose()?.unwrap_or_default();
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
        let mut answer = client.document_within(Service::AlertCorrelator, request, self.give_up).await?;
        let missed = reference::missed(&known, &answer)?;
        if !known.is_empty() {
            answer["reference"] = json!({ "known": known.len(), "missed": missed });
        }
        match format {
            Format::Json | Format::Ndjson => output::json(&answer)?,
            Format::Text => {
                output::line(told(&answer))?;
                missed.iter().try_for_each(|one| output::line(format!("missed: {one}")))?;
            }
        }
        Ok(if missed.is_empty() && self.is_within(answer["incidents"].as_u64().unwrap_or(0)) {
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
                let [matched, opened, shed, failed] = counts(&rule["cost"]);
                table.row([cell(&rule["rule"]), cell(&rule["severity"]), matched, opened, shed, failed]);
            }
            output::line(table)
        }
    }
}

/// Signals that a rule took, incidents that it opened, signals for which it had no room, and those on which it failed.
fn counts(cost: &Value) -> [String; 4] {
    ["matched", "opened", "shed", "failed"].map(|field| cell(&cost[field]))
}

/// What each rule cost.
fn costs(rules: &Value) -> Table {
    let mut table = Table::new(["rule", "signals", "incidents", "shed", "failed"]);
    for (rule, cost) in rules.as_object().into_iter().flatten() {
        let [matched, opened, shed, failed] = counts(cost);
        table.row([rule.clone(), matched, opened, shed, failed]);
    }
    table
}

/// The incidents as a table, and what they come from.
fn told(answer: &Value) -> String {
    let found = answer["found"].as_array().map(Vec::as_slice).unwrap_or_default();
    let noise = 100.0 * answer["noise_removed"].as_f64().unwrap_or(0.0);
    let reference = answer["reference"]["known"].as_u64().map_or_else(String::new, |known| {
        let missed = answer["reference"]["missed"].as_array().map_or(0, Vec::len);
        format!("; {missed} of {known} that are known were missed")
    });
    let actions = match answer["actions"].as_u64() {
        Some(0) | None => String::new(),
        Some(count) => format!("; {count} commands would be asked"),
    };
    format!(
        "{}\n{}\n{} incidents of {} signals in {} events: {noise:.1} % of the noise removed{actions}{reference}",
        incident::table(found),
        costs(&answer["rules"]),
        answer["incidents"],
        answer["signals"],
        answer["events"],
    )
}
