//! A process of a simulated world: owns the partition when it is assigned, and may be killed or frozen at any moment.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::World;
use crate::decide::append::Submission;
use crate::decide::partition::Partition;
use crate::decide::tail::{RunLimits, Tail, Unarchived};
use crate::decide::takeover::{Taken, take_over};

/// Pause between tries to take over, as the service has one.
const RETRY_PAUSE: Duration = Duration::from_millis(20);
/// The archive takes small runs, so that it is often in the middle of something.
const RUN: RunLimits = RunLimits { events_max: 3, bytes_max: usize::MAX };

/// Where submissions go while a process serves the partition.
#[derive(Clone)]
pub struct Route {
    /// Takes them.
    pub queue: mpsc::Sender<Submission>,
    /// What is committed and not archived.
    pub tail: Arc<Tail>,
}

/// See the [module](self).
pub struct Process {
    /// How to reach its owner, if it thinks that it is one.
    pub route: RefCell<Option<Route>>,
    /// Each new number kills it.
    pub kills: watch::Sender<u32>,
    /// Stands still while true: no line of it runs, what it sent travels on.
    pub frozen: watch::Sender<bool>,
}

impl Process {
    /// A process that was just started.
    pub fn new() -> Self {
        Self { route: RefCell::default(), kills: watch::Sender::new(0), frozen: watch::Sender::new(false) }
    }
}

/// Lives for ever, from life to life.
pub async fn live(world: Rc<World>, me: usize) {
    let mut kills = world.processes[me].kills.subscribe();
    loop {
        let frozen = world.processes[me].frozen.subscribe();
        tokio::select! {
            biased;
            _ = kills.changed() => {}
            () = freezable(frozen, own(&world, me)) => {}
        }
        world.processes[me].route.replace(None);
        let restart = world.chance(|rng| 1 + rng.below(40));
        sleep(Duration::from_millis(restart)).await;
    }
}

/// Runs `life` except while it is frozen.
async fn freezable(mut frozen: watch::Receiver<bool>, life: impl Future<Output = ()>) {
    tokio::pin!(life);
    loop {
        if *frozen.borrow_and_update() {
            let _thawed_or_gone = frozen.changed().await;
            continue;
        }
        tokio::select! {
            biased;
            _ = frozen.changed() => {}
            () = &mut life => return,
        }
    }
}

/// One stay as owner: take over, serve, let go.
async fn own(world: &Rc<World>, me: usize) {
    let mut assignment = world.assignment.subscribe();
    let generation = match assignment.wait_for(|assigned| assigned.process == me).await {
        Ok(assigned) => assigned.generation,
        Err(_) => return,
    };
    let equipment = world.equipment(generation);
    let taken = loop {
        if assignment.borrow().generation != generation {
            return;
        }
        match take_over(&equipment).await {
            Ok(taken) => break taken,
            Err(_) => sleep(RETRY_PAUSE).await,
        }
    };
    world.owners.set(world.owners.get() + 1);
    let (queue, submissions) = mpsc::channel(64);
    let route = Route { queue, tail: Arc::clone(&taken.tail) };
    world.processes[me].route.replace(Some(route.clone()));
    let (drain, served) = (CancellationToken::new(), CancellationToken::new());
    let (epoch, commands_from) = (Taken::epoch(&taken), taken.commands_from);
    let partition = Partition::new(equipment, taken, world.deciding(), submissions);
    let serve = async {
        partition.run(drain.clone()).await;
        served.cancel();
    };
    let notice = async {
        drop(assignment.wait_for(|assigned| assigned.generation != generation).await);
        // The group is slow to tell: until then two serve.
        sleep(Duration::from_millis(world.chance(|rng| rng.below(60)))).await;
        drain.cancel();
    };
    tokio::join!(
        serve,
        served.run_until_cancelled(notice),
        served.run_until_cancelled(archive(world, &route.tail, epoch)),
        served.run_until_cancelled(world.commands.pump(commands_from, &route.queue)),
    );
}

/// Moves events from the tail into the archive, late.
async fn archive(world: &World, tail: &Tail, epoch: u64) {
    loop {
        sleep(Duration::from_millis(world.chance(|rng| 1 + rng.below(50)))).await;
        if let Unarchived::Held(run) = tail.unarchived(RUN)
            && let Some(watermark) = world.archive.store(&run, epoch)
            && watermark > run.from_offset
        {
            tail.archived(watermark, None);
        }
    }
}
