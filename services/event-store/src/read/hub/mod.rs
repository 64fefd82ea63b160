//! The live feed of a context: one reader of the log, however many subscribe.
//!
//! ```text
//!   log --> reader --> ring of recent events --> subscription, each with its own places
//!             |                                     ^
//!             '-- runs while somebody subscribes    '-- below the ring: a catch-up, until its places are in the ring
//! ```
//!
//! A subscription holds no copy of what it has not taken: one that does not read costs its place and one group. One that
//! the ring has left behind reads the log again by itself. Since every subscription knows the next offset it wants of
//! each partition, and the ring the offset from which it has everything, the change between both is a comparison:
//! no gap, because no place may be below the ring; nothing twice, because offsets below the place are passed over.

mod ring;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use spina_log::{LogError, LogReader, ReaderOptions, Start};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tracing::warn;

use super::entry::Group;
use super::filter::Filter;
use super::places::Places;
use crate::clock;
use crate::context::Context;
use ring::Ring;

pub use ring::At;

/// Offsets before the end of each partition from which the ring is filled when the feed begins: who comes back after a
/// short absence finds its place there.
const BACKLOG_OFFSETS: i64 = 1_000;
/// Records in a batch of the feed.
const BATCH_RECORDS_MAX: usize = 2_000;
/// How long the feed goes on when nobody subscribes.
const LINGER: Duration = Duration::from_secs(30);
/// Pause after each batch, so that a thousand subscribers are woken by batches, not by transactions. An event after
/// silence does not wait for it.
const GATHER: Duration = Duration::from_millis(5);
/// Pause before the feed is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// See the [module](self).
pub struct Hub {
    ring: Mutex<Ring>,
    /// The ring's end.
    end: watch::Sender<u64>,
    fed: watch::Sender<bool>,
    guests: watch::Sender<usize>,
    moved: Notify,
}

/// Keeps the feed going.
pub struct Guest {
    context: Arc<Context>,
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.context.hub.guests.send_modify(|guests| *guests -= 1);
    }
}

impl Hub {
    /// A feed that has not begun, with a ring of so many bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            ring: Mutex::new(Ring::new(bytes_max)),
            end: watch::Sender::new(0),
            fed: watch::Sender::new(false),
            guests: watch::Sender::new(0),
            moved: Notify::new(),
        }
    }

    /// Lets the feed of the context begin, and go on until the guest leaves.
    pub fn enter(context: Arc<Context>) -> Guest {
        context.hub.guests.send_modify(|guests| *guests += 1);
        Guest { context }
    }

    /// Waits until the ring is fed.
    pub async fn is_fed(&self) {
        let mut fed = self.fed.subscribe();
        fed.wait_for(|fed| *fed).await.expect("the sender lives as long as we do");
    }

    /// As [`Ring::join`].
    pub fn join(&self, places: &Places) -> Option<u64> {
        self.ring().join(places)
    }

    /// As [`Ring::at`].
    pub fn at(&self, number: u64) -> At {
        self.ring().at(number)
    }

    /// Tells when the ring's end has moved.
    pub fn end(&self) -> watch::Receiver<u64> {
        self.end.subscribe()
    }

    /// Tells when anything was read, be it only that the log ends here.
    pub fn moved(&self) -> &Notify {
        &self.moved
    }

    fn restart(&self, starts: Vec<i64>) {
        let fed = !starts.is_empty();
        let mut ring = self.ring();
        ring.restart(starts);
        let end = ring.end();
        drop(ring);
        self.end.send_replace(end);
        self.fed.send_replace(fed);
    }

    fn publish(&self, groups: Vec<Group>) {
        let mut ring = self.ring();
        groups.into_iter().for_each(|group| ring.push(group));
        let end = ring.end();
        drop(ring);
        self.end.send_if_modified(|known| std::mem::replace(known, end) != end);
        self.moved.notify_waiters();
    }

    /// Waits until nobody has subscribed for a while.
    async fn left(&self) {
        let mut guests = self.guests.subscribe();
        loop {
            guests.wait_for(|guests| *guests == 0).await.expect("the sender lives as long as we do");
            if timeout(LINGER, guests.wait_for(|guests| *guests > 0)).await.is_err() {
                return;
            }
        }
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().expect("no holder of this lock panics")
    }
}

/// Feeds the context's ring whenever somebody subscribes, until the process stops.
pub async fn run(context: Arc<Context>) -> anyhow::Result<()> {
    let stopping = context.shared.stopping.clone();
    let mut guests = context.hub.guests.subscribe();
    while stopping.run_until_cancelled(guests.wait_for(|guests| *guests > 0)).await.is_some() {
        let ended = stopping.run_until_cancelled(feed(&context)).await;
        context.hub.restart(Vec::new());
        if let Some(Err(error)) = ended {
            warn!(context = %context.name(), %error, "the live feed ended, beginning anew");
            let _stopped = stopping.run_until_cancelled(clock::pause(RETRY_PAUSE)).await;
        }
    }
    Ok(())
}

/// Feeds until nobody wants it any more.
async fn feed(context: &Context) -> Result<(), LogError> {
    let hub = &context.hub;
    let ends = context.shared.admin.ends(&context.events_topic).await?;
    let starts: Vec<(i32, i64)> =
        ends.iter().map(|end| (end.partition, end.earliest.max(end.stable - BACKLOG_OFFSETS))).collect();
    let options = ReaderOptions { batch_records_max: BATCH_RECORDS_MAX, queue_batches_max: 2, stop_at_end: false };
    let places = starts.iter().map(|(partition, start)| (*partition, Start::At(*start))).collect();
    let mut reader = LogReader::open(&context.shared.log, &context.events_topic, places, options)?;
    hub.restart(starts.into_iter().map(|(_, start)| start).collect());
    let left = hub.left();
    tokio::pin!(left);
    loop {
        let batch = tokio::select! {
            () = &mut left => return Ok(()),
            batch = reader.next() => batch.unwrap_or(Err(LogError::Stopped("log reader")))?,
        };
        hub.publish(Group::cut(batch, &Filter { claims: true, ..Filter::default() }));
        clock::pause(GATHER).await;
    }
}
