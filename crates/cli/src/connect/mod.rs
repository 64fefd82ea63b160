//! `spina connect`: the connectors of a Kafka Connect worker, seen and steered.
//!
//! What they are is declared in `topology/<context>/connectors.yaml` and made so by `spina topology apply`.

pub mod api;

use anyhow::Result;
use clap::Subcommand;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{self, Format};
use crate::reach::Reach;
use crate::table::{Table, cell};
use api::{Connect, Connector, Order};

/// See and steer the connectors of Kafka Connect
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show every connector: kind, state, tasks
    List,
    /// Show a connector: settings, tasks, and why they failed
    Status {
        /// Connector, such as flights.outbox
        name: String,
    },
    /// Start the failed parts of a connector anew
    Restart {
        /// Connector, such as flights.outbox
        name: String,
        /// Parts that run as well
        #[arg(long)]
        all: bool,
    },
    /// Let a connector wait; `state: paused` in its definition does so for good
    Pause {
        /// Connector, such as flights.outbox
        name: String,
    },
    /// Let a connector go on
    Resume {
        /// Connector, such as flights.outbox
        name: String,
    },
    /// Show how far a connector has come
    Offsets {
        /// Connector, such as flights.outbox
        name: String,
    },
    /// Remove a connector that is declared no more; its offsets stay, for one of the same name
    Delete {
        /// Connector, such as flights.outbox
        name: String,
    },
}

impl Args {
    /// Asks, tells, prints.
    pub async fn run(self, format: Format) -> Result<()> {
        let connect = Connect::new(&self.reach.connect()?, self.reach.timeout())?;
        match &self.verb {
            Verb::List => list(&connect, format).await,
            Verb::Status { name } => status(&connect, name, format).await,
            Verb::Offsets { name } => offsets(&connect, name, format).await,
            Verb::Pause { name } => order(&connect, name, Order::Pause, "is told to pause", format).await,
            Verb::Resume { name } => order(&connect, name, Order::Resume, "is told to go on", format).await,
            Verb::Restart { name, all } => {
                let which = if *all { Order::Restart } else { Order::RestartFailed };
                order(&connect, name, which, "is told to start anew", format).await
            }
            Verb::Delete { name } => {
                connect.delete(name).await?;
                say(name, "is removed", format)
            }
        }
    }
}

async fn order(connect: &Connect, name: &str, order: Order, done: &str, format: Format) -> Result<()> {
    connect.order(name, order).await?;
    say(name, done, format)
}

fn say(name: &str, done: &str, format: Format) -> Result<()> {
    match format {
        Format::Text => output::line(format!("{name} {done}")),
        Format::Json | Format::Ndjson => output::json(&json!({ "connector": name, "done": done })),
    }
}

async fn list(connect: &Connect, format: Format) -> Result<()> {
    let connectors = connect.connectors().await?;
    let rows: Vec<Value> = connectors.iter().map(|(name, connector)| document(name, connector)).collect();
    match format {
        Format::Json => output::json(&json!({ "connectors": rows })),
        Format::Ndjson => rows.iter().try_for_each(output::json),
        Format::Text if rows.is_empty() => output::line("There are no connectors."),
        Format::Text => {
            let mut table = Table::new(["connector", "kind", "state", "tasks", "failed"]);
            for (name, connector) in &connectors {
                let tasks = connector.tasks.len().to_string();
                let failed = connector.failures().first().cloned().unwrap_or_default();
                table.row([name, &connector.kind, &connector.state, &tasks, &failed]);
            }
            output::line(table)
        }
    }
}

async fn status(connect: &Connect, name: &str, format: Format) -> Result<()> {
    let mut connectors = connect.connectors().await?;
    let connector = connectors.remove(name).ok_or_else(|| {
        Failure::not_found(format!("there is no connector {name}")).help("`spina connect list` shows all")
    })?;
    if format != Format::Text {
        return output::json(&document(name, &connector));
    }
    output::line(format!("{name}: {} {}", connector.kind, connector.state))?;
    let mut tasks = Table::new(["task", "state", "worker"]);
    connector.tasks.iter().for_each(|task| tasks.row([&task.id.to_string(), &task.state, &task.worker]));
    output::line(tasks)?;
    for failure in connector.failures() {
        output::line(format!("failed: {failure}"))?;
    }
    if !connector.failures().is_empty() {
        output::line(format!("`spina connect restart {name}` starts anew what failed"))?;
    }
    connector.config.iter().try_for_each(|(key, value)| output::line(format!("  {key} = {value}")))
}

async fn offsets(connect: &Connect, name: &str, format: Format) -> Result<()> {
    let offsets = connect.offsets(name).await?;
    match format {
        Format::Json => output::json(&json!({ "connector": name, "offsets": offsets })),
        Format::Ndjson => offsets.iter().try_for_each(output::json),
        Format::Text if offsets.is_empty() => output::line(format!("{name} has not stored any offset yet")),
        Format::Text => {
            let mut table = Table::new(["partition", "offset"]);
            offsets.iter().for_each(|offset| table.row([cell(&offset["partition"]), cell(&offset["offset"])]));
            output::line(table)
        }
    }
}

fn document(name: &str, connector: &Connector) -> Value {
    let task =
        |task: &api::Task| json!({ "id": task.id, "state": task.state, "worker": task.worker, "cause": task.cause });
    json!({
        "name": name, "kind": connector.kind, "state": connector.state, "cause": connector.cause,
        "tasks": connector.tasks.iter().map(task).collect::<Vec<_>>(), "config": connector.config,
    })
}
