//! The model as its projector shows it: steered and waited for over HTTP, its rows looked at in the table.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use hyper::StatusCode;
use serde_json::Value;

use super::entries::Totals;
use crate::client::HttpClient;
use crate::servers::Sql;

/// Longest wait for the projector.
const TIMEOUT: Duration = Duration::from_secs(300);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(2);
const PATH: &str = "/v1/projections/books/accounts";
const TOTALS: &str = "SELECT count(*), coalesce(sum(entries), 0)::int8, coalesce(sum(turnover_cents), 0)::int8, \
    coalesce(sum(balance_cents), 0)::int8 FROM books.accounts WHERE stream LIKE $1";

/// See the [module](self).
pub struct Model {
    http: HttpClient,
    sql: Sql,
}

impl Model {
    /// The model `books/accounts` of a projector.
    pub async fn connect(projector: SocketAddr, postgres: &str) -> anyhow::Result<Self> {
        Ok(Self { http: HttpClient::connect(projector).await?, sql: Sql::connect(postgres).await? })
    }

    /// Asks for something.
    pub async fn steer(&mut self, verb: &str) -> anyhow::Result<()> {
        let status = self.http.post(&format!("{PATH}/{verb}"), Bytes::new()).await?;
        ensure!(status == StatusCode::ACCEPTED, "{verb} answered {status}");
        Ok(())
    }

    /// Lets it go on: how long until it has taken in all there is.
    pub async fn resumed(&mut self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        self.steer("resume").await?;
        self.caught_up().await?;
        Ok(began.elapsed())
    }

    /// Waits until it has taken in all there is.
    pub async fn caught_up(&mut self) -> anyhow::Result<()> {
        self.until("catch up", |now| Ok(now["caught_up"] == true && now["state"] == "running")).await
    }

    /// Rebuilds it: how long until the new table has taken its place.
    pub async fn rebuilt(&mut self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        self.steer("rebuild").await?;
        let done = |now: &Value| match now["rebuild"]["state"].as_str() {
            Some("done") => Ok(true),
            Some("failed") | None => anyhow::bail!("the rebuild failed: {}", now["rebuild"]["last_error"]),
            Some(_) => Ok(false),
        };
        self.until("rebuild", done).await?;
        Ok(began.elapsed())
    }

    async fn until(&mut self, what: &str, done: impl Fn(&Value) -> anyhow::Result<bool>) -> anyhow::Result<()> {
        let waiting = async {
            loop {
                let (status, page) = self.http.get(PATH).await?;
                ensure!(status == StatusCode::OK, "{PATH} answered {status}");
                if done(&serde_json::from_slice(&page).context("read how the model is")?)? {
                    return Ok(());
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::time::timeout(TIMEOUT, waiting).await.with_context(|| format!("wait for the model to {what}"))?
    }

    /// The rows of the script of that name add up to what its events say.
    pub async fn check(&self, script: &str, expected: &Totals) -> anyhow::Result<()> {
        let found = self.totals(script).await?;
        ensure!(found == *expected, "the model has {found:?}, its events make {expected:?}");
        Ok(())
    }

    /// What the rows of the script of that name add up to.
    pub async fn totals(&self, script: &str) -> anyhow::Result<Totals> {
        let row = self.sql.query_one(TOTALS, &[&format!("account-{script}-%")]).await?;
        let [rows, entries, turnover_cents, balance_cents] = [0, 1, 2, 3].map(|column| row.get(column));
        Ok(Totals { rows, entries, turnover_cents, balance_cents })
    }
}
