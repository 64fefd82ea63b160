//! Replaying into a read model: the rows that the events touch are made anew, and those that differ are replaced (ADR 0043).
//!
//! Events applied a second time would count twice. So the job gathers the keys of rows, and at its end folds these rows from
//! the first event on. The keys are only in memory: whoever goes on with the job gathers them again.

use std::sync::Arc;

use spina_log::Fetched;
use spina_store::jobs::JobProgress;

use super::Trouble;
use crate::project::{AllKeys, AuditError, Choice, Handle, PassError, Toucher};

/// Most rows of a job.
const KEYS_MAX: usize = 100_000;

/// Gathers keys, then remakes their rows.
pub struct Remaking {
    handle: Arc<Handle>,
    toucher: Toucher,
    keys: AllKeys,
    /// Whether rows are replaced, and not only compared.
    replaces: bool,
}

impl Remaking {
    /// Begins, and has the job begin where it begins.
    pub async fn begin(
        handle: Arc<Handle>,
        replaces: bool,
        starts: &[i64],
        progress: &mut JobProgress,
    ) -> Result<Self, Trouble> {
        let starting = || Trouble::Passing("the model is starting".to_owned());
        let toucher = handle.auditor.get().ok_or_else(starting)?.toucher().await.map_err(from_audit)?;
        progress.next_offsets = starts.to_vec();
        progress.matched = 0;
        Ok(Self { handle, toucher, keys: AllKeys::new(KEYS_MAX), replaces })
    }

    /// Notes which rows the events touch.
    pub async fn touch(&mut self, events: &[Fetched]) -> Result<(), Trouble> {
        for event in events {
            let keys = self.toucher.keys(event).await.map_err(|error| from_audit(error.into()))?;
            keys.iter().for_each(|key| self.keys.offer(key));
        }
        Ok(())
    }

    /// Remakes the rows; what came of it.
    pub async fn finish(&mut self) -> Result<String, Trouble> {
        let too_many = || Trouble::Final(format!("the events touch more than {KEYS_MAX} rows: rebuild the model"));
        let keys = std::mem::replace(&mut self.keys, AllKeys::new(KEYS_MAX)).into_keys().ok_or_else(too_many)?;
        let auditor = self.handle.auditor.get().ok_or_else(|| Trouble::Passing("the model is starting".to_owned()))?;
        let audited = auditor.audit(Choice::Keys(keys), self.replaces).await.map_err(from_audit)?;
        let (rows, differing) = (audited.rows, audited.drift.len());
        let what = if self.replaces { "were replaced" } else { "would be replaced" };
        Ok(format!("{differing} of {rows} rows {what}"))
    }
}

fn from_audit(error: AuditError) -> Trouble {
    let text = error.to_string();
    match error {
        AuditError::NotNow(_) => Trouble::Final(text),
        AuditError::Store(error) if !error.is_transient() => Trouble::Final(text),
        AuditError::Busy | AuditError::Mend(_) | AuditError::Store(_) => Trouble::Passing(text),
        AuditError::Pass(PassError::Log(_) | PassError::Registry(_)) => Trouble::Passing(text),
    }
}
