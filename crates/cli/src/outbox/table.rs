//! The outbox table: claimed, read from its head, emptied from its head.

use std::str::FromStr;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls};

use super::record::Row;
use crate::failure::{Exit, Failure};

/// Most rows of a batch.
const ROWS_MAX: i64 = 1_000;
/// A batch begins no further row after so many bytes of payload.
const BATCH_BYTES_MAX: i64 = 4 * 1024 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// When a connection without an answer is given up.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// First half of the advisory locks' keys; the second is the table's number.
const LOCK_CLASS: i32 = 0x5b1a;
const LAYOUT: &str = "the layout is docs/connect/outbox.sql";

/// The table, over one connection: the claim on it ends with that.
pub struct Table {
    client: Client,
    /// As the server writes it, quoted where it must be.
    name: String,
    identity: String,
    /// Moves the connection's bytes.
    _connection: JoinSet<Result<(), tokio_postgres::Error>>,
}

impl Table {
    /// Connects, and finds the table.
    pub async fn open(url: &str, table: &str) -> Result<Self, Failure> {
        // The driver's message would repeat the URL, and with it the password.
        let mut address = Config::from_str(url).map_err(|_| {
            let message = "the database's address must look like postgres://user:password@host:port/database";
            Failure::new(Exit::Failed, "validation.address", message)
        })?;
        address.application_name("spina-outbox").connect_timeout(CONNECT_TIMEOUT).tcp_user_timeout(SILENCE_MAX);
        let (client, connection) = address.connect(NoTls).await.map_err(failed)?;
        let mut moving = JoinSet::new();
        moving.spawn(connection);
        let limit = format!("SET statement_timeout = {}", SILENCE_MAX.as_millis());
        client.batch_execute(&limit).await.map_err(failed)?;
        let sql = "SELECT to_regclass($1)::text, \
                   (SELECT system_identifier FROM pg_control_system()) || '.' || current_database()";
        let found = client.query_one(sql, &[&table]).await.map_err(failed)?;
        let Some(name) = found.get::<_, Option<String>>(0) else {
            return Err(Failure::not_found(format!("there is no table {table}")).help(LAYOUT));
        };
        let identity = format!("{}.{name}", found.get::<_, String>(1));
        Ok(Self { client, name, identity, _connection: moving })
    }

    /// Which table of which database of which server it is: whoever carries it writes under this name.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Whether the table is this relay's now, until its connection ends.
    pub async fn claim(&self) -> Result<bool, Failure> {
        let sql = "SELECT pg_try_advisory_lock($1, to_regclass($2)::oid::int4)";
        let claimed = self.client.query_one(sql, &[&LOCK_CLASS, &self.name]).await;
        Ok(claimed.map_err(failed)?.get(0))
    }

    /// The rows that are next, in their order; empty if there are none.
    pub async fn head(&self) -> Result<Vec<Row>, Failure> {
        let sql = format!(
            "SELECT position, id, aggregateid, type, payload, traceparent FROM (\
               SELECT *, sum(octet_length(payload)) OVER (ORDER BY position) - octet_length(payload) AS before FROM (\
                 SELECT position, id::text, aggregateid, type, payload::text, traceparent FROM {} \
                 ORDER BY position LIMIT $1) AS rows) AS batch \
             WHERE before < $2 ORDER BY position",
            self.name
        );
        let rows = self.client.query(&sql, &[&ROWS_MAX, &BATCH_BYTES_MAX]).await.map_err(failed)?;
        rows.iter().map(|row| read(row).map_err(of_layout)).collect()
    }

    /// Deletes rows that were sent.
    pub async fn delete(&self, rows: &[Row]) -> Result<(), Failure> {
        let positions: Vec<i64> = rows.iter().map(|row| row.position).collect();
        let sql = format!("DELETE FROM {} WHERE position = ANY($1)", self.name);
        self.client.execute(&sql, &[&positions]).await.map(drop).map_err(failed)
    }
}

fn read(row: &tokio_postgres::Row) -> Result<Row, tokio_postgres::Error> {
    Ok(Row {
        position: row.try_get(0)?,
        id: row.try_get(1)?,
        stream: row.try_get(2)?,
        r#type: row.try_get(3)?,
        payload: row.try_get(4)?,
        traceparent: row.try_get(5)?,
    })
}

/// A column that is of another type, or null where it must not be.
fn of_layout(error: tokio_postgres::Error) -> Failure {
    let message = format!("the outbox table: {:#}", anyhow::Error::from(error));
    Failure::new(Exit::Refused, "validation.layout", message).help(LAYOUT)
}

/// What the database said. One that is away comes back; a table without the columns does not get them by waiting.
fn failed(error: tokio_postgres::Error) -> Failure {
    let Some(refused) = error.as_db_error() else {
        let message = format!("PostgreSQL: {:#}", anyhow::Error::from(error));
        return Failure::new(Exit::Unavailable, "state.unavailable", message);
    };
    let (code, message) = (refused.code(), format!("PostgreSQL: {}", refused.message()));
    if [SqlState::UNDEFINED_COLUMN, SqlState::UNDEFINED_TABLE, SqlState::DATATYPE_MISMATCH].contains(code) {
        return Failure::new(Exit::Refused, "validation.layout", message).help(LAYOUT);
    }
    // Connections, resources, operators' orders: classes 08, 53, 57.
    if ["08", "53", "57"].iter().any(|class| code.code().starts_with(class)) {
        return Failure::new(Exit::Unavailable, "state.unavailable", message);
    }
    Failure::new(Exit::Failed, "internal.error", message)
}
