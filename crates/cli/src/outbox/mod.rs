//! `spina outbox`: the rows of an application's outbox become commands, without Kafka Connect.
//!
//! ```text
//! outbox table --head--> rows, in their order --one transaction--> <ctx>.commands.v1 --then--> rows deleted
//! ```
//!
//! Records are those that Debezium makes of the same table, so one may take the other's place. Whatever dies on the way,
//! rows that are still there are sent again under the same ids, and the event-store recognises them: each row is one event.
//! One relay carries a table at a time; others wait for it.

mod record;
mod table;
mod target;

use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use spina_core::ContextName;
use spina_log::names;
use tokio::time::sleep;

use crate::failure::{Exit, Failure};
use crate::output::{self, Format};
use crate::reach::Reach;
use table::Table;
use target::Target;

/// Pause before an empty table is looked at again.
const IDLE_PAUSE: Duration = Duration::from_millis(200);
/// Pause before a server that is away is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Carry an application's outbox table to the commands topic, without Kafka Connect
///
/// Sends the rows in the order of their column `position` and deletes what was sent. Runs until it is ended, and may be
/// killed at any time. The table's layout is docs/connect/outbox.sql, the same that Debezium reads.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Context whose commands the rows are
    context: ContextName,
    /// The table
    #[arg(long, default_value = "public.outbox")]
    table: String,
    /// The application's database [default: the stack's]
    #[arg(long, env = "SPINA_OUTBOX_URL", value_name = "URL", hide_env_values = true)]
    database_url: Option<String>,
    /// End when the table is empty; also when a server is away
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    reach: Reach,
}

impl Args {
    /// Carries rows, and tells how many.
    pub async fn run(self, format: Format) -> Result<()> {
        let (database, kafka) = (self.reach.postgres(&self.database_url)?, self.reach.kafka()?);
        let mut carried = 0;
        loop {
            match self.carry(&database, &kafka, &mut carried).await {
                Ok(()) => return self.tell(carried, format),
                Err(failure) if failure.is_passing() && !self.once => {
                    output::note(format!("{failure}; trying again"));
                    sleep(RETRY_PAUSE).await;
                }
                Err(failure) => return Err(failure.into()),
            }
        }
    }

    /// Carries until something fails, or until the table is empty if that is enough.
    async fn carry(&self, database: &str, kafka: &str, carried: &mut usize) -> Result<(), Failure> {
        let table = Table::open(database, &self.table).await?;
        while !table.claim().await? {
            if self.once {
                let message = format!("another relay carries {}", self.table);
                return Err(Failure::new(Exit::Refused, "state.conflict", message).help("end it first"));
            }
            sleep(RETRY_PAUSE).await;
        }
        let topic = names::commands_topic(&self.context);
        let target = Target::open(kafka, &topic, &names::outbox_transactional_id(&topic, table.identity())).await?;
        loop {
            let rows = table.head().await?;
            if rows.is_empty() {
                if self.once {
                    return Ok(());
                }
                sleep(IDLE_PAUSE).await;
                continue;
            }
            target.write(&rows).await?;
            table.delete(&rows).await?;
            *carried += rows.len();
        }
    }

    fn tell(&self, carried: usize, format: Format) -> Result<()> {
        match format {
            Format::Text => output::line(format!("{carried} rows of {} carried", self.table)),
            Format::Json | Format::Ndjson => output::json(&json!({ "table": self.table, "carried": carried })),
        }
    }
}
