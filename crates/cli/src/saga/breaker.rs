//! `spina saga breaker`: the targets of calls, as one orchestrator sees them.

use anyhow::Result;
use clap::Subcommand;
use serde_json::{Value, json};

use crate::client::{Client, Service};
use crate::output::{self, Format};
use crate::table::{Table, cell};

/// See the breakers of the targets that sagas call, and close them
#[derive(Debug, Subcommand)]
pub enum Breaker {
    /// List the targets, their breakers, and what waits for them
    List,
    /// Close the breaker of a target: calls that wait for it go out
    Reset {
        /// The target, such as http://host:port
        target: String,
        /// Why; it is logged
        #[arg(long)]
        reason: String,
        /// Who; it is logged
        #[arg(long, env = "USER", default_value = "spina")]
        by: String,
    },
}

impl Breaker {
    /// Asks or tells, and prints.
    pub async fn run(self, client: &Client, format: Format) -> Result<()> {
        let answer: Value = match self {
            Self::List => client.get(Service::SagaOrchestrator, "/v1/breakers", &[]).await?,
            Self::Reset { target, reason, by } => {
                let body = json!({ "target": target, "reason": reason, "by": by });
                client.post(Service::SagaOrchestrator, "/v1/breakers/reset", &body).await?
            }
        };
        if format != Format::Text {
            return output::json(&answer);
        }
        let mut table = Table::new(["target", "state", "open until", "failures", "slowed by", "in flight", "waiting"]);
        for breaker in answer["breakers"].as_array().into_iter().flatten() {
            let fields = ["target", "state", "open_until", "failures", "slowed_by", "in_flight", "waiting"];
            table.row(fields.map(|field| cell(&breaker[field])));
        }
        output::line(table)
    }
}
