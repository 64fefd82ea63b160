//! Which rows a model changed, for those who follow it.
//!
//! ```text
//! fill --keys of a batch, once it is committed--> the last batches <--each from its own place-- followers
//! ```
//!
//! Batches are kept from the first follower on, up to a limit. A follower whose place is no longer among them, because it is
//! too slow, was away for long, or the table was changed otherwise, is told to read the model anew.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use spina_core::Cell;
use tokio::sync::watch;
use uuid::Uuid;

/// Most batches that are kept.
const BATCHES_MAX: usize = 1_000;
/// Most keys that are kept, of all batches.
const KEYS_MAX: usize = 50_000;

/// The keys of the rows that a batch changed.
pub type Keys = Arc<[Vec<Cell>]>;

/// The last changes of a model.
#[derive(Debug)]
pub struct Feed {
    /// Places of another process mean nothing here.
    run: Uuid,
    ring: Mutex<Ring>,
    /// Number of the next batch.
    next: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Ring {
    /// Whether anybody has followed yet.
    followed: bool,
    /// Number of the oldest batch that is kept.
    first: u64,
    batches: VecDeque<Keys>,
    keys: usize,
}

/// Where a follower stands.
#[derive(Debug)]
pub struct Follower {
    feed: Arc<Feed>,
    next: watch::Receiver<u64>,
    at: u64,
    /// Whether the place that it came with was not to be had.
    lost: bool,
}

/// What a follower is told.
#[derive(Debug, PartialEq)]
pub enum Told {
    /// These rows changed.
    Changed(Keys),
    /// Any row may have changed.
    Anything,
}

impl Default for Feed {
    fn default() -> Self {
        Self { run: Uuid::new_v4(), ring: Mutex::default(), next: watch::Sender::new(0) }
    }
}

impl Feed {
    /// Whether anybody has followed yet: before that nothing needs to be told.
    pub fn is_followed(&self) -> bool {
        self.ring().followed
    }

    /// The rows of these keys have changed, and that is committed.
    pub fn changed(&self, keys: Keys) {
        let mut ring = self.ring();
        if !ring.followed || keys.is_empty() {
            return;
        }
        ring.keys += keys.len();
        ring.batches.push_back(keys);
        while ring.keys > KEYS_MAX || ring.batches.len() > BATCHES_MAX {
            ring.forget_oldest();
        }
        drop(ring);
        self.next.send_modify(|next| *next += 1);
    }

    /// Any row may have changed: another table was put in its place, or a batch's answer was lost.
    pub fn anything(&self) {
        let mut ring = self.ring();
        while !ring.batches.is_empty() {
            ring.forget_oldest();
        }
        // A number that nobody is told the rows of.
        ring.first += 1;
        drop(ring);
        self.next.send_modify(|next| *next += 1);
    }

    /// Follows from a place, as [`Follower::place`] gave it, or from now on.
    pub fn follow(self: &Arc<Self>, from: Option<&str>) -> Follower {
        let mut ring = self.ring();
        ring.followed = true;
        let (next, now) = (self.next.subscribe(), ring.first + ring.batches.len() as u64);
        let known = from.map(|from| self.read(from).filter(|at| (ring.first..=now).contains(at)));
        let (at, lost) = (known.flatten().unwrap_or(now), known == Some(None));
        Follower { feed: Arc::clone(self), next, at, lost }
    }

    fn read(&self, place: &str) -> Option<u64> {
        let (run, at) = place.split_once('.')?;
        at.parse().ok().filter(|_| run == self.run.simple().to_string())
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn forget_oldest(&mut self) {
        if let Some(keys) = self.batches.pop_front() {
            self.keys -= keys.len();
            self.first += 1;
        }
    }
}

impl Follower {
    /// The next thing that is not told yet. Safe to drop while it waits.
    pub async fn next(&mut self) -> Told {
        loop {
            self.next.mark_unchanged();
            if let Some(told) = self.now() {
                return told;
            }
            if self.next.changed().await.is_err() {
                // The feed lives as long as we do.
                std::future::pending::<()>().await;
            }
        }
    }

    fn now(&mut self) -> Option<Told> {
        let ring = self.feed.ring();
        let end = ring.first + ring.batches.len() as u64;
        if std::mem::take(&mut self.lost) || self.at < ring.first {
            self.at = end;
            return Some(Told::Anything);
        }
        let keys = ring.batches.get(usize::try_from(self.at - ring.first).ok()?)?;
        self.at += 1;
        Some(Told::Changed(Arc::clone(keys)))
    }

    /// Where it stands; means nothing to another process.
    pub fn place(&self) -> String {
        format!("{}.{}", self.feed.run.simple(), self.at)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn keys(of: std::ops::Range<i64>) -> Keys {
        of.map(|key| vec![Cell::Long(key)]).collect()
    }

    fn told(follower: &mut Follower) -> Option<Told> {
        follower.next().now_or_never()
    }

    #[test]
    fn followers_are_told_each_batch_from_their_place_on() {
        let feed = Arc::new(Feed::default());
        feed.changed(keys(0..1));
        assert!(!feed.is_followed());
        let mut one = feed.follow(None);
        assert_eq!(told(&mut one), None);
        let place = one.place();
        feed.changed(keys(1..3));
        feed.changed(keys(3..4));
        assert_eq!(told(&mut one), Some(Told::Changed(keys(1..3))));
        let mut other = feed.follow(Some(&place));
        assert_eq!(told(&mut other), Some(Told::Changed(keys(1..3))));
        let mut third = feed.follow(Some(&one.place()));
        assert_eq!([told(&mut one), told(&mut third)].map(Option::unwrap), [3, 3].map(|at| Told::Changed(keys(at..4))));
        assert_eq!(told(&mut one), None);
    }

    #[test]
    fn a_place_that_is_not_kept_means_to_read_anew_once() {
        let feed = Arc::new(Feed::default());
        let mut slow = feed.follow(None);
        for batch in 0..10 {
            feed.changed(keys(batch * 10_000..(batch + 1) * 10_000));
        }
        assert_eq!(told(&mut slow), Some(Told::Anything));
        assert_eq!(told(&mut slow), None);
        for place in [Feed::default().run.simple().to_string() + ".0", "junk".to_owned(), slow.place() + "9"] {
            let mut lost = feed.follow(Some(&place));
            assert_eq!(told(&mut lost), Some(Told::Anything), "{place}");
            assert_eq!(told(&mut lost), None, "{place}");
        }
        let place = slow.place();
        feed.anything();
        feed.changed(keys(0..1));
        let mut back = feed.follow(Some(&place));
        for follower in [&mut slow, &mut back] {
            assert_eq!(told(follower), Some(Told::Anything));
            assert_eq!(told(follower), None, "what it reads anew has that batch");
        }
    }
}
