//! Deciding in the owner of a partition: commands see everything accepted before them, windows in flight included.
//!
//! ```text
//! command ─▶ repeated? ───────────────────────────▶ judged: the answer it had
//!            state known at the ledger's version? ─▶ decided ─▶ judged with an exact version
//!            else it waits
//!               ├─ its stream has events in flight ─▶ until they are settled
//!               └─ else the state is folded beside the path ─▶ back to the front of the queue
//! ```
//!
//! A record of the commands topic that may be a forgotten request waits the same way, until it was looked for.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use spina_core::ledger::Ledger;
use spina_core::{State, StreamId, StreamKey, Version};
use tracing::warn;

use super::append::{Append, Outcome, Submission};
use super::command::{Deciders, Intent};
use super::recognise::{Question, ReadOn};
use super::states::States;
use crate::clock;

/// Memory for states, per partition.
const STATES_BYTES_MAX: usize = 16 << 20;
/// Submissions that may wait for a state; beyond it the partition takes no more until some are served.
const WAITING_MAX: usize = 1_000;
/// Records of the commands topic that may be held back by one that waits; the queue bounds their bytes.
const HELD_MAX: usize = 10_000;
/// Pause before a state is asked for again for a command that cannot be refused.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Folds a stream, beginning with what is known of it; the error is for people.
pub type Load = Arc<dyn Fn(StreamId, Option<State>) -> BoxFuture<'static, Result<State, String>> + Send + Sync>;

/// What was waited for.
pub enum Loaded {
    /// A stream's state, or why it cannot be folded.
    State(StreamId, Result<State, String>),
    /// The answer to a question by its number, if the request had one.
    Answer(u64, Option<Outcome>),
}

/// See the [module](self).
pub struct Deciding {
    deciders: Deciders,
    load: Load,
    read: ReadOn,
    states: States,
    waiting: HashMap<StreamKey, VecDeque<Submission>>,
    waiting_count: usize,
    /// A record of the commands topic that waits, and all that were published after it.
    held: VecDeque<Submission>,
    /// The number of the last question, and whether the first of those held back waits for its answer.
    question: u64,
    is_asked: bool,
    /// Streams that are being folded.
    loading: HashSet<StreamKey>,
    /// Streams with events in flight: folding them makes sense after the next window.
    unsettled: Vec<StreamKey>,
    loads: FuturesUnordered<BoxFuture<'static, Loaded>>,
}

impl Deciding {
    /// Knows no state yet.
    pub fn new(deciders: Deciders, load: Load, read: ReadOn) -> Self {
        Self {
            deciders,
            load,
            read,
            states: States::new(STATES_BYTES_MAX),
            waiting: HashMap::new(),
            waiting_count: 0,
            held: VecDeque::new(),
            question: 0,
            is_asked: false,
            loading: HashSet::new(),
            unsettled: Vec::new(),
            loads: FuturesUnordered::new(),
        }
    }

    /// Whether more submissions may be taken.
    pub fn has_room(&self) -> bool {
        self.waiting_count < WAITING_MAX && self.held.len() < HELD_MAX
    }

    /// Whether states are being folded.
    pub fn loads(&self) -> bool {
        !self.loads.is_empty()
    }

    /// The submission, ready to be judged; `None` if it waits.
    pub fn decide(&mut self, mut submission: Submission, ledger: &Ledger) -> Option<Submission> {
        if submission.command.is_some() && !self.held.is_empty() {
            self.hold(submission, ledger);
            return None;
        }
        if submission.command.is_some()
            && !submission.looked
            && let Some(question) = Question::of_record(&submission, ledger)
        {
            self.ask(question, submission);
            return None;
        }
        let Some(intent) = submission.intent.take() else { return Some(submission) };
        let stream = StreamKey::of(intent.stream.as_str());
        if self.waiting.contains_key(&stream) {
            submission.intent = Some(intent);
            self.wait(stream, submission);
            return None;
        }
        let (version, in_flight) = ledger.current(stream);
        let known = ledger.knows(StreamKey::of(&intent.request_id)) || intent.expected.check(version).is_err();
        let append = if known {
            // The ledger has the answer, and it is not an append.
            Some(Append::recalled(&intent))
        } else {
            self.decided(&intent, stream, version)
        };
        submission.appends = append.into_iter().collect();
        if submission.appends.is_empty() {
            if in_flight {
                self.unsettled.push(stream);
            } else {
                self.begin_load(&intent.stream, None);
            }
        }
        submission.intent = Some(intent);
        if submission.appends.is_empty() {
            self.wait(stream, submission);
            return None;
        }
        Some(submission)
    }

    fn decided(&mut self, intent: &Intent, stream: StreamKey, version: Version) -> Option<Append> {
        let begin = (version == Version::NONE).then(|| self.deciders.of(intent.stream.category()).begin());
        let decision = match &begin {
            Some(state) => self.deciders.decide(intent, state),
            None => self.deciders.decide(intent, self.states.at(stream, version)?),
        };
        if let Some(state) = decision.state {
            self.states.put(stream, state);
        }
        Some(decision.append)
    }

    /// Records of the commands topic are answered in the order in which they are consumed, since one offset says how far
    /// that is. What is held back is folded meanwhile, so that cold streams do not wait for each other.
    fn hold(&mut self, submission: Submission, ledger: &Ledger) {
        if let Some(intent) = &submission.intent {
            let key = StreamKey::of(intent.stream.as_str());
            let (version, in_flight) = ledger.current(key);
            if version > Version::NONE && !in_flight && self.states.at(key, version).is_none() {
                self.begin_load(&intent.stream, None);
            }
        }
        self.held.push_back(submission);
    }

    /// The first to be held back waits for the answer.
    fn ask(&mut self, question: Question, submission: Submission) {
        self.question += 1;
        self.is_asked = true;
        self.held.push_back(submission);
        let (number, read) = (self.question, Arc::clone(&self.read));
        self.loads.push(async move { Loaded::Answer(number, question.look(&read).await) }.boxed());
    }

    fn wait(&mut self, stream: StreamKey, submission: Submission) {
        if submission.command.is_some() {
            self.held.push_back(submission);
            return;
        }
        self.waiting.entry(stream).or_default().push_back(submission);
        self.waiting_count += 1;
    }

    fn begin_load(&mut self, stream: &StreamId, pause: Option<Duration>) {
        let key = StreamKey::of(stream.as_str());
        if !self.loading.insert(key) {
            return;
        }
        let load = (self.load)(stream.clone(), self.states.any(key).cloned());
        let stream = stream.clone();
        let load = async move {
            if let Some(pause) = pause {
                clock::pause(pause).await;
            }
            Loaded::State(stream, load.await)
        };
        self.loads.push(load.boxed());
    }

    /// Waits for the next state that is being folded, or answer that is looked for.
    pub async fn loaded(&mut self) -> Option<Loaded> {
        self.loads.next().await
    }

    /// What was waited for is here. What waited for it, in order, to be decided before everything else.
    pub fn install(&mut self, loaded: Loaded) -> Vec<Submission> {
        match loaded {
            Loaded::State(stream, state) => self.install_state(stream, state),
            Loaded::Answer(number, found) => self.install_answer(number, found),
        }
    }

    fn install_answer(&mut self, number: u64, found: Option<Outcome>) -> Vec<Submission> {
        if !self.is_asked || number != self.question {
            return Vec::new();
        }
        let mut held = self.take_held();
        if let Some(first) = held.pop_front() {
            held.push_front(first.looked_for(found));
        }
        held.into()
    }

    fn install_state(&mut self, stream: StreamId, loaded: Result<State, String>) -> Vec<Submission> {
        let key = StreamKey::of(stream.as_str());
        self.loading.remove(&key);
        match loaded {
            Ok(state) => {
                self.states.put(key, state);
                self.release(key)
            }
            Err(error) => {
                warn!(%stream, error, "cannot fold a stream that has commands waiting");
                for submission in self.release_waiting(key) {
                    submission.finish(&Outcome::Unavailable("the stream's state cannot be read at the moment"));
                }
                if self.holds_for(key) {
                    self.begin_load(&stream, Some(RETRY_PAUSE));
                }
                Vec::new()
            }
        }
    }

    /// A window is settled: what waited for one, in order.
    pub fn settled(&mut self) -> Vec<Submission> {
        let unsettled = std::mem::take(&mut self.unsettled);
        unsettled.into_iter().flat_map(|stream| self.release(stream)).collect()
    }

    /// Windows were lost: nothing that rests on them is true. What waited for them, in order.
    pub fn lost(&mut self) -> Vec<Submission> {
        self.states.clear();
        // The commands of lost windows come before all that were held back.
        let held = self.take_held();
        held.into_iter().chain(self.settled()).collect()
    }

    /// Gives up what waits: the partition is let go. Commands come again from their committed offset.
    pub fn give_up(&mut self) {
        for (_, waiting) in self.waiting.drain() {
            for submission in waiting {
                submission.finish(&Outcome::Unavailable("the partition moved to another owner"));
            }
        }
        self.waiting_count = 0;
        self.held.clear();
    }

    /// What waits for a stream: if that is the first command held back, all that are.
    fn release(&mut self, stream: StreamKey) -> Vec<Submission> {
        let held = if self.holds_for(stream) { self.take_held() } else { VecDeque::new() };
        held.into_iter().chain(self.release_waiting(stream)).collect()
    }

    /// All that were held back. An answer that the first of them waits for comes too late: it asks again.
    fn take_held(&mut self) -> VecDeque<Submission> {
        self.is_asked = false;
        std::mem::take(&mut self.held)
    }

    fn release_waiting(&mut self, stream: StreamKey) -> Vec<Submission> {
        let released: Vec<Submission> = self.waiting.remove(&stream).into_iter().flatten().collect();
        self.waiting_count -= released.len();
        released
    }

    fn holds_for(&self, stream: StreamKey) -> bool {
        let first = self.held.front().and_then(|first| first.intent.as_ref());
        first.is_some_and(|intent| StreamKey::of(intent.stream.as_str()) == stream)
    }
}

#[cfg(test)]
mod tests;
