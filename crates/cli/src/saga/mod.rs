//! `spina saga`: look at sagas, begin them, steer them, check their definitions, replay them.

mod breaker;
mod check;
mod replay;
mod steer;

use anyhow::Result;
use clap::Subcommand;
use serde_json::json;

use crate::client::{Client, Service, segment};
use crate::output::{self, Format};
use crate::publish::fields;
use crate::reach::Reach;
use crate::table::{Table, cell};
use steer::{Skip, Steer, told};

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
    /// Show what compensation would do now; it does nothing
    Preview {
        /// The saga, such as saga-rebook-17
        id: String,
    },
    /// List the batches: what was wanted of many sagas at a time, by whom, and why
    Batches {
        /// Most batches, the latest first
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
    #[command(subcommand)]
    Breaker(breaker::Breaker),
    Check(check::Check),
    Replay(replay::Replay),
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
            Verb::Preview { id } => steer::preview(&client()?, &id, format).await,
            Verb::Batches { limit } => steer::batches(&client()?, limit, format).await,
            Verb::Breaker(breaker) => breaker.run(&client()?, format).await,
            Verb::Check(check) => {
                let client = if check.offline { None } else { Some(client()?) };
                check.run(client.as_ref(), format).await
            }
            Verb::Replay(replay) => replay.run(&reach, format).await,
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
