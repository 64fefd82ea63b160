//! The sagas of a partition: what their owner remembers, and what it makes of inputs.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use spina_core::saga::{
    self, Ask, AskId, Class, Fields, Happened, Input, Plan, Refusal, Request, SagaEvent, SagaState,
};
use spina_core::target::Rate;
use spina_core::{StreamKey, Timestamp};
use spina_runtime::processor::{self, Output, Processor};
use spina_store::saga_snapshots::SagaSnapshot;
use tracing::error;

use crate::calls::{Call, Pace};
use crate::definitions::Shared;
use crate::metrics::{PartitionGauges, Tally};
use crate::wire::{Beginning, Letter, Wire};

/// Most sagas that are looked at in a batch because something is due; the next batch follows at once.
const TIMERS_AT_ONCE_MAX: usize = 1_000;
/// Records of the log between two snapshots, for each saga in the snapshot: writing snapshots is then a small part of
/// writing the log, and a take-over folds no more than this.
const RECORDS_PER_SAGA: usize = 4;

/// An answer that comes straight to the owner: that of a call.
pub type Answer = (String, Input);

/// What is done after a commit.
pub enum Effect {
    /// An HTTP call.
    Call(Call),
    /// A saga is as it is now.
    Shown(Box<SagaState>),
    /// So much happened.
    Tallied(Tally),
}

/// The sagas of a partition.
pub struct Sagas {
    definitions: Shared,
    wire: Arc<Wire>,
    running: HashMap<String, SagaState, ahash::RandomState>,
    /// Those that have ended: they do not begin again.
    ended: HashSet<StreamKey, ahash::RandomState>,
    /// When the running ones are to be looked at again.
    dues: BTreeSet<(Timestamp, String)>,
    /// Whether calls that the predecessor had under way are still to be made again, and what was folded to be shown.
    resumes: bool,
    /// Running sagas that were folded since a snapshot.
    folded: HashSet<String, ahash::RandomState>,
    /// The last record of the log, as [`place`] names it.
    last: String,
    /// Whether the next record of the log is the last one of the snapshot.
    begins_from_snapshot: bool,
    /// Records of the log since the last snapshot.
    since_snapshot: u64,
    tally: Tally,
    gauges: Option<PartitionGauges>,
}

/// A call as the step of its ask declares it.
fn call(plan: Option<&Plan>, ask: AskId, url: &str, body: &Fields, due: Option<Timestamp>) -> Call {
    let declared = plan.and_then(|plan| Some((plan, plan.step(&ask.step)?.ask(ask.undo)?)));
    let (pace, for_later) = match declared {
        Some((plan, Ask::Http { rate, heartbeat_us, .. })) => (pace(plan, &ask, *rate), heartbeat_us.is_some()),
        Some((_, Ask::Command { .. })) | None => (None, false),
    };
    Call { ask, url: url.to_owned(), body: body.clone(), due, pace, for_later }
}

fn pace(plan: &Plan, ask: &AskId, rate: Option<Rate>) -> Option<Pace> {
    let direction = if ask.undo { "undo" } else { "do" };
    Some(Pace { step: format!("{}/{}/{}/{direction}", plan.name, plan.version, ask.step), rate: rate? })
}

/// How a record of the log is recognised.
fn place(saga: &str, number: u64) -> String {
    format!("{saga}/{number}")
}

impl Sagas {
    /// None yet.
    pub fn new(definitions: Shared, wire: Arc<Wire>) -> Self {
        Self {
            definitions,
            wire,
            running: HashMap::default(),
            ended: HashSet::default(),
            dues: BTreeSet::new(),
            resumes: true,
            folded: HashSet::default(),
            last: String::new(),
            begins_from_snapshot: false,
            since_snapshot: 0,
            tally: Tally::default(),
            gauges: None,
        }
    }

    /// Shows how many there are, from now on.
    pub fn shown_by(&mut self, gauges: PartitionGauges) {
        self.gauges = Some(gauges);
    }

    /// Those of a snapshot.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of_snapshot(definitions: Shared, wire: Arc<Wire>, snapshot: &SagaSnapshot) -> anyhow::Result<Self> {
        let mut sagas = Self::new(definitions, wire);
        let running: Vec<SagaState> = serde_json::from_slice(&snapshot.running).context("read the running sagas")?;
        let (ended, rest) = snapshot.ended.as_chunks::<16>();
        anyhow::ensure!(rest.is_empty(), "the ended sagas are cut off");
        sagas.ended = ended.iter().map(|key| StreamKey(u128::from_le_bytes(*key))).collect();
        for state in running {
            let id = state.id.clone();
            sagas.running.insert(id.clone(), state);
            sagas.settle(&id);
        }
        sagas.last.clone_from(&snapshot.last);
        sagas.begins_from_snapshot = true;
        Ok(sagas)
    }

    /// What is remembered, once at least so many records were written since the last time: more, if it is large.
    pub fn snapshot(&mut self, partition: i32, next_offset: i64, every: u64) -> Option<SagaSnapshot> {
        let large = RECORDS_PER_SAGA * (self.running.len() + self.ended.len() / 16);
        if self.since_snapshot < every.max(large as u64) {
            return None;
        }
        self.since_snapshot = 0;
        let running: Vec<&SagaState> = self.running.values().collect();
        let running = serde_json::to_vec(&running).ok()?;
        let ended = self.ended.iter().flat_map(|key| key.0.to_le_bytes()).collect();
        Some(SagaSnapshot { partition, next_offset, last: self.last.clone(), running, ended })
    }

    /// Folds a record of the log; tells the saga's state if it ended.
    ///
    /// # Errors
    /// When it cannot have followed.
    pub fn fold(&mut self, happened: Happened) -> anyhow::Result<Option<SagaState>> {
        let Happened { saga: id, number, event, at } = happened;
        let place = place(&id, number);
        if std::mem::take(&mut self.begins_from_snapshot) {
            anyhow::ensure!(place == self.last, OtherLog { expected: std::mem::take(&mut self.last), found: place });
            return Ok(None);
        }
        self.last = place;
        self.since_snapshot += 1;
        if let Some(state) = self.running.get_mut(&id) {
            if let Some(due) = state.due() {
                self.dues.remove(&(due, id.clone()));
            }
            state.apply(&event, at)?;
        } else if let Some(state) = SagaState::begin(&id, &event, at) {
            self.running.insert(id.clone(), state);
        } else {
            anyhow::bail!("the log of saga {id} does not begin with its start");
        }
        if let Some(ended) = self.settle(&id) {
            self.folded.remove(&id);
            return Ok(Some(ended));
        }
        self.folded.insert(id);
        Ok(None)
    }

    /// After a change: ended sagas are forgotten, the others looked at when they are due.
    fn settle(&mut self, id: &str) -> Option<SagaState> {
        let state = self.running.get(id)?;
        if state.status.is_end() {
            self.ended.insert(StreamKey::of(id));
            return self.running.remove(id);
        }
        if let Some(due) = state.due() {
            self.dues.insert((due, id.to_owned()));
        }
        None
    }

    fn take(&mut self, id: &str, letter: Letter, now: Timestamp, output: &mut Output<Effect>) {
        match letter {
            Letter::Start(beginning) => self.start(id, beginning, now, output),
            Letter::Input(input) => self.react(id, &input, now, output),
        }
    }

    fn start(&mut self, id: &str, beginning: Beginning, now: Timestamp, output: &mut Output<Effect>) {
        if self.running.contains_key(id) || self.ended.contains(&StreamKey::of(id)) {
            return;
        }
        let definitions = Arc::clone(&self.definitions);
        let Some(saga) = definitions.latest(&beginning.definition) else {
            error!(saga = id, "a saga cannot begin: there is no such definition");
            return;
        };
        let (state, events) = saga::start(&saga.plan, id, &beginning.key, beginning.input, now);
        self.put(&saga.plan, state, events, 0, now, output);
    }

    fn react(&mut self, id: &str, input: &Input, now: Timestamp, output: &mut Output<Effect>) {
        let Some(mut state) = self.running.remove(id) else { return };
        if let Some(due) = state.due() {
            self.dues.remove(&(due, id.to_owned()));
        }
        let definitions = Arc::clone(&self.definitions);
        let Some(plan) = definitions.plan(&state.definition, state.version) else {
            error!(saga = id, version = state.version, "a saga waits: this version of its definition is not there");
            self.running.insert(id.to_owned(), state);
            return;
        };
        let before = state.events;
        let events = saga::react(plan, &mut state, input, now);
        self.put(plan, state, events, before, now, output);
    }

    /// Writes events, asks what they ask, and keeps the state.
    fn put(
        &mut self,
        plan: &Plan,
        mut state: SagaState,
        mut events: Vec<SagaEvent>,
        mut number: u64,
        now: Timestamp,
        output: &mut Output<Effect>,
    ) {
        let id = state.id.clone();
        let changed = !events.is_empty();
        while !events.is_empty() {
            let mut refused = Vec::new();
            for event in &events {
                number += 1;
                output.records.push(self.wire.happened(&id, number, event, now));
                self.tally.add(event);
                self.last = place(&id, number);
                self.since_snapshot += 1;
                if let Some((ask, request)) = saga::effect(&id, event) {
                    refused.extend(self.ask(plan, ask, request, state.due(), output));
                }
            }
            // What cannot be written down was never asked.
            events = refused.iter().flat_map(|refusal| saga::react(plan, &mut state, refusal, now)).collect();
        }
        if changed {
            output.effects.push(Effect::Shown(Box::new(state.clone())));
        }
        self.running.insert(id.clone(), state);
        self.settle(&id);
    }

    fn ask(
        &self,
        plan: &Plan,
        ask: AskId,
        request: &Request,
        due: Option<Timestamp>,
        output: &mut Output<Effect>,
    ) -> Option<Input> {
        match request {
            Request::Command { context, command, stream, fields } => {
                match self.wire.command(&ask, (context, command), stream, fields) {
                    Ok(record) => output.records.push(record),
                    Err(message) => {
                        let code = "validation.fields".to_owned();
                        let refusal = Refusal { class: Class::Rejected, code, message, doubtful: false };
                        return Some(Input::Reply { ask, result: Err(refusal) });
                    }
                }
            }
            Request::Http { url, body } => {
                output.effects.push(Effect::Call(call(Some(plan), ask, url, body, due)));
            }
            Request::Wait | Request::Await { .. } => {}
        }
        None
    }

    /// The running sagas that were folded since a snapshot, or since they were asked for.
    pub fn folded(&mut self) -> Vec<SagaState> {
        let folded = std::mem::take(&mut self.folded);
        folded.iter().filter_map(|id| self.running.get(id).cloned()).collect()
    }

    /// The calls that were under way when the partition was taken over; and the database may lack what was committed last.
    fn resume(&mut self, output: &mut Output<Effect>) {
        self.resumes = false;
        output.effects.extend(self.folded().into_iter().map(|state| Effect::Shown(Box::new(state))));
        for state in self.running.values() {
            // What a target has taken for later it is not asked again, unless it falls silent.
            let asked = state.steps.iter().filter(|(_, known)| known.is_asked() && known.until.is_none());
            for (step, known) in asked {
                let Some(Request::Http { url, body }) = &known.request else { continue };
                let undo = known.phase == saga::Phase::Undoing;
                let ask = AskId { saga: state.id.clone(), step: step.clone(), undo, round: known.round };
                let plan = self.definitions.plan(&state.definition, state.version);
                output.effects.push(Effect::Call(call(plan, ask, url, body, known.due)));
            }
        }
    }
}

impl Processor for Sagas {
    type Input = Option<(String, Letter)>;
    type Request = Answer;
    type Effect = Effect;

    fn apply(
        &mut self,
        inputs: Vec<processor::Input<Option<(String, Letter)>, Answer>>,
        now: Timestamp,
    ) -> Output<Effect> {
        let mut output = Output::default();
        for input in inputs {
            match input {
                processor::Input::Record(Some((id, letter))) => self.take(&id, letter, now, &mut output),
                processor::Input::Record(None) => {}
                processor::Input::Request((id, input)) => self.react(&id, &input, now, &mut output),
                processor::Input::Tick => {
                    if self.resumes {
                        self.resume(&mut output);
                    }
                    let due = self.dues.iter().take_while(|(due, _)| *due <= now).take(TIMERS_AT_ONCE_MAX);
                    let due: Vec<(Timestamp, String)> = due.cloned().collect();
                    for (due, id) in due {
                        self.tally.late(Duration::from_micros(now.micros().abs_diff(due.micros())));
                        self.react(&id, &Input::Tick, now, &mut output);
                    }
                }
            }
        }
        output.effects.push(Effect::Tallied(std::mem::take(&mut self.tally)));
        if let Some(gauges) = &self.gauges {
            gauges.set(self.running.len(), self.dues.len());
        }
        output
    }

    fn due(&self) -> Option<Timestamp> {
        if self.resumes { Some(Timestamp::default()) } else { self.dues.first().map(|(due, _)| *due) }
    }
}

/// A snapshot does not fit the log.
#[derive(Debug)]
pub struct OtherLog {
    expected: String,
    found: String,
}

impl std::fmt::Display for OtherLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the snapshot is of another log: it ends with {}, found {}", self.expected, self.found)
    }
}

impl std::error::Error for OtherLog {}
