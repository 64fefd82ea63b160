//! The way of direct requests to the partition that is to judge them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use spina_log::Fetched;
use tokio::sync::mpsc;

/// What waits for a partition.
#[derive(Debug)]
pub(super) enum Waiting<R> {
    Record(Fetched),
    Request(R),
}

type Queues<R> = Arc<Mutex<HashMap<i32, mpsc::Sender<Waiting<R>>>>>;

/// The partition is not served by this process at the moment, or too much waits for it: ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the partition is not served here at the moment")]
pub struct NotHere;

/// Takes requests for the partitions that this process serves. Clones are one.
#[derive(Debug)]
pub struct Requests<R> {
    queues: Queues<R>,
}

impl<R> Clone for Requests<R> {
    fn clone(&self) -> Self {
        Self { queues: Arc::clone(&self.queues) }
    }
}

impl<R> Default for Requests<R> {
    fn default() -> Self {
        Self { queues: Arc::default() }
    }
}

impl<R> Requests<R> {
    /// Puts a request in line with the inputs of a partition.
    ///
    /// # Errors
    /// [`NotHere`].
    pub fn send(&self, partition: i32, request: R) -> Result<(), NotHere> {
        let queue = self.queue(partition).ok_or(NotHere)?;
        queue.try_send(Waiting::Request(request)).map_err(|_| NotHere)
    }

    /// The partitions served here.
    #[must_use]
    pub fn partitions(&self) -> Vec<i32> {
        self.lock().keys().copied().collect()
    }

    pub(super) fn queue(&self, partition: i32) -> Option<mpsc::Sender<Waiting<R>>> {
        self.lock().get(&partition).cloned()
    }

    pub(super) fn open(&self, partition: i32, queue: mpsc::Sender<Waiting<R>>) {
        self.lock().insert(partition, queue);
    }

    pub(super) fn close(&self, partition: i32) {
        self.lock().remove(&partition);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<i32, mpsc::Sender<Waiting<R>>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
