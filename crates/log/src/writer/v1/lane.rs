//! A lane on rdkafka's transactional producer: a thread that does one call after the other.

use std::thread;
use std::time::Instant;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use super::outcome;
use super::producer::ProducerV1;
use super::{Defences, SLOW};
use crate::writer::stage::{Stage, die, wrong_order};
use crate::writer::{Lane, Window, WriteError};
use crate::{LogConfig, LogError};

/// Calls that may wait for the thread: one is under way, the next one begun.
const ORDERS_MAX: usize = 4;

/// A lane. A call that was begun is carried out whether its caller waits or not.
pub(super) struct LaneV1 {
    orders: mpsc::Sender<Order>,
}

enum Order {
    Stage(Window, oneshot::Sender<Result<Vec<i64>, WriteError>>),
    Commit(oneshot::Sender<Result<(), WriteError>>),
    Abort(oneshot::Sender<Result<(), WriteError>>),
}

impl LaneV1 {
    pub(super) async fn open(config: &LogConfig, id: &str, defences: Defences) -> Result<Self, LogError> {
        let (orders, to_do) = mpsc::channel(ORDERS_MAX);
        let (opened, opening) = oneshot::channel();
        let (config, id) = (config.clone(), id.to_owned());
        let work = move || match ProducerV1::open(&config, &id) {
            Ok(producer) => {
                let _ = opened.send(Ok(()));
                Desk { producer, defences, stage: Stage::Idle }.work(to_do);
            }
            Err(error) => drop(opened.send(Err(error))),
        };
        thread::Builder::new()
            .name("lane-v1".to_owned())
            .spawn(work)
            .map_err(|error| LogError::client("start the thread of a lane", error))?;
        opening.await.map_err(|_| LogError::Stopped("lane"))??;
        Ok(Self { orders })
    }

    async fn ask<T>(
        &self,
        order: impl FnOnce(oneshot::Sender<Result<T, WriteError>>) -> Order,
    ) -> Result<T, WriteError> {
        let (answer, answered) = oneshot::channel();
        // The thread ends only when it panics. What was sent by then is not known.
        let cut_off = || WriteError::Unknown { reason: "the lane's thread has ended".to_owned() };
        self.orders.send(order(answer)).await.map_err(|_| cut_off())?;
        answered.await.unwrap_or_else(|_| Err(cut_off()))
    }
}

#[async_trait]
impl Lane for LaneV1 {
    async fn stage(&self, window: Window) -> Result<Vec<i64>, WriteError> {
        self.ask(|answer| Order::Stage(window, answer)).await
    }

    async fn commit(&self) -> Result<(), WriteError> {
        self.ask(Order::Commit).await
    }

    async fn abort(&self) -> Result<(), WriteError> {
        self.ask(Order::Abort).await
    }
}

/// What the lane's thread works with.
struct Desk {
    producer: ProducerV1,
    defences: Defences,
    stage: Stage,
}

impl Desk {
    /// Callers that gave up do not hear their answers.
    fn work(mut self, mut orders: mpsc::Receiver<Order>) {
        while let Some(order) = orders.blocking_recv() {
            match order {
                Order::Stage(window, answer) => drop(answer.send(self.stage(window))),
                Order::Commit(answer) => drop(answer.send(self.commit())),
                Order::Abort(answer) => drop(answer.send(self.abort())),
            }
        }
    }

    fn stage(&mut self, window: Window) -> Result<Vec<i64>, WriteError> {
        match &self.stage {
            Stage::Idle => {}
            Stage::Staged { .. } => return Err(wrong_order("a window is staged already")),
            Stage::Dead(error) => return Err(error.clone()),
        }
        if window.is_empty() {
            self.stage = Stage::Staged { transaction: false };
            return Ok(Vec::new());
        }
        match self.producer.write(&window.records, window.consumed.as_ref()) {
            Ok(offsets) => {
                self.stage = Stage::Staged { transaction: true };
                Ok(offsets)
            }
            Err(cause) => Err(self.clean_up(&cause)),
        }
    }

    fn commit(&mut self) -> Result<(), WriteError> {
        if !self.has_transaction("commit")? {
            return Ok(());
        }
        let begun = Instant::now();
        let Err(failure) = self.producer.commit() else {
            self.ended(begun);
            return Ok(());
        };
        match outcome::of_commit(&failure, self.producer.is_disturbed()) {
            Some(error) => Err(die(&mut self.stage, error)),
            None => Err(self.clean_up(&failure)),
        }
    }

    fn abort(&mut self) -> Result<(), WriteError> {
        if !self.has_transaction("abort")? {
            return Ok(());
        }
        let begun = Instant::now();
        match self.producer.abort() {
            Ok(()) => {
                self.ended(begun);
                Ok(())
            }
            Err(failure) => Err(die(&mut self.stage, outcome::of_abort(failure))),
        }
    }

    /// Whether a transaction is open that is to be ended; an empty window ends here.
    fn has_transaction(&mut self, call: &str) -> Result<bool, WriteError> {
        match &self.stage {
            Stage::Staged { transaction: true } => Ok(true),
            Stage::Staged { transaction: false } => {
                self.stage = Stage::Idle;
                Ok(false)
            }
            Stage::Idle => Err(wrong_order(&format!("there is no staged window to {call}"))),
            Stage::Dead(error) => Err(error.clone()),
        }
    }

    /// Aborts after `cause`, so that the caller is told no more than is true.
    fn clean_up(&mut self, cause: &outcome::Failure) -> WriteError {
        let begun = Instant::now();
        match outcome::of_cleanup(cause, self.producer.abort()) {
            aborted @ WriteError::Aborted { .. } => {
                self.ended(begun);
                aborted
            }
            error => die(&mut self.stage, error),
        }
    }

    /// After a transaction has ended: ready for the next one, unless a request of this one may still be under way.
    fn ended(&mut self, begun: Instant) {
        self.stage = Stage::Idle;
        if self.defences == Defences::Off {
            return;
        }
        let slow = begun.elapsed() >= SLOW;
        if slow || self.producer.is_disturbed() {
            let reason = format!("a request may still be under way ({}); open the id again", sign(slow));
            tracing::info!(slow, "retiring a lane: a request of its last transaction may still be under way");
            die(&mut self.stage, WriteError::Broken { reason });
        }
    }
}

fn sign(slow: bool) -> &'static str {
    if slow { "ending the transaction was slow" } else { "a connection was lost or a request timed out" }
}
