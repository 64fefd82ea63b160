//! The task of one model: takes it over, fills its table, obeys commands, carries out rebuilds.

mod commands;
mod rebuild;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use spina_codec::catalog::SchemaCache;
use spina_runtime::shutdown::sleep;
use spina_store::StoreError;
use spina_store::read_model::{Lease, ModelRow, Slot, Taking};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::decode::Decoder;
use super::failure::Failure;
use super::fill::{Ended, Errand, Fill, Goal, Parts, Report};
use super::handle::{Handle, Request};
use super::report::LiveReport;
use super::status::{Progress, State};
use super::topic::Teller;

/// Pause before the database is asked again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// What a model's task is given.
pub struct Neighbours {
    /// What its fills work with.
    pub parts: Arc<Parts>,
    /// Schemas by id.
    pub schemas: SchemaCache,
    /// As many turns as rebuilds may run at a time in this process.
    pub rebuild_turns: Arc<Semaphore>,
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
    errands: mpsc::Sender<Errand>,
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
                Woken::Request(Request::Steer(command, answer)) => self.obey(command, answer).await,
                Woken::Request(Request::Run(errand)) => self.pass_on(errand),
                Woken::Live(Ok(_)) => {}
                Woken::Live(Err(failure)) => self.failed(&failure),
                Woken::Rebuild(fill, Ok(Ended::Reached)) => self.caught_up(*fill).await,
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
        let paused = self.row(Slot::Live).await?.is_some_and(|row| row.paused);
        self.take_live(paused).await?;
        // Only now: a swap that the predecessor's death left under way has ended when the live table is taken.
        match self.row(Slot::Rebuild).await? {
            Some(rebuild) => self.take_rebuild(&rebuild).await,
            None => Ok(()),
        }
    }

    async fn row(&mut self, slot: Slot) -> Result<Option<ModelRow>, StoreError> {
        let Parts { store, name, .. } = &*self.neighbours.parts;
        let rows = store.models(&name.context).await?;
        Ok(rows.into_iter().find(|row| row.model == name.model && row.slot == slot))
    }

    async fn take_rebuild(&mut self, row: &ModelRow) -> Result<(), StoreError> {
        let parts = Arc::clone(&self.neighbours.parts);
        if row.fingerprint != parts.model.fingerprint() || row.inputs != parts.inputs {
            // It would give a table of a definition that is not there any more.
            return parts.store.drop_table(&parts.name, Slot::Rebuild).await;
        }
        if row.paused {
            self.tell_paused_rebuild(&row.next_offsets);
        } else if self.rebuild.is_none() && self.handle.status().state != State::Paused {
            self.resume_rebuild().await?;
        }
        Ok(())
    }

    async fn take_live(&mut self, paused: bool) -> Result<(), StoreError> {
        match self.take(Slot::Live).await? {
            Taking::Taken(lease) => {
                self.handle.set_shape(self.neighbours.parts.model.shape().clone());
                self.handle.set_progress((&lease).into());
                if paused {
                    self.handle.set_state(State::Paused);
                } else {
                    self.run_live(lease).await?;
                }
            }
            Taking::DefinitionChanged { shape, next_offsets } => {
                let cause = "the definition has changed since the table was filled: rebuild the model";
                self.handle.set_shape(shape);
                self.handle.set_progress(Progress { next_offsets, event_times: Vec::new() });
                tracing::warn!(model = %self.handle.name, cause, "rebuild needed");
                self.handle.set_state(State::RebuildNeeded(cause.to_owned()));
            }
            Taking::PartitionsChanged { stored } => {
                let now = self.neighbours.parts.inputs.partitions();
                let cause = format!("the checkpoint is for {stored} partitions, there are {now}: rebuild the model");
                self.handle.set_state(State::RebuildNeeded(cause));
            }
        }
        Ok(())
    }

    async fn take(&mut self, slot: Slot) -> Result<Taking, StoreError> {
        let Parts { store, name, model, inputs, .. } = &*self.neighbours.parts;
        store.take_model(name, slot, model.shape(), model.fingerprint(), inputs).await
    }

    async fn run_live(&mut self, lease: Lease) -> Result<(), StoreError> {
        let parts = Arc::clone(&self.neighbours.parts);
        parts.store.keep_changes(&parts.name, parts.model.shape(), parts.model.has_topic()).await?;
        // A condition on a joined column is right without an index, too.
        if let Err(error) = parts.store.index_joins(&parts.name, parts.model.joins()).await {
            tracing::warn!(model = %parts.name, %error, "no index for the joins");
        }
        self.handle.set_state(State::Running);
        // It may be another table than before, or one that another process has filled meanwhile.
        self.handle.feed.anything();
        let report = LiveReport(Arc::clone(&self.handle));
        let (fill, errands) = self.fill(Slot::Live, lease);
        let teller = parts.model.has_topic().then(|| Teller::new(parts, Arc::clone(&self.handle)));
        self.live = Some(self.start(fill, errands, report, teller));
        Ok(())
    }

    /// Starts the fill of the live table, and beside it the one who tells the model's topic.
    fn start(
        &self,
        mut fill: Fill,
        errands: mpsc::Sender<Errand>,
        mut report: impl Report + 'static,
        teller: Option<Teller>,
    ) -> Running {
        let stop = self.neighbours.stopping.child_token();
        let token = stop.clone();
        let future = Box::pin(async move {
            let quiet = token.child_token();
            let filling = async {
                let ended = fill.run(&Goal::Forever, &token, &mut report).await;
                quiet.cancel();
                ended
            };
            let telling = async {
                if let Some(teller) = teller {
                    teller.run(&quiet).await;
                }
            };
            let (ended, ()) = tokio::join!(filling, telling);
            (fill, ended)
        });
        Running { future, stop, errands }
    }

    /// Starts a fill that waits for something first; what that gives is held while it runs.
    fn start_after<T: Send + 'static>(
        &self,
        wait: impl Future<Output = T> + Send + 'static,
        mut fill: Fill,
        errands: mpsc::Sender<Errand>,
        goal: Goal,
        mut report: impl Report + 'static,
    ) -> Running {
        let stop = self.neighbours.stopping.child_token();
        let token = stop.clone();
        let future = Box::pin(async move {
            let Some(_held) = token.run_until_cancelled(wait).await else { return (fill, Ok(Ended::Stopped)) };
            let ended = fill.run(&goal, &token, &mut report).await;
            (fill, ended)
        });
        Running { future, stop, errands }
    }

    fn fill(&self, slot: Slot, lease: Lease) -> (Fill, mpsc::Sender<Errand>) {
        let Neighbours { parts, schemas, .. } = &self.neighbours;
        let decoder = Decoder::new(Arc::clone(&parts.model), schemas.clone());
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

    /// Stops both fills at their batch boundaries.
    async fn halt(&mut self) {
        self.halt_rebuild().await;
        self.halt_live().await;
    }

    async fn halt_live(&mut self) -> Option<Fill> {
        let live = self.live.take()?;
        live.stop.cancel();
        Some(live.future.await.0)
    }

    async fn halt_rebuild(&mut self) -> Option<Fill> {
        let rebuild = self.rebuild.take()?;
        rebuild.stop.cancel();
        Some(rebuild.future.await.0)
    }
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
