//! Is a table what the log says? Some rows are folded anew and compared (ADR 0043).
//!
//! ```text
//! log ─ pass 1 ─▶ keys chosen
//!                     │ their rows, others chosen from the table, checkpoint, parked events: at one instant
//! log ─ pass 2, up to that checkpoint ─▶ the same rows folded from nothing ─▶ compare
//!                                                                                │ those that differ
//! live fill, between two batches: the fold goes on to where the table is now ◀───┘ ─▶ rows replaced
//! ```

mod chosen;
mod pass;
mod refold;
mod toucher;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Weak};

use spina_codec::catalog::SchemaCache;
use spina_core::Cell;
use spina_log::LogError;
use spina_store::StoreError;
use spina_store::dead_letters::Verdicts;
use spina_store::read_model::{Held, WholeRow};
use tokio::sync::{Semaphore, oneshot};

use super::decode::Decoder;
use super::fill::{Mend, Parts};
use super::handle::{CommandError, Handle};
pub use chosen::All as AllKeys;
use chosen::Sample;
pub use pass::{PassError, Stretch, pass};
pub use refold::Refold;
pub use toucher::Toucher;

/// Audits one model, one audit at a time.
pub struct Auditor {
    parts: Arc<Parts>,
    schemas: SchemaCache,
    handle: Weak<Handle>,
    turn: Semaphore,
}

/// Which rows.
#[derive(Debug)]
pub enum Choice {
    /// So many chosen from the log, and as many from the table; the same seed chooses the same of the same log.
    Sample { keys: u32, seed: u64 },
    /// These.
    Keys(Vec<Vec<Cell>>),
}

/// What came of an audit.
#[derive(Debug)]
pub struct Audited {
    /// How far the table was, over all inputs.
    pub next_offsets: Vec<i64>,
    /// Rows that were compared.
    pub rows: usize,
    /// Rows that were not: their changes do not come together in the order of this pass.
    pub unsure: usize,
    /// Those that are not what the log says.
    pub drift: Vec<Drift>,
    /// Those of them that were replaced.
    pub mended: usize,
}

/// A row that is not what the log says.
#[derive(Debug, Clone, PartialEq)]
pub struct Drift {
    /// As the table has it; `None` if it does not have it.
    pub table: Option<WholeRow>,
    /// As the log makes it; `None` if it does not make it.
    pub log: Option<WholeRow>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// Another audit is under way.
    #[error("the model is being audited")]
    Busy,
    /// The table cannot be judged as it is.
    #[error("{0}")]
    NotNow(&'static str),
    /// The log or the registry cannot be read.
    #[error("{0}")]
    Pass(#[from] PassError),
    /// The database does not answer, or refuses.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// What differs could not be mended.
    #[error("{0}")]
    Mend(#[from] CommandError),
}

impl From<LogError> for AuditError {
    fn from(error: LogError) -> Self {
        Self::Pass(error.into())
    }
}

const CHANGED: AuditError =
    AuditError::NotNow("the definition has changed since the table was filled: rebuild the model");
const FORGOTTEN: AuditError = AuditError::NotNow("the log no longer has its first events: rows cannot be folded anew");

impl fmt::Debug for Auditor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auditor").field("name", &self.parts.name).finish_non_exhaustive()
    }
}

impl Auditor {
    /// For the model of a handle.
    pub fn new(parts: Arc<Parts>, schemas: SchemaCache, handle: &Arc<Handle>) -> Self {
        Self { parts, schemas, handle: Arc::downgrade(handle), turn: Semaphore::new(1) }
    }

    /// Compares rows with the log at the place where the table is, and replaces those that differ if that is wanted.
    ///
    /// # Errors
    /// As [`AuditError`] says. It costs one pass over the log, two for a sample.
    pub async fn audit(&self, choice: Choice, mend: bool) -> Result<Audited, AuditError> {
        let _turn = self.turn.try_acquire().map_err(|_| AuditError::Busy)?;
        let Parts { store, name, model, metrics, inputs, .. } = &*self.parts;
        let (keys, random) = self.choose(choice).await?;
        let held = store.hold(name, model.shape(), keys, random).await?;
        let held = held.filter(|held| held.fingerprint == model.fingerprint() && held.inputs == *inputs);
        let held = held.ok_or(CHANGED)?;
        // What is decided after the look at the table is about events that were parked then: they are passed by.
        let verdicts = store.verdicts(name).await?;
        let mut refold = Refold::of(held.rows.iter().map(|(key, _)| key.clone()));
        let from = vec![0; inputs.partitions()];
        let stretch = Stretch { from: &from, to: &held.next_offsets, parked: &held.parked, verdicts: &verdicts };
        pass(&self.parts, &mut self.decoder(), stretch, |_, changes| {
            changes.into_iter().for_each(|change| refold.take(change));
        })
        .await?;
        let keys = refold.keys();
        let folded = store.sketched(name, model.shape(), refold.batch(), &keys).await?;
        let log: HashMap<&[Cell], Option<WholeRow>> = keys.iter().map(Vec::as_slice).zip(folded).collect();
        let mut differing = HashSet::new();
        let mut drift = Vec::new();
        for (key, table) in &held.rows {
            let Some(log) = log.get(key.as_slice()) else { continue };
            if log != table {
                differing.insert(key.clone());
                drift.push(Drift { table: table.clone(), log: log.clone() });
            }
        }
        let (rows, unsure) = (keys.len(), held.rows.len() - keys.len());
        metrics.audited_rows.inc_by(rows as u64);
        metrics.drifted_rows.set(i64::try_from(drift.len()).unwrap_or(i64::MAX));
        let mut audited = Audited { next_offsets: held.next_offsets.clone(), rows, unsure, drift, mended: 0 };
        if mend && !differing.is_empty() {
            audited.mended = self.mend(held, refold.only(&differing)).await?;
            metrics.mended_rows.inc_by(audited.mended as u64);
            tracing::warn!(model = %name, rows = audited.mended, "replaced rows that were not what the log says");
        }
        Ok(audited)
    }

    /// Tells which rows events touch.
    ///
    /// # Errors
    /// When the database cannot be asked for what people decided.
    pub async fn toucher(&self) -> Result<Toucher, AuditError> {
        let verdicts = self.parts.store.verdicts(&self.parts.name).await?;
        Ok(Toucher::new(Arc::clone(&self.parts), self.decoder(), verdicts))
    }

    /// Keys to ask for, and how many rows of the table's own choice.
    async fn choose(&self, choice: Choice) -> Result<(Vec<Vec<Cell>>, u32), AuditError> {
        let Parts { inputs, voice, .. } = &*self.parts;
        let mut ends = Vec::with_capacity(inputs.partitions());
        for input in inputs.iter() {
            let mut of_topic = voice.admin.ends(&input.topic).await?;
            of_topic.sort_by_key(|ends| ends.partition);
            ends.extend(of_topic);
        }
        if ends.iter().any(|ends| ends.earliest > 0) {
            return Err(FORGOTTEN);
        }
        let (keys, seed) = match choice {
            Choice::Keys(keys) => return Ok((keys, 0)),
            Choice::Sample { keys, seed } => (keys, seed),
        };
        let mut sample = Sample::new(seed, keys as usize);
        let (from, to): (Vec<i64>, Vec<i64>) = ends.iter().map(|ends| (0, ends.stable)).unzip();
        let (parked, verdicts) = (HashSet::new(), Verdicts::new());
        let stretch = Stretch { from: &from, to: &to, parked: &parked, verdicts: &verdicts };
        pass(&self.parts, &mut self.decoder(), stretch, |_, changes| {
            changes.iter().for_each(|change| sample.offer(&change.key));
        })
        .await?;
        Ok((sample.into_keys(), keys))
    }

    async fn mend(&self, held: Held, refold: Refold) -> Result<usize, AuditError> {
        let gone = || CommandError::Unavailable("the model is stopping".to_owned());
        let handle = self.handle.upgrade().ok_or_else(gone)?;
        let (answer, answered) = oneshot::channel();
        let Held { next_offsets, parked, .. } = held;
        handle.mend(Mend { next_offsets, parked, refold, answer }).await?;
        Ok(answered.await.map_err(|_| gone())??)
    }

    fn decoder(&self) -> Decoder {
        Decoder::new(Arc::clone(&self.parts.model), self.schemas.clone())
    }
}
