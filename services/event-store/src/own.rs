//! Owning partitions: being assigned one by the consumer group makes this process its one writer.
//!
//! ```text
//! assigned ─▶ take over (fence, read, install) ─▶ serve ─▶ commands flow
//! revoked  ─▶ stop taking, finish windows, let go
//! lost     ─▶ leave the group and join anew, so that commands come again from their committed offsets
//! ```

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use spina_log::membership::{MemberHandle, MembershipEvent, MembershipOptions};
use spina_log::{Fetched, LogError, Membership, names};
use spina_runtime::Tasks;
use spina_runtime::shutdown::sleep;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::archive::Archiver;
use crate::commands::{self, GroupOffsets};
use crate::context::{Context, Owned};
use crate::decide::partition::{Ended, Partition};
use crate::decide::takeover::{TakeOverError, Taken, take_over};
use crate::serving::Serving;

/// Pause between tries to take a partition over, and before joining the group anew.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Owns what the group assigns to this process, until it stops.
pub async fn own(context: Arc<Context>, instance: String, tasks: Tasks, serving: Serving) -> anyhow::Result<()> {
    while !context.shared.stopping.is_cancelled() {
        let topic = names::commands_topic(context.name());
        let options = MembershipOptions::new(names::event_store_group(context.name()), &topic, &instance);
        let membership = Membership::join(&context.shared.log, options)?;
        let (lost, losses) = mpsc::channel(1);
        let session = Session {
            context: Arc::clone(&context),
            offsets: Arc::new(GroupOffsets::new(&topic, membership.handle())),
            member: membership.handle(),
            tasks: tasks.clone(),
            serving: serving.clone(),
            running: HashMap::new(),
            lost,
        };
        if let Err(error) = session.run(membership, losses).await {
            error!(%error, "the membership in the consumer group ended");
        }
        sleep(&context.shared.stopping, RETRY_PAUSE).await;
    }
    Ok(())
}

/// A partition in hand.
struct Running {
    drain: CancellationToken,
    ended: oneshot::Receiver<()>,
}

/// One stay in the group.
struct Session {
    context: Arc<Context>,
    offsets: Arc<GroupOffsets>,
    member: MemberHandle,
    tasks: Tasks,
    serving: Serving,
    running: HashMap<i32, Running>,
    lost: mpsc::Sender<i32>,
}

impl Session {
    async fn run(mut self, mut membership: Membership, mut losses: mpsc::Receiver<i32>) -> Result<(), LogError> {
        let stopping = self.context.shared.stopping.clone();
        let ended = loop {
            tokio::select! {
                biased;
                () = stopping.cancelled() => break Ok(()),
                Some(partition) = losses.recv() => {
                    warn!(partition, "partition lost, joining the group anew");
                    break Ok(());
                }
                event = membership.next() => match event {
                    Some(Ok(event)) => self.on(event).await,
                    Some(Err(error)) => break Err(error),
                    None => break Err(LogError::Stopped("group member")),
                },
            }
        };
        let all: Vec<i32> = self.running.keys().copied().collect();
        self.let_go(&all).await;
        membership.leave().await;
        ended
    }

    async fn on(&mut self, event: MembershipEvent) {
        match event {
            MembershipEvent::Assigned { partitions } => partitions.into_iter().for_each(|p| self.take(p)),
            MembershipEvent::Revoked { partitions, ack } => {
                self.let_go(&partitions).await;
                drop(ack);
            }
            MembershipEvent::Lost { partitions } => self.let_go(&partitions).await,
            MembershipEvent::Commands(records) => self.submit(records).await,
        }
    }

    fn take(&mut self, partition: i32) {
        self.serving.waits(self.context.name(), partition, "is taken over");
        let drain = CancellationToken::new();
        let (end, ended) = oneshot::channel();
        self.running.insert(partition, Running { drain: drain.clone(), ended });
        let owner = Owner {
            context: Arc::clone(&self.context),
            offsets: Arc::clone(&self.offsets),
            member: self.member.clone(),
            serving: self.serving.clone(),
            partition,
        };
        let lost = self.lost.clone();
        self.tasks.spawn(format!("{} partition {partition}", self.context.name()), async move {
            if owner.serve(drain).await == Ended::Lost {
                // One loss is enough to start anew.
                let _full = lost.try_send(partition);
            }
            drop(end);
            Ok(())
        });
    }

    /// Stops taking, finishes what was taken, and forgets the partitions.
    async fn let_go(&mut self, partitions: &[i32]) {
        let leaving: Vec<Running> = partitions.iter().filter_map(|p| self.running.remove(p)).collect();
        leaving.iter().for_each(|running| running.drain.cancel());
        for running in leaving {
            // The sender is dropped when the owner has ended.
            let _ended = running.ended.await;
        }
        partitions.iter().for_each(|p| self.serving.left(self.context.name(), *p));
    }

    async fn submit(&self, records: Vec<Fetched>) {
        for record in records {
            let Some(owned) = self.context.owned(record.partition) else { continue };
            let submission = commands::submission(&self.context, record).await;
            // An owner that went away has lost the partition: the command comes again after joining anew.
            let _gone = owned.queue.send(submission).await;
        }
    }
}

/// The owner of one partition, from take-over to letting go.
struct Owner {
    context: Arc<Context>,
    offsets: Arc<GroupOffsets>,
    member: MemberHandle,
    serving: Serving,
    partition: i32,
}

impl Owner {
    async fn serve(self, drain: CancellationToken) -> Ended {
        let Some(taken) = self.take_over(&drain).await else { return Ended::Drained };
        let (queue, submissions) = mpsc::channel(self.context.shared.limits.queue_max);
        let owned = Owned { queue, tail: Arc::clone(&taken.tail), epoch: taken.epoch() };
        let archiver = Archiver::new(Arc::clone(&self.context), self.partition, owned.clone());
        let partition = Partition::new(Arc::clone(&self.context), taken, Arc::clone(&self.offsets), submissions);
        self.context.set_owned(self.partition, Some(owned));
        self.serving.serves(self.context.name(), self.partition);
        if let Err(error) = self.member.resume(self.partition) {
            warn!(partition = self.partition, %error, "commands cannot flow");
        }
        let served = CancellationToken::new();
        let serve = async {
            let ended = partition.run(drain).await;
            served.cancel();
            ended
        };
        let (ended, ()) = tokio::join!(serve, archiver.run(served.clone()));
        self.context.set_owned(self.partition, None);
        info!(partition = self.partition, ?ended, "partition let go");
        ended
    }

    /// Tries until it succeeds or the partition is to be let go.
    async fn take_over(&self, drain: &CancellationToken) -> Option<Taken> {
        while !drain.is_cancelled() {
            match take_over(&self.context, self.partition).await {
                Ok(taken) => return Some(taken),
                Err(error) => {
                    error!(partition = self.partition, %error, cause = cause(&error), "cannot take the partition over");
                    self.serving.waits(self.context.name(), self.partition, &error.to_string());
                }
            }
            sleep(drain, RETRY_PAUSE).await;
        }
        None
    }
}

fn cause(error: &TakeOverError) -> String {
    std::error::Error::source(error).map(ToString::to_string).unwrap_or_default()
}
