//! Steering sagas: one, or all that a filter finds.

use anyhow::Result;
use serde_json::{Value, json};

use crate::client::{Client, Service, segment};
use crate::output::{self, Format};
use crate::table::{Table, cell};

/// Which saga, or which sagas; who steers, and why: both go into the sagas' logs
#[derive(Debug, clap::Args)]
pub struct Steer {
    /// The saga, such as saga-rebook-17; without it, all that --state and --definition find
    #[arg(required_unless_present_any = ["state", "definition"], conflicts_with_all = ["state", "definition"])]
    id: Option<String>,
    /// All sagas that are running, undoing or stuck
    #[arg(long)]
    state: Option<String>,
    /// All sagas of this definition
    #[arg(long)]
    definition: Option<String>,
    /// Only those to which nothing has happened for so many seconds
    #[arg(long, value_name = "SECONDS", conflicts_with = "id")]
    older_than: Option<u32>,
    /// Most sagas
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Only count them
    #[arg(long, conflicts_with = "id")]
    dry_run: bool,
    /// Why
    #[arg(long)]
    reason: String,
    /// Who
    #[arg(long, env = "USER", default_value = "spina")]
    by: String,
}

/// A step to go past
#[derive(Debug, clap::Args)]
pub struct Skip {
    /// The step
    #[arg(long)]
    pub step: String,
    #[command(flatten)]
    pub steer: Steer,
}

impl Steer {
    /// Tells the saga, or the sagas.
    pub async fn run(self, client: &Client, verb: &str, step: Option<String>, format: Format) -> Result<()> {
        if let Some(id) = &self.id {
            let body = json!({ "by": self.by, "reason": self.reason, "step": step });
            let path = format!("/v1/sagas/{}/{verb}", segment(id));
            let answer = client.post(Service::SagaOrchestrator, &path, &body).await?;
            return told(&answer, &format!("is told: {verb}"), format);
        }
        let body = json!({ "verb": verb, "state": self.state, "definition": self.definition,
            "older_than_s": self.older_than, "step": step, "by": self.by, "reason": self.reason,
            "limit": self.limit, "dry_run": self.dry_run });
        let answer = client.post(Service::SagaOrchestrator, "/v1/saga-batches", &body).await?;
        if format != Format::Text {
            return output::json(&answer);
        }
        let what = if self.dry_run { "would be told" } else { "are told" };
        output::line(format!("{} sagas {what}: {verb}", answer["sagas"]))?;
        if answer["more"] == true {
            output::note("there are more: --limit, or the same again once these have gone on");
        }
        Ok(())
    }
}

/// Says what becomes of a saga.
pub fn told(answer: &Value, what: &str, format: Format) -> Result<()> {
    match format {
        Format::Text => output::line(format!("{} {what}", cell(&answer["id"]))),
        Format::Json | Format::Ndjson => output::json(answer),
    }
}

/// Shows what compensation would do now.
pub async fn preview(client: &Client, id: &str, format: Format) -> Result<()> {
    let path = format!("/v1/sagas/{}/compensation", segment(id));
    let preview = client.get(Service::SagaOrchestrator, &path, &[]).await?;
    if format != Format::Text {
        return output::json(&preview);
    }
    let mut table = Table::new(["step", "fate", "by"]);
    for planned in preview["steps"].as_array().into_iter().flatten() {
        let request = &planned["request"];
        let by = match request["kind"].as_str() {
            Some("command") => {
                format!("{}.{} to {}", cell(&request["context"]), cell(&request["command"]), cell(&request["stream"]))
            }
            Some(_) => cell(&request["url"]),
            None if planned["reason"].is_string() => cell(&planned["reason"]),
            None => cell(&planned["message"]),
        };
        table.row([cell(&planned["step"]), cell(&planned["fate"]), by]);
    }
    output::line(table)?;
    output::line(format!("{id} would end {}", cell(&preview["ends"])))
}

/// Lists the batches that were told.
pub async fn batches(client: &Client, limit: u32, format: Format) -> Result<()> {
    let query = [("limit", limit.to_string())];
    let answer = client.get(Service::SagaOrchestrator, "/v1/saga-batches", &query).await?;
    if format != Format::Text {
        return output::json(&answer);
    }
    let mut table = Table::new(["batch", "at", "verb", "filter", "sagas", "by", "reason"]);
    for batch in answer["batches"].as_array().into_iter().flatten() {
        table.row(["id", "at", "verb", "filter", "sagas", "by", "reason"].map(|field| cell(&batch[field])));
    }
    output::line(table)
}
