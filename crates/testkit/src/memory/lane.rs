//! A lane of the log in memory. Its answers are those of `spina_log`'s own, also when it is dead or used in wrong order.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use spina_log::{Lane, Window, WriteError};

use super::network::{Effect, Journey, Passage, Request, Sent};
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

    fn sent(&self, number: usize, effect: Effect) -> Sent {
        Sent { id: self.id.clone(), epoch: self.epoch, number, effect, answer: Arc::default() }
    }

    /// Stages over the network. What goes wrong is aborted at once, as the client does.
    async fn stage_over(&self, passage: Passage, number: usize, window: Window) -> Result<Vec<i64>, WriteError> {
        let answer = self.log.send(passage, self.sent(number, Effect::Write { window })).await;
        match answer {
            Some(Ok(offsets)) => Ok(offsets),
            Some(Err(error @ WriteError::Fenced { .. })) => Err(error),
            Some(Err(_)) | None => {
                let mut inner = self.log.lock();
                inner.fates[number - 1] = Fate::Aborted;
                inner.check_owner(&self.id, self.epoch, false)?;
                inner.end_transaction(&self.id, Fate::Aborted);
                Err(WriteError::Aborted { reason: "the network lost a record".to_owned() })
            }
        }
    }

    async fn commit_over(&self, passage: Passage, number: usize) -> Result<(), WriteError> {
        let answer = self.log.send(passage, self.sent(number, Effect::End { fate: Fate::Committed })).await;
        match (answer, passage.journey) {
            (Some(answer), _) => answer.map(drop),
            (None, Journey::Refused) => {
                let mut inner = self.log.lock();
                inner.check_owner(&self.id, self.epoch, false)?;
                inner.end_transaction(&self.id, Fate::Aborted);
                Err(WriteError::Aborted { reason: "the log refused the commit".to_owned() })
            }
            (None, _) => Err(WriteError::Unknown { reason: "no answer to the commit".to_owned() }),
        }
    }

    async fn abort_over(&self, passage: Passage, number: usize) -> Result<(), WriteError> {
        let answer = self.log.send(passage, self.sent(number, Effect::End { fate: Fate::Aborted })).await;
        let lost = || Err(WriteError::Broken { reason: "no answer to the abort".to_owned() });
        answer.map_or_else(lost, |answer| answer.map(drop))
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
        if let Some(passage) = self.log.passage(Request::Stage) {
            let staged = self.stage_over(passage, number, window).await;
            return match staged {
                Ok(offsets) => {
                    self.set(Stage::Staged(Some(number)));
                    Ok(offsets)
                }
                Err(error) => self.fail(error),
            };
        }
        let written = self.log.lock().write(&self.id, self.epoch, number, window);
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
        let passage = number.and_then(|_| self.log.passage(Request::Commit));
        let ended = match (number, passage) {
            (Some(number), Some(passage)) => self.commit_over(passage, number).await,
            (Some(number), None) => self.finish(number),
            (None, _) => Ok(()),
        };
        match ended {
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
        if let (Some(number), Some(passage)) = (number, number.and_then(|_| self.log.passage(Request::Abort))) {
            if let Err(error) = self.abort_over(passage, number).await {
                return self.fail(error);
            }
        } else if number.is_some() {
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
