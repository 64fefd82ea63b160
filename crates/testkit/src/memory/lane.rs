//! A lane of the log in memory. Its answers are those of `spina_log`'s own, also when it is dead or used in wrong order.

use std::sync::Mutex;

use async_trait::async_trait;
use spina_log::{Lane, Window, WriteError};

use super::partition::Fate;
use super::{Fault, MemoryLog};

#[derive(Debug, Clone)]
enum Stage {
    Idle,
    /// The number of the transaction; an empty window has none.
    Staged(Option<usize>),
    Dead(WriteError),
}

pub(super) struct MemoryLane {
    log: MemoryLog,
    id: String,
    epoch: u64,
    stage: Mutex<Stage>,
}

impl MemoryLane {
    pub(super) fn new(log: MemoryLog, id: &str, epoch: u64) -> Self {
        Self { log, id: id.to_owned(), epoch, stage: Mutex::new(Stage::Idle) }
    }

    fn stage(&self) -> Stage {
        self.stage.lock().expect("no holder of this lock panics").clone()
    }

    fn set(&self, stage: Stage) {
        *self.stage.lock().expect("no holder of this lock panics") = stage;
    }

    /// Closes the lane unless the error leaves it ready for the next window.
    fn fail<T>(&self, error: WriteError) -> Result<T, WriteError> {
        let stage = match &error {
            WriteError::Aborted { .. } => Stage::Idle,
            WriteError::Fenced { reason, .. } => {
                Stage::Dead(WriteError::Fenced { in_doubt: false, reason: reason.clone() })
            }
            WriteError::Unknown { reason } | WriteError::Broken { reason } => {
                Stage::Dead(WriteError::Broken { reason: format!("it was retired: {reason}") })
            }
        };
        self.set(stage);
        Err(error)
    }

    /// Begins a transaction; its number, and what the test has in store for it.
    fn begin(&self) -> (usize, Option<Fault>, Option<tokio::sync::oneshot::Receiver<()>>) {
        let mut inner = self.log.lock();
        inner.fates.push(Fate::Open);
        let number = inner.fates.len();
        (number, inner.faults.get(&number).copied(), inner.held.remove(&number))
    }

    fn write(&self, number: usize, window: Window) -> Result<Vec<i64>, WriteError> {
        let mut inner = self.log.lock();
        inner.check_owner(&self.id, self.epoch, false)?;
        let id = inner.ids.get_mut(&self.id).expect("an open lane has an id");
        id.open = Some(number);
        if let Some(consumed) = window.consumed {
            let group = consumed.member.group;
            let offsets = consumed.offsets.into_iter();
            id.offsets = offsets.map(|(topic, partition, next)| ((group.clone(), topic, partition), next)).collect();
        }
        let place = |record: spina_log::NewRecord| {
            let partition = inner.partitions.entry((record.topic.clone(), record.partition)).or_default();
            partition.append(number, record)
        };
        Ok(window.records.into_iter().map(place).collect())
    }

    /// Ends transaction `number` as its fault, if it has one, wants it.
    fn finish(&self, number: usize) -> Result<(), WriteError> {
        let mut inner = self.log.lock();
        let fault = inner.faults.get(&number).copied();
        if fault == Some(Fault::FencedAtCommit) {
            inner.open_id(&self.id);
        }
        inner.check_owner(&self.id, self.epoch, true)?;
        let lost = || WriteError::Unknown { reason: "the test lost the answer".to_owned() };
        match fault {
            Some(Fault::CommitAborted) => {
                inner.end_transaction(&self.id, Fate::Aborted);
                Err(WriteError::Aborted { reason: "the test refused the commit".to_owned() })
            }
            Some(Fault::UnknownCommitted) => {
                inner.end_transaction(&self.id, Fate::Committed);
                Err(lost())
            }
            Some(Fault::UnknownAborted) => Err(lost()),
            Some(Fault::StageAborted | Fault::FencedAtStage | Fault::FencedAtCommit) | None => {
                inner.end_transaction(&self.id, Fate::Committed);
                Ok(())
            }
        }
    }
}

#[async_trait]
impl Lane for MemoryLane {
    async fn stage(&self, window: Window) -> Result<Vec<i64>, WriteError> {
        match self.stage() {
            Stage::Idle => {}
            Stage::Staged(_) => return Err(wrong_order("a window is staged already")),
            Stage::Dead(error) => return Err(error),
        }
        if window.is_empty() {
            self.set(Stage::Staged(None));
            return Ok(Vec::new());
        }
        let (number, fault, held) = self.begin();
        if let Some(held) = held {
            let _released_or_dropped = held.await;
        }
        if fault == Some(Fault::FencedAtStage) {
            self.log.lock().open_id(&self.id);
        }
        let written = self.write(number, window);
        if written.is_err() {
            self.log.lock().fates[number - 1] = Fate::Aborted;
        } else if fault == Some(Fault::StageAborted) {
            self.log.lock().end_transaction(&self.id, Fate::Aborted);
            return self.fail(WriteError::Aborted { reason: "the test refused a record".to_owned() });
        }
        match written {
            Ok(offsets) => {
                self.set(Stage::Staged(Some(number)));
                Ok(offsets)
            }
            Err(error) => self.fail(error),
        }
    }

    async fn commit(&self) -> Result<(), WriteError> {
        let number = match self.stage() {
            Stage::Staged(number) => number,
            Stage::Idle => return Err(wrong_order("there is no staged window to commit")),
            Stage::Dead(error) => return Err(error),
        };
        match number.map_or(Ok(()), |number| self.finish(number)) {
            Ok(()) => {
                self.set(Stage::Idle);
                Ok(())
            }
            Err(error) => self.fail(error),
        }
    }

    async fn abort(&self) -> Result<(), WriteError> {
        let number = match self.stage() {
            Stage::Staged(number) => number,
            Stage::Idle => return Err(wrong_order("there is no staged window to abort")),
            Stage::Dead(error) => return Err(error),
        };
        if number.is_some() {
            let mut inner = self.log.lock();
            if let Err(error) = inner.check_owner(&self.id, self.epoch, false) {
                drop(inner);
                return self.fail(error);
            }
            inner.end_transaction(&self.id, Fate::Aborted);
        }
        self.set(Stage::Idle);
        Ok(())
    }
}

fn wrong_order(what: &str) -> WriteError {
    WriteError::Broken { reason: format!("calls in the wrong order: {what}") }
}
