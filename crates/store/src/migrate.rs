//! The schema `spina`: brought up to date at start, by one process at a time.

use tokio_postgres::{Client, Config, NoTls};

use crate::StoreError;
use crate::error::Cause;

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// Key of the advisory lock that serialises migrations: "spina" in ASCII. refinery takes none itself.
const LOCK: i64 = 0x73_70_69_6e_61;

/// Runs what is missing. A migration that differs from the one applied, or one that this program does not know, is an
/// error: an older program must not work on a newer schema.
pub(crate) async fn run(address: &Config) -> Result<(), StoreError> {
    let (mut client, connection) = address.connect(NoTls).await?;
    // One dedicated connection: the lock ends with it, whatever happens.
    tokio::select! {
        ended = connection => {
            let closed = || StoreError::Unavailable(Cause::Other("the connection was closed".to_owned()));
            Err(ended.err().map_or_else(closed, StoreError::from))
        }
        done = under_lock(&mut client) => done,
    }
}

async fn under_lock(client: &mut Client) -> Result<(), StoreError> {
    // Waiting for another process's migration may take longer than a statement usually may.
    client.batch_execute("SET statement_timeout = 0; SET lock_timeout = '120s'").await?;
    client.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await?;
    client.batch_execute("CREATE SCHEMA IF NOT EXISTS spina").await?;
    let mut runner = embedded::migrations::runner().set_abort_divergent(true).set_abort_missing(true);
    runner.set_migration_table_name("spina.migrations");
    let report = runner.run_async(client).await?;
    for migration in report.applied_migrations() {
        tracing::info!(version = migration.version(), name = migration.name(), "migrated the database");
    }
    Ok(())
}
