//! The queue in front of a partition, bounded in number and in bytes.
//!
//! What a submission weighs is held from the queue until it is answered: while it waits, while it is held back for a state,
//! and while its window is in flight. So the bound is that of everything a partition has taken and not answered.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::append::Submission;

/// How much may wait.
#[derive(Debug, Clone, Copy)]
pub struct QueueLimits {
    /// Submissions in the queue.
    pub submissions_max: usize,
    /// Bytes of everything that is not answered, as [`Submission::weight`] counts them. A submission that is larger goes
    /// alone.
    pub bytes_max: u32,
}

/// A submission's part of the bytes that may wait, given back when it is dropped.
pub type Room = OwnedSemaphorePermit;

/// Why a submission was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// As much waits as may.
    Full,
    /// The owner has gone.
    Closed,
}

/// The entrance of the queue. Clones share it.
#[derive(Debug, Clone)]
pub struct Queue {
    sender: mpsc::Sender<Submission>,
    room: Arc<Semaphore>,
    bytes_max: u32,
}

impl Queue {
    /// An empty queue, and where its owner takes from.
    pub fn new(limits: QueueLimits) -> (Self, mpsc::Receiver<Submission>) {
        let (sender, submissions) = mpsc::channel(limits.submissions_max.max(1));
        let room = Arc::new(Semaphore::new(usize::try_from(limits.bytes_max).unwrap_or(Semaphore::MAX_PERMITS)));
        (Self { sender, room, bytes_max: limits.bytes_max }, submissions)
    }

    /// Puts it in, if there is room for it now.
    ///
    /// # Errors
    /// [`Refused`]; nothing became of the submission.
    pub fn try_submit(&self, mut submission: Submission) -> Result<(), Refused> {
        let room = Arc::clone(&self.room).try_acquire_many_owned(self.needs(&submission));
        submission.room =
            Some(room.map_err(|_| if self.sender.is_closed() { Refused::Closed } else { Refused::Full })?);
        self.sender.try_send(submission).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Refused::Full,
            mpsc::error::TrySendError::Closed(_) => Refused::Closed,
        })
    }

    /// Puts it in when there is room for it. False if the owner has gone: then it was dropped.
    pub async fn submit(&self, mut submission: Submission) -> bool {
        let room = tokio::select! {
            room = Arc::clone(&self.room).acquire_many_owned(self.needs(&submission)) => room,
            () = self.sender.closed() => return false,
        };
        submission.room = room.ok();
        self.sender.send(submission).await.is_ok()
    }

    /// Bytes of everything that was taken and is not answered.
    pub fn unanswered_bytes(&self) -> usize {
        (self.bytes_max as usize).saturating_sub(self.room.available_permits())
    }

    fn needs(&self, submission: &Submission) -> u32 {
        u32::try_from(submission.weight()).unwrap_or(u32::MAX).min(self.bytes_max)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures::poll;

    use super::*;
    use crate::decide::append::Command;

    /// Nothing but a key, which is most of its weight.
    fn submission(bytes: usize) -> Submission {
        let key = Bytes::from(vec![b'k'; bytes - empty().weight()]);
        Submission::published(Command { key, ..command() }, Vec::new(), None)
    }

    fn empty() -> Submission {
        Submission::published(command(), Vec::new(), None)
    }

    fn command() -> Command {
        Command { offset: 0, key: Bytes::new(), request_id: String::new(), refusal: None }
    }

    fn queue(bytes_max: u32) -> (Queue, mpsc::Receiver<Submission>) {
        Queue::new(QueueLimits { submissions_max: 3, bytes_max })
    }

    #[test]
    fn what_was_taken_counts_until_it_is_answered() {
        let (queue, mut taken) = queue(10_000);
        assert_eq!((queue.try_submit(submission(6_000)), queue.try_submit(submission(4_000))), (Ok(()), Ok(())));
        let first = taken.try_recv().unwrap();
        assert_eq!(queue.try_submit(submission(4_000)), Err(Refused::Full), "the owner has it, and nobody was told");
        assert_eq!(queue.unanswered_bytes(), 10_000);
        first.answer_with(Vec::new());
        assert_eq!(queue.unanswered_bytes(), 4_000);
        assert_eq!(queue.try_submit(submission(4_000)), Ok(()));
    }

    #[test]
    fn their_number_is_bounded_too() {
        let (queue, _taken) = queue(10_000);
        let submitted: Vec<_> = (0..4).map(|_| queue.try_submit(empty())).collect();
        assert_eq!(submitted, [Ok(()), Ok(()), Ok(()), Err(Refused::Full)]);
    }

    #[tokio::test]
    async fn what_is_larger_than_the_bound_waits_for_all_others_and_goes_alone() {
        let (queue, mut taken) = queue(10_000);
        queue.try_submit(submission(1_000)).unwrap();
        let large = queue.submit(submission(50_000));
        tokio::pin!(large);
        assert!(poll!(&mut large).is_pending());
        drop(taken.recv().await);
        assert!(large.await);
        assert_eq!(queue.try_submit(empty()), Err(Refused::Full));
    }

    #[tokio::test]
    async fn nobody_waits_for_an_owner_that_has_gone() {
        let (queue, mut taken) = queue(10_000);
        queue.try_submit(submission(10_000)).unwrap();
        let waiting = queue.submit(submission(1_000));
        tokio::pin!(waiting);
        assert!(poll!(&mut waiting).is_pending());
        taken.close();
        assert!(!waiting.await);
        assert_eq!(queue.try_submit(empty()), Err(Refused::Closed));
    }
}
