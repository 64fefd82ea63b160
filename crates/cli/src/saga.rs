//! `spina saga`: look at sagas, begin them, steer them, check their definitions.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;
use serde_json::{Value, json};

use crate::client::{Client, Service, segment};
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};
use crate::publish::fields;
use crate::reach::Reach;
use crate::table::{Table, cell};
use crate::topology::desired;

/// Sagas asked for at once by `check`.
const PAGE: u32 = 1_000;
/// States in which a saga still needs its definition.
const ALIVE: [&str; 3] = ["running", "undoing", "stuck"];

/// Look at sagas and steer them
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(List),
    /// Show one saga: its steps and where each of them is
    Show {
        /// The saga, such as saga-rebook-17
        id: String,
    },
    Start(Start),
    /// Try at once what waits, or what the saga is stuck on
    Retry(Steer),
    /// Take back what was done
    Compensate(Steer),
    /// The same as compensate
    Cancel(Steer),
    /// Go on as if a step were done, or undone
    Skip(Skip),
    /// End a saga: a person has done what was to be done
    Resolve(Steer),
    Check(Check),
}

/// List sagas
#[derive(Debug, clap::Args)]
struct List {
    /// Only those: running, undoing, completed, compensated, stuck, resolved
    #[arg(long)]
    state: Option<String>,
    /// Only those of this definition
    #[arg(long)]
    definition: Option<String>,
    /// Only those behind this id
    #[arg(long, value_name = "ID")]
    after: Option<String>,
    /// Most sagas
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
}

/// Begin a saga by hand; with a key that was used it is the same saga, and nothing happens
#[derive(Debug, clap::Args)]
struct Start {
    /// Its definition, such as rebook
    definition: String,
    /// What it is about
    key: String,
    /// Its input: JSON, @FILE, or - for standard input
    #[arg(default_value = "{}")]
    input: String,
}

/// Who steers, and why: both go into the saga's log
#[derive(Debug, clap::Args)]
struct Steer {
    /// The saga, such as saga-rebook-17
    id: String,
    /// Why
    #[arg(long)]
    reason: String,
    /// Who
    #[arg(long, env = "USER", default_value = "spina")]
    by: String,
}

#[derive(Debug, clap::Args)]
struct Skip {
    /// The step
    #[arg(long)]
    step: String,
    #[command(flatten)]
    steer: Steer,
}

/// Check the definitions, and that every running saga still has its version
#[derive(Debug, clap::Args)]
struct Check {
    /// Folder of the contexts' topology files
    #[arg(long, default_value = "topology", value_name = "DIR")]
    topology_dir: PathBuf,
    /// Folder of the contexts' Avro schemas
    #[arg(long, default_value = "schemas", value_name = "DIR")]
    schemas_dir: PathBuf,
    /// Look at the files alone
    #[arg(long)]
    offline: bool,
}

impl Args {
    /// Asks and prints.
    pub async fn run(self, format: Format) -> Result<()> {
        let reach = self.reach;
        let client = || reach.client();
        match self.verb {
            Verb::List(list) => list.run(&client()?, format).await,
            Verb::Show { id } => show(&client()?, &id, format).await,
            Verb::Start(start) => start.run(&client()?, format).await,
            Verb::Retry(steer) => steer.run(&client()?, "retry", None, format).await,
            Verb::Compensate(steer) => steer.run(&client()?, "compensate", None, format).await,
            Verb::Cancel(steer) => steer.run(&client()?, "cancel", None, format).await,
            Verb::Resolve(steer) => steer.run(&client()?, "resolve", None, format).await,
            Verb::Skip(skip) => skip.steer.run(&client()?, "skip", Some(skip.step), format).await,
            Verb::Check(check) => {
                let client = if check.offline { None } else { Some(client()?) };
                check.run(client.as_ref(), format).await
            }
        }
    }
}

impl List {
    async fn run(self, client: &Client, format: Format) -> Result<()> {
        let mut query = vec![("limit", self.limit.to_string())];
        let wanted = [("state", self.state), ("definition", self.definition), ("after", self.after)];
        query.extend(wanted.into_iter().filter_map(|(name, value)| Some((name, value?))));
        let page = client.get(Service::SagaOrchestrator, "/v1/sagas", &query).await?;
        if format != Format::Text {
            return output::json(&page);
        }
        let mut table = Table::new(["saga", "version", "state", "changed", "cause"]);
        for saga in page["sagas"].as_array().into_iter().flatten() {
            let cells = ["id", "version", "state", "changed_at"].map(|name| cell(&saga[name]));
            let [id, version, state, changed] = cells;
            table.row([id, version, state, changed, cell(&saga["details"]["cause"])]);
        }
        output::line(table)?;
        if let Some(after) = page["after"].as_str() {
            output::note(format!("there may be more: --after {after}"));
        }
        Ok(())
    }
}

async fn show(client: &Client, id: &str, format: Format) -> Result<()> {
    let saga = client.get(Service::SagaOrchestrator, &format!("/v1/sagas/{}", segment(id)), &[]).await?;
    if format != Format::Text {
        return output::json(&saga);
    }
    let details = &saga["details"];
    let mut lines = format!("{id}: {} (version {})\n", cell(&saga["state"]), saga["version"]);
    if let Some(cause) = details["cause"].as_str() {
        lines.push_str(&format!("because {cause}\n"));
    }
    output::line(lines.trim_end())?;
    let mut table = Table::new(["step", "is", "round", "failures", "looked at again"]);
    for (name, step) in details["steps"].as_object().into_iter().flatten() {
        let [phase, round, failures, due] = ["phase", "round", "failures", "due"].map(|field| cell(&step[field]));
        table.row([name.clone(), phase, round, failures, due]);
    }
    output::line(table)?;
    if saga["state"] == "stuck" {
        output::note("spina saga retry, skip or resolve takes it on");
    }
    Ok(())
}

impl Start {
    async fn run(self, client: &Client, format: Format) -> Result<()> {
        let body = json!({ "key": self.key, "input": fields(&self.input)? });
        let path = format!("/v1/sagas/{}", segment(&self.definition));
        told(&client.post(Service::SagaOrchestrator, &path, &body).await?, "begins", format)
    }
}

impl Steer {
    async fn run(self, client: &Client, verb: &str, step: Option<String>, format: Format) -> Result<()> {
        let body = json!({ "by": self.by, "reason": self.reason, "step": step });
        let path = format!("/v1/sagas/{}/{verb}", segment(&self.id));
        told(&client.post(Service::SagaOrchestrator, &path, &body).await?, &format!("is told: {verb}"), format)
    }
}

fn told(answer: &Value, what: &str, format: Format) -> Result<()> {
    match format {
        Format::Text => output::line(format!("{} {what}", cell(&answer["id"]))),
        Format::Json | Format::Ndjson => output::json(answer),
    }
}

impl Check {
    async fn run(self, client: Option<&Client>, format: Format) -> Result<()> {
        let files = desired::read(&self.topology_dir, &self.schemas_dir);
        if !files.problems.is_empty() {
            let problems: String = files.problems.iter().map(|problem| format!("\n  {problem}")).collect();
            let message = format!("the definitions cannot be used:{problems}");
            return Err(Failure::new(Exit::Refused, "validation.topology", message).into());
        }
        let sagas: BTreeSet<(String, u64)> = files.desired.sagas.iter().cloned().collect();
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
