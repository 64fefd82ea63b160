//! `spina saga check`: the definitions, and whether running sagas still have theirs.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Result;
use serde_json::{Value, json};
use spina_core::saga::Plan;

use crate::client::{Client, Service};
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};
use crate::table::Table;
use crate::topology::desired;

/// Sagas asked for at once by `check`.
const PAGE: u32 = 1_000;
/// States in which a saga still needs its definition.
const ALIVE: [&str; 3] = ["running", "undoing", "stuck"];

/// Where the definitions are.
#[derive(Debug, clap::Args)]
pub struct Definitions {
    /// Folder of the contexts' topology files
    #[arg(long, env = "SPINA_TOPOLOGY_DIR", default_value = "topology", value_name = "DIR")]
    topology_dir: PathBuf,
    /// Folder of the contexts' Avro schemas
    #[arg(long, env = "SPINA_SCHEMAS_DIR", default_value = "schemas", value_name = "DIR")]
    schemas_dir: PathBuf,
}

impl Definitions {
    /// Every version of every saga.
    pub fn read(&self) -> Result<Vec<Plan>, Failure> {
        let files = desired::read(&self.topology_dir, &self.schemas_dir);
        if !files.problems.is_empty() {
            let problems: String = files.problems.iter().map(|problem| format!("\n  {problem}")).collect();
            let message = format!("the definitions cannot be used:{problems}");
            return Err(Failure::new(Exit::Refused, "validation.topology", message));
        }
        Ok(files.desired.sagas)
    }
}

/// Check the definitions, and that every running saga still has its version
#[derive(Debug, clap::Args)]
pub struct Check {
    #[command(flatten)]
    definitions: Definitions,
    /// Look at the files alone
    #[arg(long)]
    pub offline: bool,
}

impl Check {
    /// Reads, compares and prints.
    pub async fn run(self, client: Option<&Client>, format: Format) -> Result<()> {
        let plans = self.definitions.read()?;
        let sagas: BTreeSet<(String, u64)> =
            plans.iter().map(|plan| (plan.name.clone(), u64::from(plan.version))).collect();
        let mut missing = BTreeSet::new();
        for state in ALIVE.iter().filter(|_| client.is_some()) {
            let used = versions(client, state).await?;
            missing.extend(used.difference(&sagas).cloned().collect::<Vec<_>>());
        }
        if !missing.is_empty() {
            let names: Vec<String> =
                missing.iter().map(|(name, version)| format!("{name} version {version}")).collect();
            let message = format!("sagas run on versions that are not there any more: {}", names.join(", "));
            let help = "keep the file of each version until its last saga has ended";
            return Err(Failure::new(Exit::Refused, "state.conflict", message).help(help).into());
        }
        match format {
            Format::Text => {
                let mut table = Table::new(["saga", "version"]);
                sagas.iter().for_each(|(name, version)| table.row([name.clone(), version.to_string()]));
                output::line(table)
            }
            Format::Json | Format::Ndjson => {
                let sagas: Vec<Value> =
                    sagas.iter().map(|(name, version)| json!({ "saga": name, "version": version })).collect();
                output::json(&json!({ "sagas": sagas }))
            }
        }
    }
}

/// The versions on which sagas of a state run.
async fn versions(client: Option<&Client>, state: &str) -> Result<BTreeSet<(String, u64)>> {
    let Some(client) = client else { return Ok(BTreeSet::new()) };
    let (mut found, mut after) = (BTreeSet::new(), None::<String>);
    loop {
        let mut query = vec![("state", state.to_owned()), ("limit", PAGE.to_string())];
        query.extend(after.take().map(|after| ("after", after)));
        let page = client.get(Service::SagaOrchestrator, "/v1/sagas", &query).await?;
        for saga in page["sagas"].as_array().into_iter().flatten() {
            found.extend(saga["definition"].as_str().map(str::to_owned).zip(saga["version"].as_u64()));
        }
        after = page["after"].as_str().map(str::to_owned);
        if after.is_none() {
            return Ok(found);
        }
    }
}
