//! The task of one model: takes it over, fills its table, obeys commands, carries out rebuilds.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use spina_codec::catalog::SchemaCache;
use spina_codec::shape::Shape;
use spina_runtime::shutdown::sleep;
use spina_store::StoreError;
use spina_store::read_model::{Lease, Slot, Swap, Taking};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::decode::Decoder;
use super::failure::Failure;
use super::fill::{Ended, Fill, Goal, Parts};
use super::handle::{Command, CommandError, Handle, RebuildState, Request, State};
use super::report::{LiveReport, RebuildReport};

/// Pause before the database is asked again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// What a model's task is given.
pub struct Neighbours {
    /// What its fills work with.
    pub parts: Arc<Parts>,
    /// Number of partitions of the events topic.
    pub partitions: usize,
    /// Schemas by id.
    pub schemas: SchemaCache,
    /// The event types as the definition knows them.
    pub events: Arc<HashMap<String, Shape>>,
    /// Cancelled when the process stops.
    pub stopping: CancellationToken,
}

/// The task of one model.
pub struct ModelTask {
    neighbours: Neighbours,
    handle: Arc<Handle>,
    requests: mpsc::Receiver<Request>,
    live: Option<Running>,
    rebuild: Option<Running>,
}

/// A fill that is under way. It gives itself back when it ends.
struct Running {
    future: BoxFuture<'static, (Fill, Result<Ended, Failure>)>,
    stop: CancellationToken,
}

/// What woke the task.
enum Woken {
    Request(Request),
    Live(Result<Ended, Failure>),
    Rebuild(Box<Fill>, Result<Ended, Failure>),
    Stopping,
}

impl ModelTask {
    /// A task that has not begun.
    pub fn new(neighbours: Neighbours, handle: Arc<Handle>, requests: mpsc::Receiver<Request>) -> Self {
        Self { neighbours, handle, requests, live: None, rebuild: None }
    }

    /// Runs until the process stops.
    pub async fn run(mut self) -> anyhow::Result<()> {
        self.begin().await;
        loop {
            match self.next().await {
                Woken::Stopping => break,
                Woken::Request((command, answer)) => self.obey(command, answer).await,
                Woken::Live(Ok(_)) => {}
                Woken::Live(Err(failure)) => self.failed(&failure),
                Woken::Rebuild(fill, Ok(Ended::Reached)) => self.switch(*fill).await,
                Woken::Rebuild(_, Ok(Ended::Stopped)) => {}
                Woken::Rebuild(_, Err(failure)) => self.rebuild_failed(&failure).await,
            }
        }
        // Both stop between two transactions; nothing is lost either way.
        self.halt().await;
        Ok(())
    }

    async fn next(&mut self) -> Woken {
        let stopping = self.neighbours.stopping.clone();
        tokio::select! {
            biased;
            () = stopping.cancelled() => Woken::Stopping,
            Some(request) = self.requests.recv() => Woken::Request(request),
            (_, ended) = finished(&mut self.live) => Woken::Live(ended),
            (fill, ended) = finished(&mut self.rebuild) => Woken::Rebuild(Box::new(fill), ended),
        }
    }

    /// Takes the model over, and a rebuild that was under way when the process stopped.
    async fn begin(&mut self) {
        while !self.neighbours.stopping.is_cancelled() {
            let cause = match self.take_over().await {
                Ok(()) => return,
                Err(error) if error.is_transient() => error.to_string(),
                Err(error) => return self.failed(&Failure::Store(error)),
            };
            self.handle.set_state(State::Waiting(cause));
            sleep(&self.neighbours.stopping, RETRY_PAUSE).await;
        }
    }

    async fn take_over(&mut self) -> Result<(), StoreError> {
        let parts = Arc::clone(&self.neighbours.parts);
        let rows = parts.store.models(&parts.name.context).await?;
        let row = |slot| rows.iter().find(|row| row.model == parts.name.model && row.slot == slot);
        let paused = row(Slot::Live).is_some_and(|row| row.paused);
        if let Some(rebuild) = row(Slot::Rebuild) {
            if rebuild.fingerprint != parts.model.fingerprint() {
                parts.store.drop_rebuild(&parts.name).await?;
            } else if !paused && self.rebuild.is_none() {
                self.resume_rebuild().await?;
            }
        }
        self.take_live(paused).await
    }

    async fn take_live(&mut self, paused: bool) -> Result<(), StoreError> {
        match self.take(Slot::Live).await? {
            Taking::Taken(lease) => {
                self.handle.set_shape(self.neighbours.parts.model.shape().clone());
                self.handle.set_progress(&lease.next_offsets);
                if paused {
                    self.handle.set_state(State::Paused);
                } else {
                    self.run_live(lease);
                }
            }
            Taking::DefinitionChanged { shape, next_offsets } => {
                let cause = "the definition has changed since the table was filled: rebuild the model";
                self.handle.set_shape(shape);
                self.handle.set_progress(&next_offsets);
                tracing::warn!(model = %self.handle.name, cause, "rebuild needed");
                self.handle.set_state(State::RebuildNeeded(cause.to_owned()));
            }
            Taking::PartitionsChanged { stored } => {
                let now = self.neighbours.partitions;
                let cause =
                    format!("the checkpoint is for {stored} partitions, the topic has {now}: rebuild the model");
                self.handle.set_state(State::RebuildNeeded(cause));
            }
        }
        Ok(())
    }

    async fn take(&mut self, slot: Slot) -> Result<Taking, StoreError> {
        let Parts { store, name, model, .. } = &*self.neighbours.parts;
        store.take_model(name, slot, model.shape(), model.fingerprint(), self.neighbours.partitions).await
    }

    fn run_live(&mut self, lease: Lease) {
        self.handle.set_state(State::Running);
        let report = LiveReport(Arc::clone(&self.handle));
        self.live = Some(self.start(Slot::Live, lease, Goal::Forever, report));
    }

    fn run_rebuild(&mut self, lease: Lease) {
        let report = RebuildReport::new(Arc::clone(&self.handle), &lease);
        self.rebuild = Some(self.start(Slot::Rebuild, lease, Goal::End, report));
    }

    async fn resume_rebuild(&mut self) -> Result<(), StoreError> {
        if let Taking::Taken(lease) = self.take(Slot::Rebuild).await? {
            tracing::info!(model = %self.handle.name, "going on with a rebuild");
            self.run_rebuild(lease);
        }
        Ok(())
    }

    fn start(&self, slot: Slot, lease: Lease, goal: Goal, mut report: impl super::fill::Report + 'static) -> Running {
        let mut fill = self.fill(slot, lease);
        let stop = self.neighbours.stopping.child_token();
        let token = stop.clone();
        let future = Box::pin(async move {
            let ended = fill.run(&goal, &token, &mut report).await;
            (fill, ended)
        });
        Running { future, stop }
    }

    fn fill(&self, slot: Slot, lease: Lease) -> Fill {
        let Neighbours { parts, schemas, events, .. } = &self.neighbours;
        let decoder = Decoder::new(Arc::clone(&parts.model), schemas.clone(), Arc::clone(events));
        Fill::new(Arc::clone(parts), slot, lease, decoder)
    }

    fn failed(&self, failure: &Failure) {
        match failure {
            Failure::Superseded => {
                tracing::warn!(model = %self.handle.name, "another projector goes on with the model");
                self.handle.set_state(State::Superseded);
            }
            Failure::Poison { .. } | Failure::Log(_) | Failure::Store(_) => {
                tracing::error!(model = %self.handle.name, cause = %failure, "model stopped");
                self.handle.set_state(State::Failed(failure.to_string()));
            }
        }
    }

    async fn rebuild_failed(&mut self, failure: &Failure) {
        tracing::error!(model = %self.handle.name, cause = %failure, "rebuild failed");
        self.handle.set_rebuild_state(RebuildState::Failed(failure.to_string()));
        let Parts { store, name, .. } = &*self.neighbours.parts;
        // What it has filled is of no use; dropping it keeps the next start clean.
        if !matches!(failure, Failure::Superseded)
            && let Err(error) = store.drop_rebuild(name).await
        {
            tracing::warn!(model = %name, %error, "the shadow table stays for now");
        }
    }

    /// Stops both fills at their batch boundaries. Returns the live one.
    async fn halt(&mut self) -> Option<Fill> {
        if let Some(rebuild) = self.rebuild.take() {
            rebuild.stop.cancel();
            drop(rebuild.future.await);
        }
        self.halt_live().await
    }

    async fn halt_live(&mut self) -> Option<Fill> {
        let live = self.live.take()?;
        live.stop.cancel();
        Some(live.future.await.0)
    }

    async fn obey(&mut self, command: Command, answer: oneshot::Sender<Result<(), CommandError>>) {
        let obeyed = match command {
            Command::Rebuild => self.begin_rebuild().await,
            Command::Pause => self.pause().await,
            Command::Resume => self.resume().await,
        };
        // Whoever asked may have gone.
        let _ = answer.send(obeyed);
    }

    async fn begin_rebuild(&mut self) -> Result<(), CommandError> {
        if self.rebuild.is_some() {
            return Err(CommandError::Conflict("a rebuild is under way".to_owned()));
        }
        match self.handle.status().state {
            State::Starting => return Err(CommandError::Unavailable("the model is starting".to_owned())),
            State::Superseded => return Err(conflict("another projector has taken the model over")),
            State::Paused => return Err(conflict("the model is paused: resume it first")),
            State::Running | State::Waiting(_) | State::RebuildNeeded(_) | State::Failed(_) => {}
        }
        let Parts { store, name, model, .. } = &*self.neighbours.parts;
        let begun = store.begin_rebuild(name, model.shape(), model.fingerprint(), self.neighbours.partitions).await;
        let lease = begun.map_err(|error| CommandError::Unavailable(error.to_string()))?;
        tracing::info!(model = %name, "rebuild begins");
        self.run_rebuild(lease);
        Ok(())
    }

    async fn pause(&mut self) -> Result<(), CommandError> {
        match self.handle.status().state {
            State::Running | State::Waiting(_) | State::Failed(_) | State::Paused => {}
            State::Starting => return Err(CommandError::Unavailable("the model is starting".to_owned())),
            State::Superseded => return Err(conflict("another projector has taken the model over")),
            State::RebuildNeeded(cause) => return Err(CommandError::Conflict(cause)),
        }
        self.remember_paused(true).await?;
        self.halt().await;
        self.handle.set_state(State::Paused);
        Ok(())
    }

    async fn resume(&mut self) -> Result<(), CommandError> {
        match self.handle.status().state {
            State::Running | State::Waiting(_) if self.live.is_some() => return Ok(()),
            State::Starting => return Err(CommandError::Unavailable("the model is starting".to_owned())),
            State::Running
            | State::Waiting(_)
            | State::Paused
            | State::Failed(_)
            | State::Superseded
            | State::RebuildNeeded(_) => {}
        }
        self.remember_paused(false).await?;
        self.take_over().await.map_err(|error| CommandError::Unavailable(error.to_string()))
    }

    async fn remember_paused(&mut self, paused: bool) -> Result<(), CommandError> {
        let Parts { store, name, .. } = &*self.neighbours.parts;
        let stored = store.set_model_paused(name, paused).await;
        stored.map_err(|error| CommandError::Unavailable(error.to_string()))
    }

    /// The shadow table has caught up: stop the live one at its batch boundary, bring the shadow to where it stands, swap.
    async fn switch(&mut self, mut shadow: Fill) {
        self.handle.set_rebuild_state(RebuildState::Switching);
        let live = self.halt_live().await;
        let mut goal = live.map(|live| live.lease().next_offsets.clone()).unwrap_or_else(|| self.handle.next_offsets());
        let stopping = self.neighbours.stopping.clone();
        while !stopping.is_cancelled() {
            let mut report = RebuildReport::new(Arc::clone(&self.handle), shadow.lease());
            match shadow.run(&Goal::Offsets(goal.clone()), &stopping, &mut report).await {
                Ok(Ended::Reached) => {}
                Ok(Ended::Stopped) => return,
                Err(failure) => {
                    self.rebuild_failed(&failure).await;
                    return self.begin().await;
                }
            }
            self.handle.set_rebuild_state(RebuildState::Switching);
            let Parts { store, name, .. } = &*self.neighbours.parts;
            match store.swap_rebuilt(name, shadow.lease()).await {
                Ok(Swap::Done(lease)) => return self.switched(lease),
                Ok(Swap::Behind { live }) => goal = live,
                Ok(Swap::LeaseLost) => return self.settle_switch().await,
                Err(error) if error.is_transient() => {
                    tracing::warn!(model = %name, %error, "trying the switch again");
                    sleep(&stopping, RETRY_PAUSE).await;
                }
                Err(error) => {
                    self.rebuild_failed(&Failure::Store(error)).await;
                    return self.begin().await;
                }
            }
        }
    }

    fn switched(&mut self, lease: Lease) {
        tracing::info!(model = %self.handle.name, "rebuilt table is live");
        self.handle.set_shape(self.neighbours.parts.model.shape().clone());
        self.handle.set_progress(&lease.next_offsets);
        self.handle.set_rebuild_state(RebuildState::Done);
        self.run_live(lease);
    }

    /// A swap whose answer was lost may have been carried out: the books know.
    async fn settle_switch(&mut self) {
        self.begin().await;
        if self.rebuild.is_none() && self.live.is_some() {
            self.handle.set_rebuild_state(RebuildState::Done);
        }
    }
}

fn conflict(message: &str) -> CommandError {
    CommandError::Conflict(message.to_owned())
}

/// The end of a fill; pending for ever when there is none.
async fn finished(running: &mut Option<Running>) -> (Fill, Result<Ended, Failure>) {
    match running {
        Some(fill) => {
            let ended = (&mut fill.future).await;
            *running = None;
            ended
        }
        None => std::future::pending().await,
    }
}
