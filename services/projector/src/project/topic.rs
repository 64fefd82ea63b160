//! Telling a model's topic what its rows are: a compacted topic whose last value of each key is the row.
//!
//! ```text
//! rows that changed (PostgreSQL) --> records --> one transaction of the model's lane --> entries are forgotten
//! ```
//!
//! The table comes first, the topic follows. Rows are read after the lane is open, and opening it shuts out whoever told
//! before: what a frozen former projector holds in its hands can never come after what its successor has told.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use spina_codec::Headers;
use spina_codec::model_record::{ModelRecords, ModelSchemas};
use spina_codec::partitioner::partition_for;
use spina_codec::registry::{RegistryClient, RegistryError, subject};
use spina_codec::shape::{Invalid, Shape, ShapeError};
use spina_log::{Admin, Lane, Lanes, LogError, NewRecord, Window, WriteError, names};
use spina_runtime::shutdown::sleep;
use spina_store::StoreError;
use spina_store::read_model::{ChangedRow, Entry};
use tokio_util::sync::CancellationToken;

use super::fill::Parts;
use super::handle::Handle;

/// Most rows that are read at once.
const ROWS_MAX: u32 = 2_000;
/// Bytes of records after which a transaction is ended.
const WINDOW_BYTES: usize = 4 * 1024 * 1024;
/// Pause after telling: what changes meanwhile goes out together, a row that changes often as one record.
const PAUSE: Duration = Duration::from_millis(50);
/// How long nothing is looked for when no batch says that there is something.
const IDLE: Duration = Duration::from_secs(1);
/// First and longest pause after something failed.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// How long a transaction under way may take when it is time to stop.
const GRACE: Duration = Duration::from_secs(3);

/// What telling takes, beside a model.
#[derive(Clone)]
pub struct Voice {
    /// Opens transactional lanes.
    pub lanes: Arc<dyn Lanes>,
    /// Asks about topics.
    pub admin: Arc<Admin>,
    /// Knows the schemas' ids.
    pub registry: RegistryClient,
}

/// Tells one model's topic.
pub struct Teller {
    parts: Arc<Parts>,
    handle: Arc<Handle>,
    topic: Arc<str>,
}

/// Why the topic was not told. All of it may pass.
#[derive(Debug, thiserror::Error)]
enum Silence {
    #[error("subject `{0}` does not have the model's schema: run `spina topology apply`")]
    NotRegistered(String),
    #[error("topic `{0}` is missing: run `spina topology apply`")]
    NoTopic(String),
    #[error("{0}")]
    Schema(#[from] ShapeError),
    #[error("a row does not go into a record: {0}")]
    Row(#[from] Invalid),
    #[error("{0}")]
    Registry(#[from] RegistryError),
    #[error("{0}")]
    Log(#[from] LogError),
    #[error("{0}")]
    Write(#[from] WriteError),
    #[error("{0}")]
    Store(#[from] StoreError),
}

/// What one look at the changes takes.
struct Session {
    lane: Arc<dyn Lane>,
    records: ModelRecords,
    partitions: i32,
}

/// Records of one transaction, and what is forgotten once it has committed.
#[derive(Default)]
struct Told {
    window: Window,
    entries: Vec<Entry>,
    bytes: usize,
}

impl Teller {
    /// Tells the topic of this model.
    pub fn new(parts: Arc<Parts>, handle: Arc<Handle>) -> Self {
        let topic = names::model_topic(&parts.name.context, &parts.name.model).into();
        Self { parts, handle, topic }
    }

    /// Runs until it is told to stop. Whatever fails is tried again.
    pub async fn run(&self, stop: &CancellationToken) {
        let late = async {
            stop.cancelled().await;
            sleep(&CancellationToken::new(), GRACE).await;
        };
        // Cut off in the middle, the lane's transaction is aborted when the lane is opened the next time.
        tokio::select! {
            () = self.tell_for_ever(stop) => {}
            () = late => {}
        }
    }

    async fn tell_for_ever(&self, stop: &CancellationToken) {
        let mut pause = PAUSES.0;
        while !stop.is_cancelled() {
            let mut told = false;
            let Err(silence) = self.session(stop, &mut told).await else { return };
            if told {
                pause = PAUSES.0;
            }
            tracing::warn!(model = %self.parts.name, topic = &*self.topic, cause = %silence, "the topic is not told");
            self.handle.set_topic_trouble(Some(silence.to_string()));
            sleep(stop, pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Opens the lane, then tells what changes until something fails or it is time to stop.
    async fn session(&self, stop: &CancellationToken, told: &mut bool) -> Result<(), Silence> {
        let session = self.open().await?;
        let Parts { store, name, model, metrics, .. } = &*self.parts;
        let mut progress = self.handle.progress();
        while !stop.is_cancelled() {
            progress.mark_unchanged();
            let changed = store.changes(name, model.shape(), ROWS_MAX).await?;
            if changed.is_empty() {
                self.handle.set_topic_trouble(None);
                tokio::select! {
                    _ = progress.changed() => {}
                    _ = sleep(stop, IDLE) => {}
                }
                continue;
            }
            for Told { window, entries, .. } in session.windows(&self.topic, changed)? {
                session.lane.stage(window).await?;
                session.lane.commit().await?;
                metrics.told.inc_by(entries.len() as u64);
                store.forget_changes(name, &entries).await?;
                *told = true;
            }
            sleep(stop, PAUSE).await;
        }
        Ok(())
    }

    async fn open(&self) -> Result<Session, Silence> {
        let Parts { name, model, voice, .. } = &*self.parts;
        let schemas = ModelSchemas::of(&name.context, &name.model, model.shape());
        let ids = (self.id_of(&schemas.key).await?, self.id_of(&schemas.value).await?);
        let records = ModelRecords::new(&schemas, ids, model.shape())?;
        let described = voice.admin.describe(&self.topic).await?;
        let topic = described.ok_or_else(|| Silence::NoTopic(self.topic.to_string()))?;
        let lane = voice.lanes.open(&names::model_transactional_id(&name.context, &name.model)).await?;
        Ok(Session { lane, records, partitions: topic.partitions })
    }

    async fn id_of(&self, schema: &str) -> Result<u32, Silence> {
        let subject = subject(&self.topic, Shape::compile(schema)?.full_name());
        let found = self.parts.voice.registry.lookup(&subject, schema).await?;
        found.map(|registered| registered.id).ok_or(Silence::NotRegistered(subject))
    }
}

impl Session {
    /// The rows as transactions of a bearable size.
    fn windows(&self, topic: &Arc<str>, changed: Vec<ChangedRow>) -> Result<Vec<Told>, Silence> {
        let mut windows = Vec::new();
        let mut told = Told::default();
        for ChangedRow { key, row, entry } in changed {
            let key = Bytes::from(self.records.key(&key)?);
            let value = row.map(|row| self.records.value(row)).transpose()?.map(Bytes::from);
            told.bytes += key.len() + value.as_ref().map_or(0, Bytes::len);
            let partition = partition_for(&key, self.partitions);
            let (topic, headers, timestamp_ms) = (Arc::clone(topic), Headers::default(), None);
            told.window.records.push(NewRecord { topic, partition, key, value, headers, timestamp_ms });
            told.entries.push(entry);
            if told.bytes >= WINDOW_BYTES {
                windows.push(std::mem::take(&mut told));
            }
        }
        windows.extend((!told.entries.is_empty()).then_some(told));
        Ok(windows)
    }
}
