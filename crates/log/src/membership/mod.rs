//! Owning partitions: membership in a consumer group on the commands topic.
//!
//! ```text
//!   group --Assigned--> owner fences, reads the log, installs ... --resume(partition)--> Commands flow
//!         --Revoked---> owner ends its window, drops the ack  ---> the partition goes to its next owner
//! ```
//!
//! An assigned partition stays paused until the owner resumes it, and a revoked one is kept until the owner has let go
//! (bounded). Members are static: a process that restarts within the session time-out gets its partitions back at once,
//! without moving others.

mod callbacks;
mod thread;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc as std_mpsc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::{Fetched, LogConfig, LogError};

/// Who is to join which group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MembershipOptions {
    /// The group.
    pub group: String,
    /// The topic whose partitions are shared out.
    pub topic: String,
    /// The member's lasting name, unique in the group: a restarted process takes its predecessor's place by it.
    pub instance_id: String,
    /// Most commands in a batch.
    pub batch_records_max: usize,
    /// Most events (batches among them) waiting for the owner.
    pub queue_events_max: usize,
    /// How long a revoked partition waits for its owner to let go.
    pub revoke_wait: Duration,
}

impl MembershipOptions {
    /// Options with the usual limits: 1,000 commands a batch, 4 events waiting, 5 s to let go of a partition.
    pub fn new(group: impl Into<String>, topic: impl Into<String>, instance_id: impl Into<String>) -> Self {
        Self {
            group: group.into(),
            topic: topic.into(),
            instance_id: instance_id.into(),
            batch_records_max: 1_000,
            queue_events_max: 4,
            revoke_wait: Duration::from_secs(5),
        }
    }
}

/// Who a process is in its group. Brokers refuse offsets from a member of an older generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMember {
    /// The group.
    pub group: String,
    /// The group's generation when this was read.
    pub generation: i32,
    /// The id the coordinator gave.
    pub member_id: String,
    /// The member's lasting name.
    pub instance_id: Option<String>,
}

/// What happens to a member, in order.
#[derive(Debug)]
pub enum MembershipEvent {
    /// These partitions are ours from now on. Their commands come after [`MemberHandle::resume`].
    Assigned {
        /// The partitions.
        partitions: Vec<i32>,
    },
    /// These partitions go to another member as soon as `ack` is dropped, or after the wait. No command of theirs follows.
    Revoked {
        /// The partitions.
        partitions: Vec<i32>,
        /// To be dropped when the last window on them has ended.
        ack: RevokeAck,
    },
    /// These partitions belong to somebody else already: the session timed out. Whatever is under way will be fenced.
    Lost {
        /// The partitions.
        partitions: Vec<i32>,
    },
    /// Commands of resumed partitions, in order within each partition. Never empty.
    Commands(Vec<Fetched>),
}

/// Keeps a revoked partition from its next owner; dropping it lets go.
#[derive(Debug)]
pub struct RevokeAck {
    _held: std_mpsc::SyncSender<()>,
}

/// What the owner asks of the member's thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    Pause(i32),
    Resume(i32),
}

/// Steers a membership from anywhere. Clones steer the same one.
#[derive(Debug, Clone)]
pub struct MemberHandle {
    requests: std_mpsc::SyncSender<Request>,
    member: watch::Receiver<Option<GroupMember>>,
}

/// Requests that may wait for the member's thread: far more than a process owns partitions.
const REQUESTS_MAX: usize = 10_000;

impl MemberHandle {
    /// Lets commands of the partition flow. Ignored when it is not ours any more.
    ///
    /// # Errors
    /// [`LogError::Stopped`].
    pub fn resume(&self, partition: i32) -> Result<(), LogError> {
        self.request(Request::Resume(partition))
    }

    /// Holds commands of the partition back; batches that wait already still come. Ignored when it is not ours any more.
    ///
    /// # Errors
    /// [`LogError::Stopped`].
    pub fn pause(&self, partition: i32) -> Result<(), LogError> {
        self.request(Request::Pause(partition))
    }

    /// Who we are in the group, as of a fraction of a second ago; `None` before joining. To be asked anew for every window.
    pub fn member(&self) -> Option<GroupMember> {
        self.member.borrow().clone()
    }

    fn request(&self, request: Request) -> Result<(), LogError> {
        self.requests.try_send(request).map_err(|_| LogError::Stopped("group member"))
    }
}

/// A member of a group. Dropping it stops it without blocking; the group hears of it when the session times out, unless the
/// same member comes back before.
#[derive(Debug)]
pub struct Membership {
    events: mpsc::Receiver<Result<MembershipEvent, LogError>>,
    handle: MemberHandle,
    stop: Arc<AtomicBool>,
    ended: Option<tokio::sync::oneshot::Receiver<()>>,
}

impl Membership {
    /// Begins to join. Must be called in a Tokio runtime; does not block, and waits for brokers that are not reachable.
    ///
    /// # Errors
    /// [`LogError::Client`] when the client refuses its settings or the system another thread.
    pub fn join(config: &LogConfig, options: MembershipOptions) -> Result<Self, LogError> {
        thread::start(config, options)
    }

    /// What happens next; `None` after an error. Safe to drop while it waits.
    ///
    /// # Errors
    /// What cannot be mended by waiting: [`LogError::UnknownTopic`], [`LogError::Client`] (another process has our instance
    /// id, access denied), [`LogError::Stopped`].
    pub async fn next(&mut self) -> Option<Result<MembershipEvent, LogError>> {
        self.events.recv().await
    }

    /// Steers this membership.
    pub fn handle(&self) -> MemberHandle {
        self.handle.clone()
    }

    /// Stops and waits until the client is closed. Partitions are revoked on the way: the caller must have ended its
    /// windows before, since no event is delivered any more.
    pub async fn leave(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.events.close();
        if let Some(ended) = self.ended.take() {
            // An error means that the thread is gone already.
            let _ = ended.await;
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
