//! What the rest of the process sees of a model: state, progress, commands.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use spina_core::{Join, ModelShape, Token};
use spina_runtime::{Condition, Readiness};
use spina_store::dead_letters::Decision;
use spina_store::read_model::{Input, Inputs, ModelName};
use tokio::sync::{mpsc, oneshot, watch};

use super::audit::Auditor;
use super::ends::behind;
use super::feed::Feed;
use super::fill::{Errand, Mend, Order, Settled};
use super::mark::Mark;
use super::status::{Progress, Rebuild, RebuildState, State, Status};
use crate::metrics::ModelMetrics;

/// Commands that may wait for a model.
const COMMANDS_MAX: usize = 8;

/// What a person can ask of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Fill a shadow table from the start of the log, then let it take the live one's place.
    Rebuild,
    /// Let the rebuild rest where it is.
    PauseRebuild,
    /// Go on with the rebuild.
    ResumeRebuild,
    /// Drop the shadow table.
    CancelRebuild,
    /// Put the table back that the last rebuild took the place of.
    RollBack,
    /// Drop that table.
    DropOld,
    /// Stop reading.
    Pause,
    /// Go on, also after a failure.
    Resume,
}

/// Why a command was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// It does not fit the model's state.
    #[error("{0}")]
    Conflict(String),
    /// The database did not answer, or the model is stopping.
    #[error("{0}")]
    Unavailable(String),
}

/// Why waiting for a token ended without it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WaitError {
    /// The token is of another topic or partition.
    #[error("{0}")]
    NotOurs(String),
    /// The model does not go on by itself.
    #[error("{0}")]
    Stopped(String),
    /// Time is up.
    #[error("the model has not reached the token yet")]
    TimedOut,
}

/// What a model's task is asked.
#[derive(Debug)]
pub enum Request {
    /// A command, and where its answer goes.
    Steer(Command, oneshot::Sender<Result<(), CommandError>>),
    /// Something for the live fill to do between two batches.
    Run(Errand),
}

/// A model as the rest of the process sees it.
#[derive(Debug)]
pub struct Handle {
    /// Its name.
    pub name: ModelName,
    /// The topics that it reads, that of its own context first.
    pub inputs: Inputs,
    /// What is read of other models' rows with its own.
    pub joins: Vec<Join>,
    /// What is counted about it.
    pub metrics: ModelMetrics,
    /// Which rows have changed.
    pub feed: Arc<Feed>,
    /// Holds the table against the log; empty until the servers have answered.
    pub auditor: OnceLock<Auditor>,
    readiness: Readiness,
    status: watch::Sender<Status>,
    progress: watch::Sender<Progress>,
    shape: RwLock<Option<Arc<ModelShape>>>,
    requests: mpsc::Sender<Request>,
}

impl Handle {
    /// A model that is starting, and where its commands come out.
    pub fn new(
        name: ModelName,
        inputs: Inputs,
        joins: Vec<Join>,
        metrics: ModelMetrics,
        readiness: Readiness,
    ) -> (Arc<Self>, mpsc::Receiver<Request>) {
        let (sender, requests) = mpsc::channel(COMMANDS_MAX);
        let status =
            watch::Sender::new(Status { state: State::Starting, rebuild: None, parked_keys: 0, parked_events: 0 });
        let progress = watch::Sender::new(Progress::default());
        let shape = RwLock::new(None);
        let feed = Arc::default();
        let auditor = OnceLock::new();
        let handle =
            Self { name, inputs, joins, metrics, feed, auditor, readiness, status, progress, shape, requests: sender };
        handle.set_state(State::Starting);
        (Arc::new(handle), requests)
    }

    /// State and rebuild.
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// How far the live table is, over all inputs.
    pub fn next_offsets(&self) -> Vec<i64> {
        self.progress.borrow().next_offsets.clone()
    }

    /// How far the live table is, for each input.
    pub fn marks(&self) -> Vec<Mark> {
        let Progress { next_offsets, event_times } = self.progress.borrow().clone();
        let mark = |(at, input): (usize, &Input)| Mark {
            next_offsets: self.inputs.part(at, &next_offsets).to_vec(),
            topic: input.topic.clone(),
            event_time: event_times.get(at).copied().flatten(),
        };
        self.inputs.iter().enumerate().map(mark).collect()
    }

    /// The live table's columns; `None` before the model was taken over.
    pub fn shape(&self) -> Option<Arc<ModelShape>> {
        self.shape.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// States how the model is, to people, readiness and metrics.
    pub fn set_state(&self, state: State) {
        let condition = match &state {
            State::Starting => Condition::not_ready("starting"),
            State::Running => Condition::Ready,
            State::Waiting(cause) => Condition::degraded(cause.clone()),
            State::Paused => Condition::degraded("paused"),
            State::RebuildNeeded(cause) | State::Failed(cause) => Condition::degraded(cause.clone()),
            State::Superseded => Condition::not_ready("another projector has taken the model over"),
        };
        self.readiness.set(format!("model {}", self.name), condition);
        self.metrics.failed.set(i64::from(matches!(state, State::Failed(_))));
        self.status.send_modify(|status| status.state = state);
    }

    /// States how the rebuild is.
    pub fn set_rebuild(&self, rebuild: Rebuild) {
        self.status.send_modify(|status| status.rebuild = Some(rebuild));
    }

    /// Changes the state of the rebuild that there is.
    pub fn set_rebuild_state(&self, state: RebuildState) {
        self.status.send_modify(|status| {
            if let Some(rebuild) = &mut status.rebuild {
                rebuild.state = state;
            }
        });
    }

    /// States how much is parked.
    pub fn set_parked(&self, keys: usize, events: i64) {
        self.metrics.parked_keys.set(i64::try_from(keys).unwrap_or(i64::MAX));
        self.metrics.parked_events.set(events);
        self.status.send_if_modified(|status| {
            let changed = (status.parked_keys, status.parked_events) != (keys, events);
            (status.parked_keys, status.parked_events) = (keys, events);
            changed
        });
    }

    /// States how far the live table is. Whoever waits for a token that it passes goes on.
    pub fn set_progress(&self, progress: Progress) {
        self.progress.send_replace(progress);
    }

    /// How far the live table is, as it goes on.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// States why the model's topic is not told of changes, if it is not.
    pub fn set_topic_trouble(&self, trouble: Option<String>) {
        let condition = trouble.as_ref().map_or(Condition::Ready, |cause| Condition::degraded(cause.clone()));
        self.readiness.set(format!("topic of {}", self.name), condition);
        self.metrics.topic_silent.set(i64::from(trouble.is_some()));
    }

    /// States the live table's columns.
    pub fn set_shape(&self, shape: ModelShape) {
        *self.shape.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(shape));
    }

    /// Notes the ends of the log, by input, in the metrics.
    pub fn note_ends(&self, stable: &[Arc<Vec<i64>>]) {
        let lag = self.marks().iter().zip(stable).map(|(mark, stable)| behind(&mark.next_offsets, stable)).sum();
        self.metrics.lag.set(lag);
        if let Some(rebuild) = self.status().rebuild {
            self.metrics.rebuild_done.set(rebuild.next_offsets.iter().sum());
            self.metrics.rebuild_total.set(stable.iter().flat_map(|stable| stable.iter()).sum());
        }
    }

    /// Gives the model a command and waits for its answer.
    pub async fn command(&self, command: Command) -> Result<(), CommandError> {
        let gone = || CommandError::Unavailable("the model is stopping".to_owned());
        let (answer, answered) = oneshot::channel();
        self.requests.send(Request::Steer(command, answer)).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    /// Has dead letters settled: what was decided about letters is noted, then the keys are tried in order.
    pub async fn settle(&self, decided: Vec<(i64, Decision)>, keys: Vec<Vec<u8>>) -> Result<Settled, CommandError> {
        let gone = || CommandError::Unavailable("the model has stopped; list the letters again".to_owned());
        let (answer, answered) = oneshot::channel();
        let order = Order { decided, keys, answer };
        self.requests.send(Request::Run(Errand::Letters(order))).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    /// Has rows replaced. The answer goes where the errand says.
    pub async fn mend(&self, mend: Mend) -> Result<(), CommandError> {
        let gone = |_| CommandError::Unavailable("the model is stopping".to_owned());
        self.requests.send(Request::Run(Errand::Rows(mend))).await.map_err(gone)
    }

    /// Whether it reads the token's topic.
    pub fn reads(&self, token: &Token) -> bool {
        self.inputs.position(token.topic()).is_some()
    }

    /// Waits until the live table includes what the token names. Other inputs than the token's are not waited for.
    pub async fn reach(&self, token: &Token, limit: Duration) -> Result<(), WaitError> {
        let Some(input) = self.inputs.position(token.topic()) else {
            let topics: Vec<&str> = self.inputs.iter().map(|input| input.topic.as_str()).collect();
            let message = format!("the token is of {}, the model reads {}", token.topic(), topics.join(", "));
            return Err(WaitError::NotOurs(message));
        };
        let (mut progress, mut status) = (self.progress.subscribe(), self.status.subscribe());
        let waiting = async {
            loop {
                if included(token, self.inputs.part(input, &progress.borrow_and_update().next_offsets))? {
                    return Ok(());
                }
                stopped(&status.borrow_and_update().state)?;
                let changed = tokio::select! {
                    changed = progress.changed() => changed,
                    changed = status.changed() => changed,
                };
                changed.map_err(|_| WaitError::Stopped("the model is stopping".to_owned()))?;
            }
        };
        tokio::time::timeout(limit, waiting).await.unwrap_or(Err(WaitError::TimedOut))
    }
}

/// Whether the input's offsets have passed what the token names.
fn included(token: &Token, next_offsets: &[i64]) -> Result<bool, WaitError> {
    if next_offsets.is_empty() {
        return Ok(false);
    }
    let mut all = true;
    for (partition, offset) in token.offsets() {
        let next = usize::try_from(partition).ok().and_then(|index| next_offsets.get(index));
        let next = next.ok_or_else(|| WaitError::NotOurs(format!("the topic has no partition {partition}")))?;
        all &= *next > offset;
    }
    Ok(all)
}

fn stopped(state: &State) -> Result<(), WaitError> {
    match state {
        State::Starting | State::Running | State::Waiting(_) => Ok(()),
        State::Paused => Err(WaitError::Stopped("the model is paused".to_owned())),
        State::Superseded => Err(WaitError::Stopped("another projector has taken the model over".to_owned())),
        State::RebuildNeeded(cause) | State::Failed(cause) => Err(WaitError::Stopped(cause.clone())),
    }
}

#[cfg(test)]
mod tests {
    use spina_core::Timestamp;

    use super::*;
    use crate::metrics::ProjectorMetrics;

    fn handle() -> Arc<Handle> {
        let name = ModelName { context: "flights".parse().unwrap(), model: "m".to_owned() };
        let metrics = ProjectorMetrics::new(&spina_runtime::Metrics::new("projector", "0")).of(&name);
        let input = |topic: &str| Input { topic: topic.to_owned(), partitions: 2 };
        let inputs = Inputs::of(vec![input("flights.events.v1"), input("booking.events.v1")]);
        Handle::new(name, inputs, Vec::new(), metrics, Readiness::new()).0
    }

    fn at(next_offsets: &[i64]) -> Progress {
        Progress { next_offsets: next_offsets.to_vec(), event_times: vec![None, Timestamp::from_micros(1)] }
    }

    fn token(text: &str) -> Token {
        text.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_reached_when_the_checkpoint_has_passed_it() {
        let handle = handle();
        let limit = Duration::from_secs(1);
        assert_eq!(handle.reach(&token("flights.events.v1:1:7"), limit).await, Err(WaitError::TimedOut));
        handle.set_progress(at(&[0, 7, 0, 0]));
        assert_eq!(handle.reach(&token("flights.events.v1:1:7"), limit).await, Err(WaitError::TimedOut));
        assert_eq!(handle.reach(&token("flights.events.v1:1:6"), limit).await, Ok(()));
        let waiting = Arc::clone(&handle);
        let reached = async move { waiting.reach(&token("flights.events.v1:0:0,1:7"), limit).await };
        let (reached, ()) = tokio::join!(reached, async { handle.set_progress(at(&[1, 8, 0, 0])) });
        assert_eq!(reached, Ok(()));
        assert_eq!(handle.marks()[0].token().to_string(), "flights.events.v1:0:0,1:7");
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_waits_for_its_own_input_only() {
        let (handle, limit) = (handle(), Duration::from_secs(1));
        handle.set_progress(at(&[0, 0, 0, 3]));
        assert_eq!(handle.reach(&token("booking.events.v1:1:2"), limit).await, Ok(()));
        assert_eq!(handle.reach(&token("booking.events.v1:1:3"), limit).await, Err(WaitError::TimedOut));
        assert_eq!(handle.reach(&token("flights.events.v1:1:2"), limit).await, Err(WaitError::TimedOut));
        let marks = handle.marks();
        assert_eq!(marks[1].token().to_string(), "booking.events.v1:1:2");
        assert_eq!((marks[0].event_time, marks[1].event_time), (None, Timestamp::from_micros(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_a_model_that_does_not_go_on() {
        let handle = handle();
        handle.set_progress(at(&[0, 0, 0, 0]));
        let limit = Duration::from_secs(1);
        for (text, part) in [("other.events.v1:0:0", "other.events.v1"), ("flights.events.v1:3:0", "no partition 3")] {
            let refused = handle.reach(&token(text), limit).await.unwrap_err();
            assert!(matches!(&refused, WaitError::NotOurs(cause) if cause.contains(part)), "{refused:?}");
        }
        handle.set_state(State::Failed("poison".to_owned()));
        let stopped = handle.reach(&token("flights.events.v1:0:0"), limit).await;
        assert_eq!(stopped, Err(WaitError::Stopped("poison".to_owned())));
    }
}
