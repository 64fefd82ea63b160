//! `spina audit model`: is a read model what the log says?

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use reqwest::Method;
use serde_json::Value;
use spina_core::ContextName;

use crate::client::{Service, segment};
use crate::failure::Exit;
use crate::output::{self, Format};
use crate::reach::{InContext, Reach};
use crate::table::Table;

/// Longest audit: it reads the log twice.
const LONGEST: Duration = Duration::from_secs(3_600);

/// Hold a read model against the log
///
/// The projector chooses rows at random, folds them anew from the log up to the model's checkpoint, without the events that are
/// parked, and compares. Exit code 1 if something does not fit, also if it was repaired.
#[derive(Debug, clap::Args)]
pub struct ModelArgs {
    /// Read model, such as carrier_punctuality or flights/carrier_punctuality
    name: String,
    #[command(flatten)]
    context: InContext,
    /// So many rows chosen from the log, and as many from the table
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    keys: u32,
    /// The same seed chooses the same rows of the same log
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Replace the rows that are not what the log says, while the model goes on
    #[arg(long)]
    repair: bool,
    #[command(flatten)]
    reach: Reach,
}

impl ModelArgs {
    /// Asks and tells. The exit code says whether everything fits.
    pub async fn run(self, format: Format) -> Result<ExitCode> {
        let client = self.reach.client()?;
        let (context, name) = match self.name.split_once('/') {
            Some((context, name)) => (context.parse::<ContextName>()?, name),
            None => (self.context.of_model(&client, &self.name).await?, self.name.as_str()),
        };
        let path = format!("/v1/projections/{context}/{}/audit", segment(name));
        let query =
            [("keys", self.keys.to_string()), ("seed", self.seed.to_string()), ("repair", self.repair.to_string())];
        let request = client.request(Service::Projector, Method::POST, &path).query(&query);
        let report = client.document_within(Service::Projector, request, LONGEST).await?;
        print(&format!("{context}/{name}"), &report, format)?;
        let drifted = report["drift"].as_array().is_some_and(|drift| !drift.is_empty());
        Ok(if drifted { ExitCode::from(Exit::Failed as u8) } else { ExitCode::SUCCESS })
    }
}

fn print(name: &str, report: &Value, format: Format) -> Result<()> {
    if format != Format::Text {
        return output::json(report);
    }
    let drift = report["drift"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !drift.is_empty() {
        let mut table = Table::new(["as the table has it", "as the log makes it"]);
        for row in drift {
            table.row([row["table"].to_string(), row["log"].to_string()]);
        }
        output::line(&table)?;
    }
    let verdict = match drift.len() {
        0 => "everything fits".to_owned(),
        rows => format!("{rows} rows drifted, {} repaired", report["repaired"]),
    };
    output::line(format!("{name}: {verdict}; {} rows compared", report["rows"]))?;
    if !drift.is_empty() && report["repaired"] == 0 {
        output::note("help: --repair replaces these rows by what the log says");
    }
    Ok(())
}
