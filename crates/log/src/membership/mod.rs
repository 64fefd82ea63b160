//! Owning partitions: membership in a consumer group on the commands topic.
//!
//! ```text
//!   group --Assigned--> owner fences, reads the log, installs ... --begin(partition)--> its records flow
//!         --Revoked---> owner ends its window, drops the ack  ---> the partition goes to its next owner
//! ```
//!
//! An assigned partition stays paused until the owner begins with it, and a revoked one is kept until the owner has let go
//! (bounded). Members are static: a process that restarts within the session time-out gets its partitions back at once,
//! without moving others. One that stops for good resigns.

mod callbacks;
mod confirm;
mod flow;
mod predecessor;
mod settings;
mod thread;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc as std_mpsc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use self::flow::Flow;
pub use self::flow::Inputs;
use crate::{LogConfig, LogError};

/// Who is to join which group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MembershipOptions {
    /// The group.
    pub group: String,
    /// The topic whose partitions are shared out.
    pub topic: String,
    /// The member's lasting name, unique in the group: a restarted process takes its predecessor's place by it.
    pub instance_id: String,
    /// Records that are fetched ahead for the owner of a partition, or 8 MiB of them if that is less.
    pub queue_records_max: usize,
    /// How long a revoked partition waits for its owner to let go.
    pub revoke_wait: Duration,
    /// After this long without a heartbeat the member's partitions go to others: the longest a crash goes unnoticed. The
    /// brokers have a least value, see [`crate::Admin::session_timeout_min`].
    pub session_timeout: Duration,
}

impl MembershipOptions {
    /// Options with the usual limits: 20,000 records fetched ahead for each partition, 5 s to let go of one, and the session
    /// time-out that every broker takes, 6 s.
    pub fn new(group: impl Into<String>, topic: impl Into<String>, instance_id: impl Into<String>) -> Self {
        Self {
            group: group.into(),
            topic: topic.into(),
            instance_id: instance_id.into(),
            queue_records_max: 20_000,
            revoke_wait: Duration::from_secs(5),
            session_timeout: Duration::from_secs(6),
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
    /// These partitions are ours from now on. Their records come after [`MemberHandle::begin`].
    Assigned {
        /// The partitions.
        partitions: Vec<i32>,
    },
    /// These partitions go to another member as soon as `ack` is dropped, or after the wait. None of their records follows.
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
    /// The partition is still ours, as the group has just confirmed. Its records come after [`MemberHandle::begin`].
    Confirmed {
        /// The partition.
        partition: i32,
    },
}

/// Keeps a revoked partition from its next owner; dropping it lets go.
#[derive(Debug)]
pub struct RevokeAck {
    _held: std_mpsc::SyncSender<()>,
}

/// What the owner asks of the member's thread.
#[derive(Debug)]
pub(crate) enum Request {
    Begin { partition: i32, offset: i64, flow: Flow },
    Confirm { partition: i32 },
}

/// Steers a membership from anywhere. Clones steer the same one.
#[derive(Debug, Clone)]
pub struct MemberHandle {
    requests: std_mpsc::SyncSender<Request>,
    member: watch::Receiver<Option<GroupMember>>,
    topic: Arc<str>,
}

/// Requests that may wait for the member's thread: far more than a process owns partitions.
const REQUESTS_MAX: usize = 10_000;

impl MemberHandle {
    /// Lets records of the partition flow, from an offset on. None comes when it is not ours any more.
    ///
    /// The offset is to be asked for with [`Admin::group_offset`](crate::Admin::group_offset) when the former owner is
    /// fenced: what the client learnt when the partition was assigned may be older than the last window of that owner, whose
    /// records would come again.
    ///
    /// # Errors
    /// [`LogError::Stopped`].
    pub fn begin(&self, partition: i32, offset: i64) -> Result<Inputs, LogError> {
        let (flow, inputs) = Flow::new(Arc::clone(&self.topic));
        self.request(Request::Begin { partition, offset, flow })?;
        Ok(inputs)
    }

    /// Asks the group whether the partition is still ours, and holds its records back until it is begun with again.
    /// Answered with [`MembershipEvent::Confirmed`], unless it is not ours any more.
    ///
    /// # Errors
    /// [`LogError::Stopped`].
    pub fn confirm(&self, partition: i32) -> Result<(), LogError> {
        self.request(Request::Confirm { partition })
    }

    /// Who we are in the group, as of a fraction of a second ago; `None` before joining. To be asked anew for every window.
    pub fn member(&self) -> Option<GroupMember> {
        self.member.borrow().clone()
    }

    fn request(&self, request: Request) -> Result<(), LogError> {
        self.requests.try_send(request).map_err(|_| LogError::Stopped("group member"))
    }
}

/// How a membership is to end.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    /// It is to end.
    stop: AtomicBool,
    /// The group is to be told.
    resign: AtomicBool,
}

/// A member of a group. Dropping it stops it without blocking; the group hears of it when the session times out, unless the
/// same member comes back before.
#[derive(Debug)]
pub struct Membership {
    events: mpsc::Receiver<Result<MembershipEvent, LogError>>,
    handle: MemberHandle,
    ending: Arc<Ending>,
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

    /// Stops and waits until the client is closed. The group keeps the partitions for the same member until the session
    /// times out. The caller must have ended its windows before, since no event is delivered any more.
    pub async fn leave(self) {
        self.end().await;
    }

    /// Like [`leave`](Self::leave), and tells the group, so that other members get the partitions at once.
    pub async fn resign(self) {
        self.ending.resign.store(true, Ordering::Relaxed);
        self.end().await;
    }

    async fn end(mut self) {
        self.ending.stop.store(true, Ordering::Relaxed);
        self.events.close();
        if let Some(ended) = self.ended.take() {
            // An error means that the thread is gone already.
            let _ = ended.await;
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.ending.stop.store(true, Ordering::Relaxed);
    }
}
