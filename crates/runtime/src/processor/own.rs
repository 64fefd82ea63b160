//! Owning partitions: what the group assigns to this process, it takes over and serves.
//!
//! ```text
//! assigned ─▶ take over ─▶ serve ─▶ inputs flow
//! revoked  ─▶ end the batch under way, let go
//! lost     ─▶ ask the group whether it is still ours; then take over again
//! stopped  ─▶ let go of everything and resign, so that others need not wait for the session to time out
//! ```

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use spina_log::membership::{MemberHandle, MembershipEvent, MembershipOptions};
use spina_log::{Lanes, LogConfig, LogError, Membership};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::partition::{Ended, Partition};
use super::requests::{Requests, Waiting};
use super::restore::{StateLog, Taken, take_over};
use super::{Clock, Place, Processor, Stage};
use crate::shutdown::sleep;
use crate::{Condition, Readiness, Tasks};

/// Pause between tries to take a partition over, after losing one, and before joining the group anew.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// Inputs that may wait for a partition.
const QUEUE_MAX: usize = 4_096;
/// Partitions that may be lost before the first of them is asked for.
const LOSSES_MAX: usize = 256;

/// What the loop needs of the process.
#[derive(Clone)]
pub struct Process {
    /// Where the brokers are.
    pub log: LogConfig,
    /// Its lasting name in the group.
    pub instance: String,
    /// How long it may be silent before its partitions go to others; at least what the brokers take, see
    /// [`spina_log::Admin::session_timeout_min`].
    pub session_timeout: Duration,
    /// Opens transactional lanes.
    pub lanes: Arc<dyn Lanes>,
    /// Reads state topics.
    pub state: Arc<dyn StateLog>,
    /// The time.
    pub clock: Clock,
    /// Runs the owners.
    pub tasks: Tasks,
    /// Says which partitions are not served yet.
    pub readiness: Readiness,
    /// Cancelled when the process begins to stop.
    pub draining: CancellationToken,
}

type RequestOf<S> = <<S as Stage>::Processor as Processor>::Request;

/// Serves what the group assigns to this process, until it stops.
///
/// # Errors
/// [`LogError::Client`] when the client refuses its settings.
pub async fn run<S: Stage>(
    stage: Arc<S>,
    place: Place,
    process: Process,
    requests: Requests<RequestOf<S>>,
) -> Result<(), LogError> {
    while !process.draining.is_cancelled() {
        let mut options = MembershipOptions::new(&place.group, place.input_topic.as_ref(), &process.instance);
        options.session_timeout = process.session_timeout;
        let membership = Membership::join(&process.log, options)?;
        let (lost, losses) = mpsc::channel(LOSSES_MAX);
        let owner = Owner {
            stage: Arc::clone(&stage),
            place: place.clone(),
            process: process.clone(),
            member: membership.handle(),
            requests: requests.clone(),
        };
        let session = Session { owner, running: HashMap::new(), lost };
        if let Err(error) = session.run(membership, losses).await {
            error!(group = place.group, %error, "the membership in the consumer group ended");
        }
        sleep(&process.draining, RETRY_PAUSE).await;
    }
    Ok(())
}

/// A partition in hand.
struct Running {
    drain: CancellationToken,
    ended: oneshot::Receiver<()>,
}

/// One stay in the group.
struct Session<S: Stage> {
    owner: Owner<S>,
    running: HashMap<i32, Running>,
    lost: mpsc::Sender<i32>,
}

impl<S: Stage> Session<S> {
    async fn run(mut self, mut membership: Membership, mut losses: mpsc::Receiver<i32>) -> Result<(), LogError> {
        let draining = self.owner.process.draining.clone();
        let ended = loop {
            tokio::select! {
                biased;
                () = draining.cancelled() => break Ok(()),
                Some(partition) = losses.recv() => self.ask_for(partition)?,
                event = membership.next() => match event {
                    Some(Ok(event)) => self.on(event).await,
                    Some(Err(error)) => break Err(error),
                    None => break Err(LogError::Stopped("group member")),
                },
            }
        };
        let all: Vec<i32> = self.running.keys().copied().collect();
        self.let_go(&all).await;
        if draining.is_cancelled() {
            membership.resign().await;
        } else {
            membership.leave().await;
        }
        ended
    }

    /// The partition was lost although the group has not said so: it says now, by confirming us or not.
    fn ask_for(&mut self, partition: i32) -> Result<(), LogError> {
        match self.running.remove(&partition) {
            Some(_) => self.owner.member.confirm(partition),
            None => Ok(()),
        }
    }

    async fn on(&mut self, event: MembershipEvent) {
        match event {
            MembershipEvent::Assigned { partitions } => partitions.into_iter().for_each(|p| self.take(p)),
            MembershipEvent::Revoked { partitions, ack } => {
                self.let_go(&partitions).await;
                drop(ack);
            }
            MembershipEvent::Lost { partitions } => self.let_go(&partitions).await,
            MembershipEvent::Confirmed { partition } => self.take(partition),
        }
    }

    fn take(&mut self, partition: i32) {
        let drain = CancellationToken::new();
        let (end, ended) = oneshot::channel();
        self.running.insert(partition, Running { drain: drain.clone(), ended });
        let (owner, lost) = (self.owner.clone(), self.lost.clone());
        let name = format!("{} partition {partition}", owner.place.group);
        self.owner.process.tasks.spawn(name, async move {
            let ended = owner.serve(partition, &drain).await;
            drop(end);
            if ended == Ended::Lost {
                // Two that take it from each other are not to do so all the time.
                sleep(&drain, RETRY_PAUSE).await;
                // The session may have ended.
                let _gone = lost.send(partition).await;
            }
            Ok(())
        });
    }

    /// Ends the batches under way and forgets the partitions.
    async fn let_go(&mut self, partitions: &[i32]) {
        let leaving: Vec<Running> = partitions.iter().filter_map(|p| self.running.remove(p)).collect();
        leaving.iter().for_each(|running| running.drain.cancel());
        for running in leaving {
            // The sender is dropped when the owner has ended.
            let _ended = running.ended.await;
        }
        for partition in partitions {
            self.owner.process.readiness.remove(&self.owner.component(*partition));
        }
    }
}

/// What serving any partition takes.
struct Owner<S: Stage> {
    stage: Arc<S>,
    place: Place,
    process: Process,
    member: MemberHandle,
    requests: Requests<RequestOf<S>>,
}

impl<S: Stage> Clone for Owner<S> {
    fn clone(&self) -> Self {
        Self {
            stage: Arc::clone(&self.stage),
            place: self.place.clone(),
            process: self.process.clone(),
            member: self.member.clone(),
            requests: self.requests.clone(),
        }
    }
}

impl<S: Stage> Owner<S> {
    fn component(&self, partition: i32) -> String {
        format!("{} partition {partition}", self.place.group)
    }

    /// From take-over to letting go.
    async fn serve(self, partition: i32, drain: &CancellationToken) -> Ended {
        let Some(taken) = self.take_over(partition, drain).await else { return Ended::Drained };
        let (sender, queue) = mpsc::channel(QUEUE_MAX);
        let inputs_from = taken.inputs_from;
        let member = self.member.clone();
        let served = Partition {
            stage: Arc::clone(&self.stage),
            place: self.place.clone(),
            partition,
            taken,
            queue,
            who: Box::new(move || member.member()),
            clock: Arc::clone(&self.process.clock),
            turn: 0,
        };
        self.requests.open(partition, sender.clone());
        self.process.readiness.set(self.component(partition), Condition::Ready);
        let ended = tokio::select! {
            ended = served.run(drain.clone()) => ended,
            never = self.queue_inputs(partition, inputs_from, sender) => match never {},
        };
        self.requests.close(partition);
        info!(group = self.place.group, partition, ?ended, "partition let go");
        ended
    }

    /// Puts the inputs of the partition in line, from an offset on, for as long as it is served.
    async fn queue_inputs(&self, partition: i32, from: i64, queue: mpsc::Sender<Waiting<RequestOf<S>>>) -> Infallible {
        match self.member.begin(partition, from) {
            Ok(mut inputs) => {
                while let Some(record) = inputs.next().await {
                    // An owner that went away has lost the partition: the record comes again to the next one.
                    let _gone = queue.send(Waiting::Record(record)).await;
                }
            }
            Err(error) => warn!(group = self.place.group, partition, %error, "inputs cannot flow"),
        }
        futures::future::pending().await
    }

    /// Tries until it succeeds or the partition is to be let go.
    async fn take_over(&self, partition: i32, drain: &CancellationToken) -> Option<Taken<S::Processor>> {
        self.process.readiness.set(self.component(partition), Condition::not_ready("is taken over"));
        let (lanes, log) = (&*self.process.lanes, &*self.process.state);
        while !drain.is_cancelled() {
            let taking = take_over(&*self.stage, &self.place, partition, lanes, log);
            match drain.run_until_cancelled(taking).await {
                None => return None,
                Some(Ok(taken)) => {
                    info!(group = self.place.group, partition, "partition taken over");
                    return Some(taken);
                }
                Some(Err(error)) => {
                    let error = format!("{error:#}");
                    error!(group = self.place.group, partition, error, "cannot take the partition over");
                    self.process.readiness.set(self.component(partition), Condition::NotReady(error));
                }
            }
            sleep(drain, RETRY_PAUSE).await;
        }
        None
    }
}
