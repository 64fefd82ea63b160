//! Connections to PostgreSQL: pooled, verified before use, and with a limit on every wait.

use std::str::FromStr;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Timeouts};
use tokio_postgres::{Config, NoTls};

use crate::migrate;
use crate::{StoreError, error::Cause};

/// How to reach the database and how long to wait for it.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// `postgres://user:password@host:port/database`, or libpq's key-value form.
    pub url: String,
    /// Shown in `pg_stat_activity`.
    pub application_name: String,
    /// Most connections held at a time.
    pub connections_max: usize,
    /// Longest wait for one connection to be made, or to become free.
    pub connect_timeout: Duration,
    /// Longest run of one statement, enforced by the server.
    pub statement_timeout: Duration,
    /// How long to keep trying when the database is not there at start.
    pub start_patience: Duration,
}

impl StoreConfig {
    /// The defaults: 8 connections, 5 s to connect, 30 s for a statement, 60 s of patience at start.
    pub fn new(url: impl Into<String>, application_name: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            application_name: application_name.into(),
            connections_max: 8,
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
            start_patience: Duration::from_secs(60),
        }
    }
}

/// A transaction that its client has forgotten is ended by the server after this long; only then can a successor of a
/// frozen process go on.
const FORGOTTEN_TRANSACTION_MS: u32 = 10_000;

/// The database. Cheap to clone; all clones share one pool.
#[derive(Debug, Clone)]
pub struct Store {
    pool: Pool,
}

impl Store {
    /// Waits for the database, brings its schema up to date and opens the pool.
    pub async fn connect(config: &StoreConfig) -> Result<Self, StoreError> {
        let address = address(config)?;
        let patience = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(200))
            .with_max_delay(Duration::from_secs(2))
            .with_total_delay(Some(config.start_patience))
            .without_max_times()
            .with_jitter();
        let attempt = || async { migrate::run(&address).await };
        attempt
            .retry(patience)
            .when(StoreError::is_transient)
            .notify(|error, pause| tracing::info!(%error, cause = cause(error), ?pause, "waiting for the database"))
            .await?;
        Ok(Self { pool: pool(config, address)? })
    }

    /// The database as it is: nothing is waited for or brought up to date. For programs that only look.
    pub fn open(config: &StoreConfig) -> Result<Self, StoreError> {
        Ok(Self { pool: pool(config, address(config)?)? })
    }

    /// A connection from the pool, verified to be alive and idle.
    pub async fn client(&self) -> Result<Object, StoreError> {
        Ok(self.pool.get().await?)
    }

    /// Whether the database answers, for the readiness check.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.client().await?.simple_query("SELECT 1").await?;
        Ok(())
    }
}

fn address(config: &StoreConfig) -> Result<Config, StoreError> {
    // The driver's message would repeat the URL, and with it the password.
    let refuse = |_| StoreError::Address("it must look like postgres://user:password@host:port/database".to_owned());
    let mut address = Config::from_str(&config.url).map_err(refuse)?;
    let limits = format!(
        "-c statement_timeout={} -c idle_in_transaction_session_timeout={FORGOTTEN_TRANSACTION_MS} \
         -c client_connection_check_interval=5000 -c client_min_messages=warning -c timezone=UTC",
        config.statement_timeout.as_millis()
    );
    let options = address.get_options().map_or_else(|| limits.clone(), |given| format!("{limits} {given}"));
    address
        .options(options)
        .application_name(&config.application_name)
        .connect_timeout(config.connect_timeout)
        .keepalives_idle(Duration::from_secs(15))
        .tcp_user_timeout(Duration::from_secs(30));
    Ok(address)
}

fn pool(config: &StoreConfig, address: Config) -> Result<Pool, StoreError> {
    // Never `Fast`: it hands back connections in any state.
    let manager = Manager::from_config(address, NoTls, ManagerConfig { recycling_method: RecyclingMethod::Verified });
    let timeouts = Timeouts {
        wait: Some(config.connect_timeout),
        create: Some(config.connect_timeout),
        recycle: Some(config.connect_timeout),
    };
    Pool::builder(manager)
        .max_size(config.connections_max)
        .timeouts(timeouts)
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|error| StoreError::Unavailable(Cause::Other(error.to_string())))
}

fn cause(error: &StoreError) -> String {
    std::error::Error::source(error).map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_address_is_refused_without_telling_the_password() {
        let error = address(&StoreConfig::new("postgres://me:secret@:port:/x", "test")).unwrap_err();
        assert!(!format!("{error:?} {error}").contains("secret"));
    }

    #[test]
    fn limits_are_part_of_every_connection() {
        let address = address(&StoreConfig::new("postgres://me@localhost/x", "test")).unwrap();
        assert!(address.get_options().unwrap().contains("statement_timeout=30000"));
        assert_eq!(address.get_application_name(), Some("test"));
    }
}
