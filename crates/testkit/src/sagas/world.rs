//! Everybody whom a saga asks, in memory.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use spina_core::Timestamp;
use spina_core::saga::{
    Ask, AskId, Class, Fields, Happened, Input, Plan, Refusal, Request, SagaEvent, SagaState, effect, react, replay,
    start,
};

/// Most turns of a story: none needs as many.
const TURNS_MAX: usize = 10_000;

/// How a step is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// No, however often it is asked.
    RefusedAlways,
    /// Not now, the first time.
    DownOnce,
    /// Done, but the first answer does not arrive.
    LostOnce,
    /// Done, but no answer arrives.
    LostAlways,
    /// Taken for later and done, but the first time nothing is heard of it after that.
    SilentOnce,
    /// Taken for later and done, but nothing is heard of it after that.
    SilentAlways,
}

/// How a story ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The saga.
    pub state: SagaState,
    /// What took effect, in order: step, and whether it was undone.
    pub effects: Vec<(String, bool)>,
    /// Its log.
    pub log: Vec<SagaEvent>,
}

/// What a step answers by, given what was asked.
type Oracle = Box<dyn Fn(&AskId, &Request) -> Result<Fields, Refusal>>;

/// See the [module](self).
pub struct World<'p> {
    plan: &'p Plan,
    key: String,
    input: Fields,
    faults: BTreeMap<(String, bool), Answer>,
    oracle: Oracle,
    twice: bool,
    losing_undo: bool,
    dies_after: Option<usize>,
    asked: BTreeMap<AskId, usize>,
    effects: Vec<(String, bool)>,
    known: BTreeSet<AskId>,
    events: Vec<(String, Fields)>,
}

impl<'p> World<'p> {
    /// A world in which everything is answered with yes.
    pub fn new(plan: &'p Plan, key: &str, input: &Fields) -> Self {
        Self {
            plan,
            key: key.to_owned(),
            input: input.clone(),
            faults: BTreeMap::new(),
            oracle: Box::new(|_, _| Ok(Fields::new())),
            twice: false,
            losing_undo: false,
            dies_after: None,
            asked: BTreeMap::new(),
            effects: Vec::new(),
            known: BTreeSet::new(),
            events: Vec::new(),
        }
    }

    /// A step, or its undoing, is answered so.
    #[must_use]
    pub fn answering(mut self, step: &str, undo: bool, answer: Answer) -> Self {
        self.faults.insert((step.to_owned(), undo), answer);
        self
    }

    /// Everything that has no fault is answered by this.
    #[must_use]
    pub fn by(mut self, oracle: impl Fn(&AskId, &Request) -> Result<Fields, Refusal> + 'static) -> Self {
        self.oracle = Box::new(oracle);
        self
    }

    /// This event comes as soon as it is awaited.
    #[must_use]
    pub fn with_event(mut self, event: &str, fields: Fields) -> Self {
        self.events.push((event.to_owned(), fields));
        self
    }

    /// Every answer comes twice.
    #[must_use]
    pub fn answering_twice(mut self) -> Self {
        self.twice = true;
        self
    }

    /// The first answer of every undoing is lost, so that it is asked again.
    #[must_use]
    pub fn losing_undo_answers(mut self) -> Self {
        self.losing_undo = true;
        self
    }

    /// The owner dies when the log has so many records, and another one folds them.
    #[must_use]
    pub fn dying_after(mut self, records: usize) -> Self {
        self.dies_after = Some(records);
        self
    }

    /// Runs the saga until it ends, or nothing more can happen.
    pub fn run(mut self) -> Ended {
        let mut now = Timestamp::from_micros(1_000_000).expect("it is in range");
        let id = format!("saga-{}-{}", self.plan.name, self.key);
        let (mut state, mut log) = start(self.plan, &id, &self.key, self.input.clone(), now);
        let mut inputs: VecDeque<Input> = VecDeque::new();
        let mut times: Vec<Timestamp> = vec![now; log.len()];
        let mut seen = 0;
        for _ in 0..TURNS_MAX {
            let fresh: Vec<SagaEvent> = log[seen..].to_vec();
            seen = log.len();
            for event in &fresh {
                self.answer(&state.id, event, &mut inputs);
            }
            if self.dies_after.is_some_and(|records| log.len() >= records) {
                self.dies_after = None;
                state = folded(&state.id, &log, &times);
            }
            let input = match inputs.pop_front() {
                Some(input) => input,
                None => match state.due() {
                    Some(due) => {
                        now = now.max(due);
                        Input::Tick
                    }
                    None => break,
                },
            };
            let events = react(self.plan, &mut state, &input, now);
            times.extend(events.iter().map(|_| now));
            log.extend(events);
        }
        assert_eq!(state, folded(&state.id, &log, &times), "the state is the fold of the log");
        let replayed = replay(self.plan, &records(&state.id, &log, &times));
        assert_eq!(replayed.as_ref(), Ok(&state), "replayed, the same is decided");
        Ended { state, effects: self.effects, log }
    }

    fn answer(&mut self, saga: &str, event: &SagaEvent, inputs: &mut VecDeque<Input>) {
        if let SagaEvent::StepBegun { request: Request::Await { event }, .. } = event {
            let come = self.events.iter().filter(|(name, _)| name == event);
            inputs.extend(come.map(|(event, fields)| Input::Event { event: event.clone(), fields: fields.clone() }));
        }
        let Some((ask, request)) = effect(saga, event) else { return };
        let times = self.asked.entry(ask.clone()).or_default();
        *times += 1;
        let first = *times == 1;
        let fault = self.faults.get(&(ask.step.clone(), ask.undo)).copied();
        let result = match fault {
            Some(Answer::RefusedAlways) => Err(refusal(Class::Rejected, "no")),
            Some(Answer::DownOnce) if first => Err(refusal(Class::Unavailable, "down")),
            Some(_) | None => (self.oracle)(&ask, request),
        };
        // Who is asked knows the id: it is done once.
        if result.is_ok() && self.known.insert(ask.clone()) {
            self.effects.push((ask.step.clone(), ask.undo));
        }
        let lost = matches!(fault, Some(Answer::LostAlways | Answer::SilentAlways))
            || (first
                && (matches!(fault, Some(Answer::LostOnce | Answer::SilentOnce)) || (self.losing_undo && ask.undo)));
        // Who may take it for later does, and is heard of once more.
        let beats = match fault {
            None => 2,
            Some(Answer::SilentOnce | Answer::SilentAlways) => 1,
            Some(_) => 0,
        };
        if beats_of(self.plan, &ask) && result.is_ok() {
            inputs.extend((0..beats).map(|_| Input::Beat { ask: ask.clone() }));
        }
        let copies = if lost { 0 } else { 1 + usize::from(self.twice) };
        inputs.extend((0..copies).map(|_| Input::Reply { ask: ask.clone(), result: result.clone() }));
    }
}

/// Whether who is asked may take it for later.
fn beats_of(plan: &Plan, ask: &AskId) -> bool {
    let declared = plan.step(&ask.step).and_then(|step| step.ask(ask.undo));
    matches!(declared, Some(Ask::Http { heartbeat_us: Some(_), .. }))
}

/// A refusal with that code.
fn refusal(class: Class, code: &str) -> Refusal {
    Refusal { class, code: code.to_owned(), message: format!("the test says {code}"), doubtful: false }
}

/// The log as it is written.
fn records(id: &str, log: &[SagaEvent], times: &[Timestamp]) -> Vec<Happened> {
    let record = |((number, at), event): ((u64, &Timestamp), &SagaEvent)| Happened {
        saga: id.to_owned(),
        number,
        at: *at,
        event: event.clone(),
    };
    (1..).zip(times).zip(log).map(record).collect()
}

/// The state that another owner has: from what is written.
fn folded(id: &str, log: &[SagaEvent], times: &[Timestamp]) -> SagaState {
    let written: Vec<String> = log.iter().map(|event| serde_json::to_string(event).expect("it is JSON")).collect();
    let mut read = written.iter().map(|text| serde_json::from_str::<SagaEvent>(text).expect("it is read as written"));
    let begun = read.next().and_then(|event| SagaState::begin(id, &event, times[0]));
    let mut state = begun.expect("a log begins with the start");
    for (event, at) in read.zip(&times[1..]) {
        state.apply(&event, *at).unwrap_or_else(|illegal| panic!("{illegal}: {event:?}"));
    }
    state
}
