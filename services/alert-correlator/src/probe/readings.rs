//! Reading what the platform tells of itself: metrics pages, PostgreSQL, Kafka. Each with a limit on time and size.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use spina_core::correlation::Labels;
use spina_log::{Admin, names};
use spina_rules::correlation::Reading;
use spina_store::{Store, StoreConfig};

use super::metrics::{self, Counters};
use super::watching::Value;
use crate::clock;
use crate::config::AlertCorrelatorConfig;
use crate::rules::Files;

/// Longest time for one answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Largest metrics page.
const PAGE_BYTES_MAX: usize = 8 << 20;

/// What is read from.
pub struct Platform {
    http: reqwest::Client,
    services: Vec<String>,
    counters: BTreeMap<String, BTreeMap<String, Counters>>,
    store: Store,
    admin: Arc<Admin>,
    files: Files,
}

impl Platform {
    /// As the settings say. Nothing is connected to yet but Kafka.
    ///
    /// # Errors
    /// When an address cannot be used.
    pub fn new(config: &AlertCorrelatorConfig, admin: Arc<Admin>, files: Files) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(ANSWER_LIMIT).build().context("set up a client")?;
        let mut database = StoreConfig::new(&config.common.postgres_url, "alert-correlator");
        (database.connections_max, database.statement_timeout) = (1, ANSWER_LIMIT);
        let services = config.probe_services.split(',').map(str::trim).filter(|url| !url.is_empty());
        Ok(Self {
            http,
            services: services.map(|url| url.trim_end_matches('/').to_owned()).collect(),
            counters: BTreeMap::new(),
            store: Store::open(&database).context("use the database's address")?,
            admin,
            files,
        })
    }

    /// Reads what is wanted; what could not be read, with the reason.
    pub async fn read(&mut self, wanted: &BTreeSet<Reading>) -> (Vec<Value>, BTreeMap<Reading, String>) {
        let (mut values, mut unread) = (Vec::new(), BTreeMap::new());
        let pages = [Reading::ErrorRate, Reading::AnswerSeconds, Reading::LagRecords];
        if pages.iter().any(|reading| wanted.contains(reading)) {
            for service in self.services.clone() {
                match self.page(&service).await {
                    Ok(page) => values.extend(metrics::read(&page, self.counters.entry(service).or_default())),
                    Err(error) => {
                        let reason = format!("{service}: {error:#}");
                        pages.iter().for_each(|reading| _ = unread.insert(*reading, reason.clone()));
                    }
                }
            }
        }
        for reading in [Reading::DeadLetters, Reading::StuckSagas, Reading::OpenTransactionSeconds] {
            if wanted.contains(&reading) {
                match self.counted(reading).await {
                    Ok(counted) => {
                        values.extend(counted.into_iter().map(|(labels, value)| Value { reading, labels, value }));
                    }
                    Err(error) => _ = unread.insert(reading, format!("{error:#}")),
                }
            }
        }
        (values, unread)
    }

    async fn page(&self, service: &str) -> anyhow::Result<String> {
        let mut answer = self.http.get(format!("{service}/metrics")).send().await?.error_for_status()?;
        let mut page = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            page.extend_from_slice(&chunk);
            ensure!(page.len() <= PAGE_BYTES_MAX, "the page is larger than {PAGE_BYTES_MAX} bytes");
        }
        String::from_utf8(page).context("read the page")
    }

    async fn counted(&self, reading: Reading) -> anyhow::Result<Vec<(Labels, f64)>> {
        match reading {
            Reading::DeadLetters => {
                let counted = self.store.letters_counted().await?;
                let of = |(context, model, count)| (labels([("context", context), ("model", model)]), as_f64(count));
                Ok(counted.into_iter().map(of).collect())
            }
            Reading::StuckSagas => {
                let counted = self.store.stuck_sagas().await?;
                Ok(counted.into_iter().map(|(saga, count)| (labels([("saga", saga)]), as_f64(count))).collect())
            }
            Reading::OpenTransactionSeconds => self.transactions().await,
            Reading::ErrorRate | Reading::AnswerSeconds | Reading::LagRecords => Ok(Vec::new()),
        }
    }

    /// The age of the oldest open transaction of each partition of events.
    async fn transactions(&self) -> anyhow::Result<Vec<(Labels, f64)>> {
        let mut found = Vec::new();
        let now = clock::now().millis();
        for context in self.files.contexts() {
            let topic = names::events_topic(&context.name);
            for partition in 0..context.partitions.value {
                let open = self.admin.open_transactions(&topic, partition).await?;
                let written = open.iter().map(|open| open.last_write_ms).filter(|written| *written >= 0).min();
                if let Some(written) = written {
                    let of = labels([("topic", topic.clone()), ("partition", partition.to_string())]);
                    found.push((of, (now - written).max(0) as f64 / 1e3));
                }
            }
        }
        Ok(found)
    }
}

fn labels<const N: usize>(pairs: [(&str, String); N]) -> Labels {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn as_f64(count: i64) -> f64 {
    count as f64
}
