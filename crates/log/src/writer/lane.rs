//! A lane on krafka's transactional producer.

use std::sync::Arc;

use async_trait::async_trait;
use krafka::KrafkaError;
use krafka::producer::TransactionalProducer;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::stage::{Stage, die, wrong_order};
use super::{Consumed, Lane, Window, WriteError, outcome, outgoing};
use crate::NewRecord;

/// A lane. Each call runs in a task of its own, which a caller that gives up does not take with it: the client's calls are
/// not safe to drop half-way. The task is handed the stage already locked, so that calls run in the order they were begun.
pub(super) struct KafkaLane {
    inner: Arc<Inner>,
    stage: Arc<Mutex<Stage>>,
}

struct Inner {
    producer: TransactionalProducer,
}

impl KafkaLane {
    pub(super) fn new(producer: TransactionalProducer) -> Self {
        Self { inner: Arc::new(Inner { producer }), stage: Arc::new(Mutex::new(Stage::Idle)) }
    }
}

/// Runs the call to its end, whatever becomes of the caller.
#[expect(
    clippy::disallowed_methods,
    reason = "the task is awaited here; it is a task only to outlive a dropped caller"
)]
async fn to_the_end<T: Send + 'static>(
    call: impl Future<Output = Result<T, WriteError>> + Send + 'static,
) -> Result<T, WriteError> {
    match tokio::spawn(call).await {
        Ok(result) => result,
        // A panic, or the runtime shutting down. What was sent by then is not known.
        Err(error) => Err(WriteError::Unknown { reason: format!("the call was cut off: {error}") }),
    }
}

#[async_trait]
impl Lane for KafkaLane {
    async fn stage(&self, window: Window) -> Result<Vec<i64>, WriteError> {
        let inner = Arc::clone(&self.inner);
        let stage = Arc::clone(&self.stage).lock_owned().await;
        to_the_end(async move { inner.stage(stage, window).await }).await
    }

    async fn commit(&self) -> Result<(), WriteError> {
        let inner = Arc::clone(&self.inner);
        let stage = Arc::clone(&self.stage).lock_owned().await;
        to_the_end(async move { inner.commit(stage).await }).await
    }

    async fn abort(&self) -> Result<(), WriteError> {
        let inner = Arc::clone(&self.inner);
        let stage = Arc::clone(&self.stage).lock_owned().await;
        to_the_end(async move { inner.abort(stage).await }).await
    }
}

impl Inner {
    async fn stage(&self, mut stage: OwnedMutexGuard<Stage>, window: Window) -> Result<Vec<i64>, WriteError> {
        match &*stage {
            Stage::Idle => {}
            Stage::Staged { .. } => return Err(wrong_order("a window is staged already")),
            Stage::Dead(error) => return Err(error.clone()),
        }
        if window.is_empty() {
            *stage = Stage::Staged { transaction: false };
            return Ok(Vec::new());
        }
        match self.write(window).await {
            Ok(offsets) => {
                *stage = Stage::Staged { transaction: true };
                Ok(offsets)
            }
            Err(cause) => Err(self.clean_up(&mut stage, &cause).await),
        }
    }

    async fn commit(&self, mut stage: OwnedMutexGuard<Stage>) -> Result<(), WriteError> {
        match &*stage {
            Stage::Staged { transaction: true } => {}
            Stage::Staged { transaction: false } => {
                *stage = Stage::Idle;
                return Ok(());
            }
            Stage::Idle => return Err(wrong_order("there is no staged window to commit")),
            Stage::Dead(error) => return Err(error.clone()),
        }
        let Err(cause) = self.producer.commit().await else {
            *stage = Stage::Idle;
            return Ok(());
        };
        match outcome::of_commit(&cause, self.producer.state()) {
            Some(error) => Err(die(&mut stage, error)),
            None => Err(self.clean_up(&mut stage, &cause).await),
        }
    }

    async fn abort(&self, mut stage: OwnedMutexGuard<Stage>) -> Result<(), WriteError> {
        match &*stage {
            Stage::Staged { transaction: true } => {}
            Stage::Staged { transaction: false } => {
                *stage = Stage::Idle;
                return Ok(());
            }
            Stage::Idle => return Err(wrong_order("there is no staged window to abort")),
            Stage::Dead(error) => return Err(error.clone()),
        }
        match self.producer.abort().await {
            Ok(()) => {
                *stage = Stage::Idle;
                Ok(())
            }
            Err(error) => Err(die(&mut stage, outcome::of_abort(&error))),
        }
    }

    /// The whole transaction but its end: records first, offsets while those are on their way, then every answer.
    async fn write(&self, window: Window) -> Result<Vec<i64>, KrafkaError> {
        self.producer.begin()?;
        let (offsets, ()) = futures::try_join!(self.send(window.records), self.send_consumed(window.consumed))?;
        Ok(offsets)
    }

    async fn send(&self, records: Vec<NewRecord>) -> Result<Vec<i64>, KrafkaError> {
        let mut deliveries = Vec::with_capacity(records.len());
        for record in records {
            deliveries.push(self.producer.enqueue(outgoing::record(record)).await?);
        }
        let mut offsets = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            let delivered = delivery.await?;
            offsets.push(if delivered.is_success() { delivered.offset } else { return Err(no_offset()) });
        }
        Ok(offsets)
    }

    async fn send_consumed(&self, consumed: Option<Consumed>) -> Result<(), KrafkaError> {
        let Some(consumed) = consumed.filter(|consumed| !consumed.offsets.is_empty()) else { return Ok(()) };
        let (offsets, member) = outgoing::consumed(consumed);
        self.producer.send_offsets(&offsets, &member).await
    }

    /// Aborts after `cause`, so that the caller is told no more than is true.
    async fn clean_up(&self, stage: &mut Stage, cause: &KrafkaError) -> WriteError {
        match outcome::of_cleanup(cause, self.producer.abort().await) {
            aborted @ WriteError::Aborted { .. } => {
                *stage = Stage::Idle;
                aborted
            }
            error => die(stage, error),
        }
    }
}

/// The broker had the batch already and no longer knows its offset. It happens only when the answer to a batch was lost
/// long ago; aborting costs one retry.
fn no_offset() -> KrafkaError {
    KrafkaError::transaction_abortable("a record was written whose offset the broker did not tell")
}
