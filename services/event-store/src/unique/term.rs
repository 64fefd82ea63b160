//! A term: one stay of one owner at a partition, and the attempts made in it.
//!
//! An attempt is named `<term>.<lineage>.<number>`. The lineage counts how often the owner has read the log back; what was
//! submitted in one is not judged in a later one. So an attempt of a former lineage, or of a term that is proved to be
//! earlier, can append nothing any more, and one of this term is over when it is not listed here.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use spina_core::StreamKey;
use tokio::sync::{OwnedMutexGuard, Semaphore, watch};
use uuid::Uuid;

/// Locks of a partition: streams that share one wait for each other now and then.
const LINES: usize = 512;
/// Earlier terms that are remembered to be over; beyond it all are proved anew.
const TERMS_MAX: usize = 1_000;

/// See the [module](self).
#[derive(Debug)]
pub struct Term {
    id: String,
    lineage: Arc<AtomicU64>,
    number: AtomicU64,
    running: Mutex<HashMap<u64, watch::Receiver<()>>>,
    over: Mutex<HashSet<String>>,
    lines: Vec<Arc<tokio::sync::Mutex<()>>>,
    /// One permit for each request that waits or runs.
    pub room: Arc<Semaphore>,
}

/// What is known of an attempt.
#[derive(Debug)]
pub enum Fate {
    /// It may append yet. The receiver is closed when it has ended, or has been given up without an end.
    Running(watch::Receiver<()>),
    /// It can append nothing any more, and what it has appended is readable.
    Over,
    /// It is of another term: over, if that is earlier than this one.
    Of(String),
}

/// An attempt in hand. Until it is ended it counts as running: one that is dropped may have been anywhere.
#[derive(Debug)]
pub struct Running {
    /// Its name.
    pub name: String,
    number: u64,
    term: Arc<Term>,
    _alive: watch::Sender<()>,
}

impl Term {
    /// The term of an owner whose lineage counts there, with room for so many requests.
    pub fn new(lineage: Arc<AtomicU64>, requests_max: usize) -> Self {
        Self {
            id: Uuid::new_v4().simple().to_string(),
            lineage,
            number: AtomicU64::new(0),
            running: Mutex::default(),
            over: Mutex::default(),
            lines: (0..LINES).map(|_| Arc::default()).collect(),
            room: Arc::new(Semaphore::new(requests_max)),
        }
    }

    /// How often the owner has read the log back.
    pub fn lineage(&self) -> u64 {
        self.lineage.load(Ordering::SeqCst)
    }

    /// Waits in line for the stream: its appends are made one after the other.
    pub async fn line(&self, stream: StreamKey) -> OwnedMutexGuard<()> {
        let line = usize::try_from(stream.0 % LINES as u128).unwrap_or(0);
        Arc::clone(&self.lines[line]).lock_owned().await
    }

    /// Begins an attempt of that lineage.
    pub fn begin(self: &Arc<Self>, lineage: u64) -> Running {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let (alive, ended) = watch::channel(());
        self.running().insert(number, ended);
        Running { name: format!("{}.{lineage}.{number}", self.id), number, term: Arc::clone(self), _alive: alive }
    }

    /// What is known of an attempt.
    pub fn fate(&self, attempt: &str) -> Fate {
        let (term, number) = attempt.rsplit_once('.').unwrap_or((attempt, ""));
        if term.split_once('.').is_some_and(|(id, _)| id == self.id) {
            let running = number.parse().ok().and_then(|number: u64| self.running().get(&number).cloned());
            return running.map_or(Fate::Over, Fate::Running);
        }
        if self.over().contains(term) { Fate::Over } else { Fate::Of(term.to_owned()) }
    }

    /// Attempts of that term and lineage can append nothing any more.
    pub fn proved_over(&self, term: String) {
        let mut over = self.over();
        if over.len() >= TERMS_MAX {
            over.clear();
        }
        over.insert(term);
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<u64, watch::Receiver<()>>> {
        self.running.lock().expect("no holder of this lock panics")
    }

    fn over(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.over.lock().expect("no holder of this lock panics")
    }
}

impl Running {
    /// It can append nothing any more, and what it has appended is readable.
    pub fn ended(self) {
        self.term.running().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_runs_until_it_is_ended_and_not_until_it_is_dropped() {
        let term = Arc::new(Term::new(Arc::default(), 1));
        let (ended, dropped) = (term.begin(0), term.begin(0));
        let names = [ended.name.clone(), dropped.name.clone()];
        assert!(names.iter().all(|name| matches!(term.fate(name), Fate::Running(_))));
        ended.ended();
        drop(dropped);
        assert!(matches!(term.fate(&names[0]), Fate::Over));
        assert!(matches!(term.fate(&names[1]), Fate::Running(_)), "it may have been anywhere");
    }

    #[test]
    fn attempts_of_another_term_are_over_once_that_is_proved() {
        let (before, after) = (Arc::new(Term::new(Arc::default(), 1)), Term::new(Arc::default(), 1));
        let (first, second) = (before.begin(0).name.clone(), before.begin(1).name.clone());
        let Fate::Of(term) = after.fate(&first) else { panic!("nothing is proved") };
        after.proved_over(term);
        assert!(matches!(after.fate(&first), Fate::Over));
        assert!(matches!(after.fate(&second), Fate::Of(_)), "it may have read back since");
    }
}
