//! What the rest of the process sees of a model: state, progress, commands.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use spina_core::{ModelShape, Token};
use spina_runtime::{Condition, Readiness};
use spina_store::read_model::ModelName;
use tokio::sync::{mpsc, oneshot, watch};

use super::ends::{Ends, behind};
use crate::metrics::ModelMetrics;

/// Commands that may wait for a model.
const COMMANDS_MAX: usize = 8;

/// How a model is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Not taken over yet.
    Starting,
    /// Its events are read as they come.
    Running,
    /// A neighbour does not answer; it goes on by itself.
    Waiting(String),
    /// A person has paused it.
    Paused,
    /// Its definition and its table are not of one kind: a rebuild is needed. The table can be read as it stands.
    RebuildNeeded(String),
    /// It cannot go on, and says why.
    Failed(String),
    /// Another projector has taken it over.
    Superseded,
}

/// How a rebuild is.
#[derive(Debug, Clone, PartialEq)]
pub enum RebuildState {
    /// Reading the log into the shadow table.
    Running,
    /// Taking the live table's place.
    Switching,
    /// The shadow table has become the live one.
    Done,
    /// It could not go on, and says why.
    Failed(String),
}

/// Progress of a rebuild, in offsets of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Rebuild {
    /// How it is.
    pub state: RebuildState,
    /// Next offsets of the shadow table.
    pub next_offsets: Vec<i64>,
    /// Offsets passed since it began or was taken up again, and the time that took.
    pub pace: (i64, Duration),
}

/// State and rebuild together.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// How the model is.
    pub state: State,
    /// Its rebuild, the last one if it is over.
    pub rebuild: Option<Rebuild>,
}

/// How far the live table is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Next offset to read, by partition; empty before the model was taken over.
    pub next_offsets: Vec<i64>,
}

/// What a person can ask of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Fill a shadow table from the start of the log, then let it take the live one's place.
    Rebuild,
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

/// A command and where its answer goes.
pub type Request = (Command, oneshot::Sender<Result<(), CommandError>>);

/// A model as the rest of the process sees it.
#[derive(Debug)]
pub struct Handle {
    /// Its name.
    pub name: ModelName,
    /// The topic that it reads.
    pub topic: String,
    /// What is counted about it.
    pub metrics: ModelMetrics,
    readiness: Readiness,
    status: watch::Sender<Status>,
    progress: watch::Sender<Progress>,
    shape: RwLock<Option<Arc<ModelShape>>>,
    commands: mpsc::Sender<Request>,
}

impl Handle {
    /// A model that is starting, and where its commands come out.
    pub fn new(
        name: ModelName,
        topic: String,
        metrics: ModelMetrics,
        readiness: Readiness,
    ) -> (Arc<Self>, mpsc::Receiver<Request>) {
        let (commands, requests) = mpsc::channel(COMMANDS_MAX);
        let status = watch::Sender::new(Status { state: State::Starting, rebuild: None });
        let progress = watch::Sender::new(Progress::default());
        let shape = RwLock::new(None);
        let handle = Self { name, topic, metrics, readiness, status, progress, shape, commands };
        handle.set_state(State::Starting);
        (Arc::new(handle), requests)
    }

    /// State and rebuild.
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// How far the live table is.
    pub fn next_offsets(&self) -> Vec<i64> {
        self.progress.borrow().next_offsets.clone()
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

    /// States how far the live table is. Whoever waits for a token that it passes goes on.
    pub fn set_progress(&self, next_offsets: &[i64]) {
        self.progress.send_replace(Progress { next_offsets: next_offsets.to_vec() });
    }

    /// States the live table's columns.
    pub fn set_shape(&self, shape: ModelShape) {
        *self.shape.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(shape));
    }

    /// The last record that the live table includes, as a token.
    pub fn token(&self) -> Token {
        let mut token = Token::start(self.topic.clone());
        for (partition, next) in (0..).zip(self.next_offsets()) {
            if next > 0 {
                token.advance(partition, next - 1);
            }
        }
        token
    }

    /// Notes the ends of the log in the metrics.
    pub fn note_ends(&self, stable: &[i64]) {
        self.metrics.lag.set(behind(&self.next_offsets(), stable));
        if let Some(rebuild) = self.status().rebuild {
            self.metrics.rebuild_done.set(rebuild.next_offsets.iter().sum());
            self.metrics.rebuild_total.set(stable.iter().sum());
        }
    }

    /// Gives the model a command and waits for its answer.
    pub async fn command(&self, command: Command) -> Result<(), CommandError> {
        let gone = || CommandError::Unavailable("the model is stopping".to_owned());
        let (answer, answered) = oneshot::channel();
        self.commands.send((command, answer)).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    /// Waits until the live table includes what the token names.
    pub async fn reach(&self, token: &Token, limit: Duration) -> Result<(), WaitError> {
        if token.topic() != self.topic {
            return Err(WaitError::NotOurs(format!(
                "the token is of {}, the model reads {}",
                token.topic(),
                self.topic
            )));
        }
        let (mut progress, mut status) = (self.progress.subscribe(), self.status.subscribe());
        let waiting = async {
            loop {
                if included(token, &progress.borrow_and_update().next_offsets)? {
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

/// A model, and the ends of the log it reads.
type Known = (Arc<Handle>, Ends);

/// All models of the process by name. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Handles {
    models: Arc<Mutex<BTreeMap<ModelName, Known>>>,
}

impl Handles {
    /// Makes a model known.
    pub fn add(&self, handle: Arc<Handle>, ends: Ends) {
        self.lock().insert(handle.name.clone(), (handle, ends));
    }

    /// A model by name.
    pub fn get(&self, name: &ModelName) -> Option<Known> {
        self.lock().get(name).cloned()
    }

    /// All models, by name.
    pub fn all(&self) -> Vec<Known> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<ModelName, Known>> {
        self.models.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::ProjectorMetrics;

    fn handle() -> Arc<Handle> {
        let name = ModelName { context: "flights".parse().unwrap(), model: "m".to_owned() };
        let metrics = ProjectorMetrics::new(&spina_runtime::Metrics::new("projector", "0")).of(&name);
        Handle::new(name, "flights.events.v1".to_owned(), metrics, Readiness::new()).0
    }

    fn token(text: &str) -> Token {
        text.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_reached_when_the_checkpoint_has_passed_it() {
        let handle = handle();
        let limit = Duration::from_secs(1);
        assert_eq!(handle.reach(&token("flights.events.v1:1:7"), limit).await, Err(WaitError::TimedOut));
        handle.set_progress(&[0, 7]);
        assert_eq!(handle.reach(&token("flights.events.v1:1:7"), limit).await, Err(WaitError::TimedOut));
        assert_eq!(handle.reach(&token("flights.events.v1:1:6"), limit).await, Ok(()));
        let waiting = Arc::clone(&handle);
        let reached = async move { waiting.reach(&token("flights.events.v1:0:0,1:7"), limit).await };
        let (reached, ()) = tokio::join!(reached, async { handle.set_progress(&[1, 8]) });
        assert_eq!(reached, Ok(()));
        assert_eq!(handle.token().to_string(), "flights.events.v1:0:0,1:7");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_a_model_that_does_not_go_on() {
        let handle = handle();
        handle.set_progress(&[0]);
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
