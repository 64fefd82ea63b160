//! A connection to PostgreSQL of our own, apart from the event-store's.

use std::ops::Deref;
use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::{Bytes, BytesMut};
use futures::{SinkExt, TryStreamExt};
use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls};

/// See the [module](self). Dropping it closes the connection, which ends an open transaction.
pub struct Sql {
    client: Client,
    /// Moves the connection's bytes; ends with the client.
    _connection: JoinSet<Result<(), tokio_postgres::Error>>,
}

impl Sql {
    /// Connects.
    pub async fn connect(url: &str) -> anyhow::Result<Self> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.context("connect to PostgreSQL")?;
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        Ok(Self { client, _connection: driver })
    }

    /// Reads the rows of a query, then writes them to a table by a binary COPY: how many, and how long the writing took.
    pub async fn copy(&self, rows: &str, table: &str) -> anyhow::Result<(u64, Duration)> {
        let mut out = pin!(self.copy_out(&format!("COPY ({rows}) TO STDOUT (FORMAT binary)")).await?);
        let mut bytes = BytesMut::new();
        while let Some(part) = out.try_next().await? {
            bytes.extend_from_slice(&part);
        }
        let mut bytes = bytes.freeze();
        let began = Instant::now();
        let mut copy = pin!(self.copy_in::<_, Bytes>(&format!("COPY {table} FROM STDIN (FORMAT binary)")).await?);
        while !bytes.is_empty() {
            copy.send(bytes.split_to(bytes.len().min(64 << 10))).await?;
        }
        Ok((copy.as_mut().finish().await?, began.elapsed()))
    }
}

impl Deref for Sql {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}
