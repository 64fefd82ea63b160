//! `spina projection`: what fills the read models.

use std::time::Duration;

use anyhow::Result;
use clap::Subcommand;
use serde_json::{Value, json};
use spina_core::ContextName;

use crate::client::{Client, Service, retry, segment};
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};
use crate::reach::{InContext, Reach, seconds};
use crate::table::{Table, cell};

/// How often the state of a rebuild is asked for.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// See and steer the projections
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    context: InContext,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show every projection: state, lag, last error
    List,
    /// Show one projection, and how far it is with each context that it reads
    Show {
        /// Projection, such as carrier_punctuality or flights/carrier_punctuality
        name: String,
    },
    /// Build a read model anew from the first event, beside the live one, and swap
    Rebuild {
        /// Projection, such as carrier_punctuality or flights/carrier_punctuality
        name: String,
        /// Come back at once instead of showing the progress
        #[arg(long)]
        no_wait: bool,
        /// Give up after this long without progress; the rebuild itself goes on
        #[arg(long, default_value = "300", value_name = "SECONDS", value_parser = seconds)]
        give_up: Duration,
    },
    /// Stop taking events in, or let a rebuild rest
    Pause {
        /// Projection, such as carrier_punctuality or flights/carrier_punctuality
        name: String,
        /// Only the rebuild; the live table goes on
        #[arg(long)]
        rebuild: bool,
    },
    /// Take events in again, or go on with a rebuild
    Resume {
        /// Projection, such as carrier_punctuality or flights/carrier_punctuality
        name: String,
        /// Only the rebuild
        #[arg(long)]
        rebuild: bool,
    },
    /// Give a rebuild up: the live table is as it was
    Cancel {
        /// Projection, such as carrier_punctuality or flights/carrier_punctuality
        name: String,
    },
    /// Show which rows the last rebuild added, removed or changed
    Diff {
        /// Projection, such as carrier_punctuality or flights/carrier_punctuality
        name: String,
    },
    /// Put the table back that the last rebuild took the place of; once more leads forward again
    RollBack {
        /// Projection, such as carrier_punctuality or flights/carrier_punctuality
        name: String,
    },
    /// Drop the table that is kept for a roll-back
    DropOld {
        /// Projection, such as carrier_punctuality or flights/carrier_punctuality
        name: String,
    },
}

impl Args {
    /// Asks, tells, prints.
    pub async fn run(self, format: Format) -> Result<()> {
        let client = self.reach.client()?;
        match &self.verb {
            Verb::List => print(&list(&client).await?, format),
            Verb::Show { name } => {
                let path = self.path(&client, name).await?;
                show(&client.get(Service::Projector, &path, &[]).await?, format)
            }
            Verb::Pause { name, rebuild: false } => self.change(&client, name, "pause", format).await,
            Verb::Resume { name, rebuild: false } => self.change(&client, name, "resume", format).await,
            Verb::Pause { name, rebuild: true } => self.change(&client, name, "rebuild/pause", format).await,
            Verb::Resume { name, rebuild: true } => self.change(&client, name, "rebuild/resume", format).await,
            Verb::Cancel { name } => self.change(&client, name, "rebuild/cancel", format).await,
            Verb::RollBack { name } => self.change(&client, name, "roll-back", format).await,
            Verb::DropOld { name } => self.change(&client, name, "drop-old", format).await,
            Verb::Diff { name } => {
                let path = format!("{}/comparison", self.path(&client, name).await?);
                diff(&client.get(Service::Projector, &path, &[]).await?, format)
            }
            Verb::Rebuild { name, no_wait, give_up } => {
                let path = self.path(&client, name).await?;
                let answer = client.post(Service::Projector, &format!("{path}/rebuild"), &json!({})).await?;
                if *no_wait {
                    return output::json(&answer);
                }
                let done = follow(&client, &path, *give_up).await?;
                match format {
                    Format::Json | Format::Ndjson => output::json(&done),
                    Format::Text => output::line(format!("{name} was rebuilt and has taken its place")),
                }
            }
        }
    }

    async fn change(&self, client: &Client, name: &str, verb: &str, format: Format) -> Result<()> {
        let path = self.path(client, name).await?;
        client.post(Service::Projector, &format!("{path}/{verb}"), &json!({})).await?;
        let now = client.get(Service::Projector, &path, &[]).await?;
        match format {
            Format::Json | Format::Ndjson => output::json(&now),
            Format::Text => {
                let rebuild = now["rebuild"]["state"].as_str();
                let rebuild = rebuild.map(|state| format!(", rebuild {state}")).unwrap_or_default();
                output::line(format!("{name}: {}{rebuild}", cell(&now["state"])))
            }
        }
    }

    /// The projection's path: its name may have the context in front.
    async fn path(&self, client: &Client, name: &str) -> Result<String> {
        let (context, name) = match name.split_once('/') {
            Some((context, name)) => (context.parse::<ContextName>()?, name),
            None => (self.context.of_model(client, name).await?, name),
        };
        Ok(format!("/v1/projections/{context}/{}", segment(name)))
    }
}

fn show(projection: &Value, format: Format) -> Result<()> {
    if format != Format::Text {
        return output::json(projection);
    }
    output::line(table(std::slice::from_ref(projection)))?;
    let mut inputs = Table::new(["topic", "lag", "latest event", "checkpoint"]);
    for input in projection["inputs"].as_array().into_iter().flatten() {
        inputs.row(["topic", "lag_records", "event_time", "checkpoint"].map(|field| cell(&input[field])));
    }
    output::line(inputs)
}

/// Prints what a rebuild changed.
fn diff(found: &Value, format: Format) -> Result<()> {
    if format != Format::Text {
        return output::json(found);
    }
    compared(found)?;
    for (name, child) in found["children"].as_object().into_iter().flatten() {
        output::line(format!("{name}:"))?;
        compared(child)?;
    }
    Ok(())
}

fn compared(found: &Value) -> Result<()> {
    let count = |field: &str| cell(&found[field]);
    output::line(format!("{} added, {} removed, {} changed", count("added"), count("removed"), count("changed")))?;
    for (field, words) in [("columns_added", "new columns"), ("columns_removed", "columns that are gone")] {
        if found[field].as_array().is_some_and(|columns| !columns.is_empty()) {
            output::line(format!("{words}: {}", found[field]))?;
        }
    }
    for sample in found["samples"].as_array().into_iter().flatten() {
        for (side, mark) in [("live", "-"), ("rebuilt", "+")] {
            if !sample[side].is_null() {
                output::line(format!("{mark} {}", sample[side]))?;
            }
        }
    }
    Ok(())
}

/// All projections.
pub async fn list(client: &Client) -> Result<Vec<Value>, Failure> {
    let mut answer = client.get(Service::Projector, "/v1/projections", &[]).await?;
    match answer["projections"].take() {
        Value::Array(projections) => Ok(projections),
        other => {
            Err(Failure::new(Exit::Failed, "internal.error", format!("the projector sent {other}, not projections")))
        }
    }
}

fn print(projections: &[Value], format: Format) -> Result<()> {
    match format {
        Format::Json => output::json(&json!({ "projections": projections })),
        Format::Ndjson => projections.iter().try_for_each(output::json),
        Format::Text => output::line(table(projections)),
    }
}

/// Projections as a table.
pub fn table(projections: &[Value]) -> Table {
    let fields = ["context", "model", "state", "caught_up", "lag_records", "parked_keys", "last_error"];
    let mut table = Table::new(["context", "model", "state", "caught up", "lag", "parked keys", "last error"]);
    for projection in projections {
        table.row(fields.map(|field| cell(&projection[field])));
    }
    table
}

/// Shows the progress of a rebuild until its end.
async fn follow(client: &Client, path: &str, give_up: Duration) -> Result<Value> {
    let bar = output::progress(Some(0), "records");
    let mut progress = (0, tokio::time::Instant::now());
    loop {
        // The projector may be restarted meanwhile: it takes the rebuild up again.
        let seen = retry::until_settled(give_up, || client.get(Service::Projector, path, &[])).await?;
        let rebuild = &seen["rebuild"];
        let done = rebuild["done"].as_u64().unwrap_or(0);
        bar.set_length(rebuild["total"].as_u64().unwrap_or(0));
        bar.set_position(done);
        match rebuild["state"].as_str() {
            // A projector that was restarted since the end of the rebuild does not know of it any more.
            Some("done") | None => {
                bar.finish_and_clear();
                return Ok(seen);
            }
            Some(state @ ("paused" | "cancelled")) => {
                bar.abandon();
                let message = format!("the rebuild is {state}");
                return Err(Failure::new(Exit::Failed, "projection.rebuild", message).into());
            }
            Some("failed") => {
                bar.abandon();
                let why = rebuild["last_error"].as_str().unwrap_or("no reason given");
                return Err(Failure::new(Exit::Failed, "projection.rebuild", format!("the rebuild failed: {why}"))
                    .help("the read model is as it was before")
                    .into());
            }
            Some(_) => {}
        }
        if done > progress.0 {
            progress = (done, tokio::time::Instant::now());
        } else if progress.1.elapsed() >= give_up {
            bar.abandon();
            let message = format!("the rebuild made no progress for {} s", give_up.as_secs());
            return Err(Failure::new(Exit::Unavailable, "state.unavailable", message).help("see spina doctor").into());
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}
