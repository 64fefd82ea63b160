//! Owning partitions: being assigned one by the consumer group makes this process its one writer.
//!
//! ```text
//! assigned ─▶ take over (fence, read, install) ─▶ serve ─▶ commands flow
//! revoked  ─▶ stop taking, finish windows, let go
//! lost     ─▶ ask the group whether it is still ours; then take over again
//! stopped  ─▶ let go of everything and resign, so that the others need not wait for the session to time out
//! ```

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, TryFutureExt};
use spina_core::{State, StreamId};
use spina_log::membership::{MemberHandle, MembershipEvent, MembershipOptions};
use spina_log::{LogError, Membership, names};
use spina_runtime::shutdown::sleep;
use spina_runtime::{Tasks, failpoint};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::archive::Archiver;
use crate::commands::{self, GroupOffsets};
use crate::context::{Context, Owned};
use crate::decide::deciding::Deciding;
use crate::decide::equipment::Equipment;
use crate::decide::partition::{Ended, Partition};
use crate::decide::queue::Queue;
use crate::decide::takeover::{TakeOverError, Taken, take_over};
use crate::forward;
use crate::read::{state, stream};
use crate::serving::Serving;
use crate::unique::{self, Term};

/// Pause between tries to take a partition over, after losing one, and before joining the group anew.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// How long a revoked partition is served on before it is let go. The client of a member joins at most once a second
/// (librdkafka's join interval); the successor has just joined and must once more to get the partition. Letting go at once
/// would leave nobody to serve it for that second.
const SUCCESSOR_PAUSE: Duration = Duration::from_millis(1_000);
/// A session time-out that brokers take unless they were told otherwise.
const SESSION_TIMEOUT_ANY: Duration = Duration::from_secs(6);

/// What owning needs of the process.
#[derive(Clone)]
pub struct Process {
    /// Its lasting name in the group.
    pub instance: String,
    /// How long it may be silent before its partitions go to others; more where the brokers ask for it.
    pub session_timeout: Duration,
    /// Runs the owners.
    pub tasks: Tasks,
    /// Says which partitions are not served.
    pub serving: Serving,
    /// Cancelled when the process begins to stop.
    pub draining: CancellationToken,
}

/// Owns what the group assigns to this process, until it stops.
pub async fn own(context: Arc<Context>, process: Process) -> anyhow::Result<()> {
    let stopping = context.shared.stopping.clone();
    while !process.draining.is_cancelled() {
        let topic = names::commands_topic(context.name());
        let mut options = MembershipOptions::new(names::event_store_group(context.name()), &topic, &process.instance);
        options.session_timeout = session_timeout(&context, process.session_timeout).await;
        let membership = Membership::join(&context.shared.log, options)?;
        let (lost, losses) = mpsc::channel(usize::try_from(context.partitions).unwrap_or(1).max(1));
        let member = membership.handle();
        let offsets = GroupOffsets::new(&topic, move || member.member());
        let session = Session {
            context: Arc::clone(&context),
            offsets: Arc::new(offsets),
            member: membership.handle(),
            process: process.clone(),
            running: HashMap::new(),
            lost,
        };
        if let Err(error) = session.run(membership, losses).await {
            error!(%error, "the membership in the consumer group ended");
        }
        sleep(&stopping, RETRY_PAUSE).await;
    }
    Ok(())
}

/// The session time-out wished for, or the least that the brokers take.
async fn session_timeout(context: &Context, wished: Duration) -> Duration {
    match context.shared.admin.session_timeout_min().await {
        Ok(least) if wished < least => {
            info!(?wished, ?least, "the brokers ask for a longer session: a crash is noticed later");
            least
        }
        Ok(_) => wished,
        Err(error) => {
            warn!(%error, "cannot ask the brokers for their least session time-out");
            wished.max(SESSION_TIMEOUT_ANY)
        }
    }
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
    process: Process,
    running: HashMap<i32, Running>,
    lost: mpsc::Sender<i32>,
}

impl Session {
    async fn run(mut self, mut membership: Membership, mut losses: mpsc::Receiver<i32>) -> Result<(), LogError> {
        let (stopping, draining) = (self.context.shared.stopping.clone(), self.process.draining.clone());
        let ended = loop {
            tokio::select! {
                biased;
                () = stopping.cancelled() => break Ok(()),
                () = draining.cancelled(), if !self.alone() => break Ok(()),
                Some(partition) = losses.recv() => self.ask_for(partition)?,
                event = membership.next() => match event {
                    Some(Ok(event)) => self.on(event).await,
                    Some(Err(error)) => break Err(error),
                    None => break Err(LogError::Stopped("group member")),
                },
            }
        };
        let all: Vec<i32> = self.running.keys().copied().collect();
        let resigns = draining.is_cancelled() && !self.alone();
        self.let_go(&all).await;
        self.process.serving.left_all(self.context.name());
        if resigns {
            membership.resign().await;
        } else {
            membership.leave().await;
        }
        ended
    }

    /// Whether there is nobody to hand over to. Then everything is served until the last request is answered, and kept for
    /// the same process to come back.
    fn alone(&self) -> bool {
        i32::try_from(self.running.len()).is_ok_and(|running| running == self.context.partitions)
    }

    /// The partition was lost although the group has not said so: it says now, by confirming us or not.
    fn ask_for(&mut self, partition: i32) -> Result<(), LogError> {
        if self.running.remove(&partition).is_none() {
            return Ok(());
        }
        warn!(partition, "partition lost, asking the group for it");
        self.process.serving.waits(self.context.name(), partition, "was lost, the group is asked for it");
        self.member.confirm(partition)
    }

    async fn on(&mut self, event: MembershipEvent) {
        match event {
            MembershipEvent::Assigned { partitions } => partitions.into_iter().for_each(|p| self.take(p)),
            MembershipEvent::Revoked { partitions, ack } => {
                sleep(&self.process.draining, SUCCESSOR_PAUSE).await;
                self.let_go(&partitions).await;
                drop(ack);
            }
            MembershipEvent::Lost { partitions } => self.let_go(&partitions).await,
            MembershipEvent::Confirmed { partition } => self.take(partition),
        }
    }

    fn take(&mut self, partition: i32) {
        self.process.serving.waits(self.context.name(), partition, "is taken over");
        let drain = CancellationToken::new();
        let (end, ended) = oneshot::channel();
        self.running.insert(partition, Running { drain: drain.clone(), ended });
        let owner = Owner {
            context: Arc::clone(&self.context),
            offsets: Arc::clone(&self.offsets),
            member: self.member.clone(),
            serving: self.process.serving.clone(),
            partition,
        };
        let lost = self.lost.clone();
        self.process.tasks.spawn(format!("{} partition {partition}", self.context.name()), async move {
            Box::pin(owner.serve(drain, end, lost)).await;
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
        partitions.iter().for_each(|p| self.process.serving.left(self.context.name(), *p));
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
    /// Serves until `drain` is cancelled or the partition is lost, which it tells `lost`. `end` is dropped when the last
    /// window is answered: the next owner need not wait for what is archived after that, its own archiver knows.
    async fn serve(self, drain: CancellationToken, end: oneshot::Sender<()>, lost: mpsc::Sender<i32>) {
        let equipment = self.context.equipment(self.partition, Arc::clone(&self.offsets));
        let Some(taken) = self.take_over(&equipment, &drain).await else { return };
        let (queue, submissions) = Queue::new(self.context.shared.limits.queue);
        let (epoch, commands_from) = (taken.epoch(), taken.commands_from);
        let tail = Arc::clone(&taken.tail);
        let partition = Partition::new(equipment, taken, self.deciding(), submissions);
        let term = Arc::new(Term::new(partition.lineage(), self.context.shared.limits.queue.submissions_max));
        let owned = Owned { queue, tail, due_snapshots: Arc::default(), epoch, term };
        let commands = self.submit_commands(owned.clone(), commands_from);
        let archiver = Archiver::new(Arc::clone(&self.context), self.partition, owned.clone());
        self.context.set_owned(self.partition, Some(owned));
        failpoint::reach("take_over_f_serving");
        self.serving.serves(self.context.name(), self.partition);
        let served = CancellationToken::new();
        let serve = async {
            let ended = partition.run(drain.clone()).await;
            info!(partition = self.partition, ?ended, "partition let go");
            self.context.set_owned(self.partition, None);
            served.cancel();
            drop(end);
            if ended == Ended::Lost {
                // Two that take it from each other are not to do so all the time.
                sleep(&drain, RETRY_PAUSE).await;
                // The session may have ended.
                let _gone = lost.send(self.partition).await;
            }
        };
        let announced = forward::announce(&self.context, self.partition, epoch, served.clone());
        tokio::join!(serve, archiver.run(served.clone()), announced, served.run_until_cancelled(commands));
    }

    /// Puts the commands of the partition in line, from an offset on.
    async fn submit_commands(&self, owned: Owned, from: i64) {
        let mut commands = match self.member.begin(self.partition, from) {
            Ok(commands) => commands,
            Err(error) => return warn!(partition = self.partition, %error, "commands cannot flow"),
        };
        while let Some(record) = commands.next().await {
            let submission = commands::submission(&self.context, record).await;
            if unique::concerns(&self.context, &submission) {
                unique::publish(&self.context, &owned, submission).await;
                continue;
            }
            // An owner that went away has lost the partition: the command comes again to the next one.
            let _taken_or_gone = owned.queue.submit(submission).await;
        }
    }

    /// Decides with the context's aggregates; states come from archive and tail.
    fn deciding(&self) -> Deciding {
        let context = Arc::clone(&self.context);
        let load = move |stream: StreamId, begin: Option<State>| {
            let context = Arc::clone(&context);
            let load = async move { state::fold_from(&context, &stream, begin).await };
            load.map_err(|error| error.to_string()).boxed()
        };
        Deciding::new(self.context.deciders.clone(), Arc::new(load), stream::reader(&self.context))
    }

    /// Tries until it succeeds or the partition is to be let go.
    async fn take_over(&self, equipment: &Equipment, drain: &CancellationToken) -> Option<Taken> {
        while !drain.is_cancelled() {
            match drain.run_until_cancelled(take_over(equipment)).await {
                None => return None,
                Some(Ok(taken)) => return Some(taken),
                Some(Err(error)) => {
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
