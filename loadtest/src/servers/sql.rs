//! A connection to PostgreSQL of our own, apart from the event-store's.

use std::ops::Deref;

use anyhow::Context;
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
}

impl Deref for Sql {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}
