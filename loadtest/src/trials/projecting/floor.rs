//! The floors: what PostgreSQL takes of the same rows from a client that does nothing else.

use std::time::{Duration, Instant};

use anyhow::ensure;
use tokio_postgres::types::ToSql;

use super::entries::{Entries, Rows};
use crate::servers::Sql;

/// Most events of a batch, as the projector has it by default.
const BATCH_EVENTS_MAX: usize = 20_000;
const CREATE: &str = "DROP TABLE IF EXISTS books.floor, books.copied; \
    CREATE TABLE books.floor (LIKE books.accounts INCLUDING ALL) WITH (fillfactor = 75); \
    CREATE TABLE books.copied (LIKE books.accounts); \
    CREATE TEMPORARY TABLE source (LIKE books.accounts)";
const COLUMNS: &str = "(stream, entries, turnover_cents, balance_cents, reference, currency)";
const UNNEST: &str = "SELECT * FROM UNNEST($1::text[], $2::int8[], $3::int8[], $4::int8[], $5::text[], $6::text[])";
const ON_CONFLICT: &str = "ON CONFLICT (stream) DO UPDATE SET entries = t.entries + excluded.entries, \
    turnover_cents = t.turnover_cents + excluded.turnover_cents, balance_cents = excluded.balance_cents, \
    reference = excluded.reference, currency = excluded.currency";
const DIFFERENCES: &str = "SELECT (SELECT count(*) FROM (TABLE books.accounts EXCEPT TABLE books.floor) AS ours) \
    + (SELECT count(*) FROM (TABLE books.floor EXCEPT TABLE books.accounts) AS theirs)";

/// Tables beside the model's.
pub struct Floor {
    sql: Sql,
}

impl Floor {
    /// Empty ones.
    pub async fn create(sql: Sql) -> anyhow::Result<Self> {
        sql.batch_execute(CREATE).await?;
        Ok(Self { sql })
    }

    /// Upserts the rows of the events, batch by batch, each in a transaction like the projector's: how long it took.
    pub async fn upsert(&self, entries: &Entries) -> anyhow::Result<Duration> {
        let batches: Vec<Rows> = entries.batches(BATCH_EVENTS_MAX).collect();
        let insert =
            self.sql.prepare(&format!("INSERT INTO books.floor AS t {COLUMNS} {UNNEST} {ON_CONFLICT}")).await?;
        let began = Instant::now();
        for rows in &batches {
            self.sql.batch_execute("BEGIN; SET LOCAL synchronous_commit = off").await?;
            self.sql.execute(&insert, &parameters(rows)).await?;
            self.sql.batch_execute("COMMIT").await?;
        }
        Ok(began.elapsed())
    }

    /// Rows a second of a bare COPY of a row for each event into a table without an index.
    pub async fn copy(&self, entries: Entries) -> anyhow::Result<f64> {
        let rows = entries.rows();
        self.sql.execute(&format!("INSERT INTO source {COLUMNS} {UNNEST}"), &parameters(&rows)).await?;
        let (copied, elapsed) = self.sql.copy("TABLE source", "books.copied").await?;
        ensure!(copied == rows.streams.len() as u64, "{copied} rows of {} were copied", rows.streams.len());
        Ok(copied as f64 / elapsed.as_secs_f64())
    }

    /// The model's table has the same rows.
    pub async fn check(&self) -> anyhow::Result<()> {
        let differences: i64 = self.sql.query_one(DIFFERENCES, &[]).await?.try_get(0)?;
        ensure!(differences == 0, "{differences} rows of the model are not those of the floor");
        Ok(())
    }
}

fn parameters(rows: &Rows) -> [&(dyn ToSql + Sync); 6] {
    let Rows { streams, entries, turnover_cents, balance_cents, references, currencies } = rows;
    [streams, entries, turnover_cents, balance_cents, references, currencies]
}
