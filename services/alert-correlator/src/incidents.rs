//! Correlating as a stage of the shared record loop: the journal in, incident events out, exactly once.
//!
//! ```text
//! take-over: fence --> count the events in the incidents topic --> replay the journal to its end --> write what is missing
//! ```
//!
//! The engine is a function of the journal, so the n-th event that it tells is the n-th record of the incidents topic. What
//! was written before is known by counting, and needs no state of its own. The commands that are asked with an event go to
//! other topics in the same transaction: they are written if and only if its record is.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use anyhow::Context as _;
use async_trait::async_trait;
use futures::StreamExt;
use spina_core::Timestamp;
use spina_core::correlation::Notification;
use spina_log::{Fetched, names};
use spina_runtime::Commands;
use spina_runtime::processor::{Input as LoopInput, Output, Processor, Stage, StateLog};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::acting::acted;
use crate::correlate::{Decision, Engine, Input};
use crate::journal::{Journal, PARTITION};
use crate::metrics::{CorrelatorMetrics, Outcome};
use crate::notify::{Post, Sender};
use crate::rules::Files;

/// How often the clock is written down while something waits for time to pass, in microseconds.
const TICK: i64 = 1_000_000;
/// How often otherwise: silences end, and the rules' files may have changed.
const IDLE_TICK: i64 = 10 * TICK;

/// The engine, for those who only look, and how much of the journal it has taken.
#[derive(Debug)]
pub struct View {
    engine: RwLock<Engine>,
    taken: watch::Sender<i64>,
}

impl Default for View {
    fn default() -> Self {
        Self { engine: RwLock::default(), taken: watch::Sender::new(-1) }
    }
}

impl View {
    /// The engine as it is now.
    pub fn engine(&self) -> RwLockReadGuard<'_, Engine> {
        self.engine.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the record at that offset of the journal was taken.
    pub async fn reached(&self, offset: i64) {
        let mut taken = self.taken.subscribe();
        // The sender lives as long as we do.
        let _gone = taken.wait_for(|taken| *taken >= offset).await;
    }
}

/// A record of the journal with its place.
#[derive(Debug)]
pub struct Journaled {
    offset: i64,
    arrived: Timestamp,
    /// `None` if it is none of ours.
    input: Option<Input>,
}

/// What the engine tells, in the order in which it is written.
#[derive(Debug)]
enum Told {
    Event(Decision),
    Notification(Notification),
}

/// See the [module](self).
pub struct Correlator {
    journal: Arc<Journal>,
    commands: Arc<Commands>,
    view: Arc<View>,
    files: Files,
    /// The next offset of the journal to take; those before were replayed.
    next: i64,
    /// Events told so far, from the beginning of the journal.
    told: u64,
    /// Events in the incidents topic.
    written: u64,
    /// Events told during the replay that were not written.
    replayed: Vec<Told>,
    /// Ends what is being sent when this is thrown away: the next owner sends it again.
    held: DropGuard,
    /// Whether what a predecessor left on its way was taken up.
    resumed: bool,
    /// When the clock is to be written down next.
    due: Timestamp,
    /// The version of the rules that was last asked for.
    asked: Option<String>,
}

impl Correlator {
    fn take(&mut self, journaled: Journaled) -> Vec<Told> {
        if journaled.offset < self.next {
            return Vec::new();
        }
        self.next = journaled.offset + 1;
        let Some(input) = journaled.input else { return Vec::new() };
        let mut engine = self.view.engine.write().unwrap_or_else(PoisonError::into_inner);
        let decisions = engine.take(input, journaled.arrived);
        let told = decisions.into_iter().map(Told::Event);
        told.chain(engine.notifications().into_iter().map(Told::Notification)).collect()
    }

    fn tell(&mut self, told: Vec<Told>, now: Timestamp, output: &mut Output<Effect>) {
        for told in told {
            self.told += 1;
            if self.told > self.written {
                self.written = self.told;
                match &told {
                    Told::Event(decision) => self.write(decision, now, output),
                    Told::Notification(notification) => {
                        output.records.push(self.journal.notification(notification, self.told, now));
                    }
                }
            }
            // One that was replayed is on its way already, or over.
            if let (Told::Notification(notification), true) = (told, self.resumed) {
                output.effects.push(self.post(notification));
            }
        }
    }

    /// The event that was told last, and the commands that are asked with it: in one transaction, all of them or none.
    fn write(&self, decision: &Decision, now: Timestamp, output: &mut Output<Effect>) {
        output.records.push(self.journal.event(&decision.event, self.told, now));
        for (outcome, record) in acted(&self.commands, decision, self.told) {
            output.records.extend(record);
            output.effects.push(Effect::Acted(outcome));
        }
    }

    fn post(&self, notification: Notification) -> Effect {
        let post = Post::of(notification, self.view.engine().rules(), self.held.token().clone());
        Effect::Send(Box::new(post))
    }

    /// Sends what was decided and is not over, once what was replayed is written.
    fn resume(&mut self, output: &mut Output<Effect>) {
        if !std::mem::replace(&mut self.resumed, true) {
            let pending: Vec<Notification> = self.view.engine().notices().pending().cloned().collect();
            output.effects.extend(pending.into_iter().map(|notification| self.post(notification)));
        }
    }

    /// The clock, and the rules if the files have others than are in force.
    fn tick(&mut self, now: Timestamp, output: &mut Output<Effect>) {
        let wanted = self.files.wanted();
        let (in_force, busy) = {
            let engine = self.view.engine();
            let soon = now.micros() + IDLE_TICK;
            let tells = engine.notices().due().is_some_and(|due| due.micros() <= soon);
            (engine.rules().version.clone(), tells || engine.waiting() > 0 || engine.groups() > 0)
        };
        self.due = Timestamp::from_micros(now.micros() + if busy { TICK } else { IDLE_TICK }).unwrap_or(now);
        if wanted.set.version != in_force && self.asked.as_ref() != Some(&wanted.set.version) {
            self.asked = Some(wanted.set.version.clone());
            let (files, sources) = (wanted.set.texts.clone(), wanted.sources.clone());
            output.records.push(self.journal.input(&Input::RulesChanged { files, sources }, now));
        }
        output.records.push(self.journal.input(&Input::ClockTicked { now }, now));
    }
}

/// What is done once a batch is committed.
#[derive(Debug)]
pub enum Effect {
    /// Those who wait for their own writing are told how far the journal was taken.
    Taken(i64),
    /// A notification is sent.
    Send(Box<Post>),
    /// What became of an action is counted.
    Acted(Outcome),
}

impl Processor for Correlator {
    type Input = Journaled;
    type Request = ();
    type Effect = Effect;

    fn apply(&mut self, inputs: Vec<LoopInput<Journaled, ()>>, now: Timestamp) -> Output<Effect> {
        let mut output = Output::default();
        let replayed = std::mem::take(&mut self.replayed);
        self.tell(replayed, now, &mut output);
        self.resume(&mut output);
        for input in inputs {
            match input {
                LoopInput::Record(journaled) => {
                    let events = self.take(journaled);
                    if !events.is_empty() {
                        // Something may end by itself now.
                        self.due = self.due.min(Timestamp::from_micros(now.micros() + TICK).unwrap_or(now));
                    }
                    self.tell(events, now, &mut output);
                }
                LoopInput::Request(()) => {}
                LoopInput::Tick => self.tick(now, &mut output),
            }
        }
        let waits = self.view.engine().waiting() > 0;
        if waits {
            self.due = self.due.min(Timestamp::from_micros(now.micros() + TICK).unwrap_or(now));
        }
        output.effects.push(Effect::Taken(self.next - 1));
        output
    }

    fn due(&self) -> Option<Timestamp> {
        Some(self.due)
    }
}

/// What surrounds the correlator.
pub struct CorrelatorStage {
    /// Encodes and decodes.
    pub journal: Arc<Journal>,
    /// Encodes the commands of actions.
    pub commands: Arc<Commands>,
    /// Counts.
    pub metrics: CorrelatorMetrics,
    /// Where the engine can be looked at.
    pub view: Arc<View>,
    /// The rules' files.
    pub files: Files,
    /// Reads the journal.
    pub log: Arc<dyn StateLog>,
    /// Sends notifications.
    pub sender: Sender,
}

impl CorrelatorStage {
    async fn journaled(&self, record: Fetched) -> Journaled {
        let input = self.journal.read(&record).await;
        let arrived = Timestamp::from_millis(record.timestamp_ms).unwrap_or_default();
        Journaled { offset: record.offset, arrived, input }
    }
}

#[async_trait]
impl Stage for CorrelatorStage {
    type Processor = Correlator;

    async fn open(&self, _: i32) -> anyhow::Result<(Correlator, i64)> {
        let mut correlator = Correlator {
            journal: Arc::clone(&self.journal),
            commands: Arc::clone(&self.commands),
            view: Arc::clone(&self.view),
            files: self.files.clone(),
            next: 0,
            told: 0,
            written: 0,
            replayed: Vec::new(),
            held: CancellationToken::new().drop_guard(),
            resumed: false,
            due: Timestamp::default(),
            asked: None,
        };
        *self.view.engine.write().unwrap_or_else(PoisonError::into_inner) = Engine::default();
        // Counted first, so that of what is replayed only that is kept which is not written.
        let read = self.log.read_settled(names::INCIDENTS_TOPIC, PARTITION, 0).await;
        let (mut parts, mut last) = (read.context("count the events")?, 0);
        while let Some(records) = parts.next().await {
            let records = records.context("count the events")?;
            correlator.written += records.len() as u64;
            last = records.last().map_or(last, |record| record.offset);
        }
        let read = self.log.read_settled(names::SIGNALS_TOPIC, PARTITION, 0).await;
        let mut parts = read.context("replay the journal")?;
        while let Some(records) = parts.next().await {
            for record in records.context("replay the journal")? {
                let journaled = self.journaled(record).await;
                for told in correlator.take(journaled) {
                    if correlator.told < correlator.written {
                        correlator.told += 1;
                    } else {
                        correlator.replayed.push(told);
                    }
                }
            }
        }
        let engine = self.view.engine();
        tracing::info!(records = correlator.next, groups = engine.groups(), "the journal was replayed");
        drop(engine);
        Ok((correlator, last))
    }

    /// What is read is the last event once more, which is counted.
    async fn restore(&self, _: &mut Correlator, _: Vec<Fetched>) -> anyhow::Result<()> {
        Ok(())
    }

    async fn read(&self, records: Vec<Fetched>) -> Vec<Journaled> {
        let mut inputs = Vec::with_capacity(records.len());
        for record in records {
            inputs.push(self.journaled(record).await);
        }
        inputs
    }

    async fn after(&self, _: i32, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Taken(taken) => _ = self.view.taken.send_replace(taken),
                Effect::Send(post) => self.sender.send(*post),
                Effect::Acted(outcome) => self.metrics.acted(outcome),
            }
        }
    }
}
