//! What people ask of a model.

use spina_store::read_model::{Slot, SwapBack};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;

use super::ModelTask;
use crate::project::fill::{Errand, Parts};
use crate::project::handle::{Command, CommandError};
use crate::project::status::{RebuildState, State};

impl ModelTask {
    /// Letters are settled and rows replaced by whoever fills the live table, between two batches.
    pub(super) fn pass_on(&self, errand: Errand) {
        let Some(live) = &self.live else {
            return errand.refuse(conflict("the model is not running: resume it first"));
        };
        if let Err(TrySendError::Full(errand) | TrySendError::Closed(errand)) = live.errands.try_send(errand) {
            errand.refuse(CommandError::Unavailable("the model has other errands: try again".to_owned()));
        }
    }

    pub(super) async fn obey(&mut self, command: Command, answer: oneshot::Sender<Result<(), CommandError>>) {
        let obeyed = match self.handle.status().state {
            State::Starting => Err(CommandError::Unavailable("the model is starting".to_owned())),
            State::Superseded if command != Command::Resume => {
                Err(conflict("another projector has taken the model over"))
            }
            State::Running
            | State::Waiting(_)
            | State::Paused
            | State::RebuildNeeded(_)
            | State::Failed(_)
            | State::Superseded => self.carry_out(command).await,
        };
        // Whoever asked may have gone.
        let _ = answer.send(obeyed);
    }

    async fn carry_out(&mut self, command: Command) -> Result<(), CommandError> {
        match command {
            Command::Rebuild => self.begin_rebuild().await,
            Command::PauseRebuild => self.pause_rebuild().await,
            Command::ResumeRebuild => self.go_on_with_rebuild().await,
            Command::CancelRebuild => self.cancel_rebuild().await,
            Command::RollBack => self.roll_back().await,
            Command::DropOld => self.drop_old().await,
            Command::Pause => self.pause().await,
            Command::Resume => self.resume().await,
        }
    }

    fn rebuild_is_paused(&self) -> bool {
        self.handle.status().rebuild.is_some_and(|rebuild| rebuild.state == RebuildState::Paused)
    }

    async fn begin_rebuild(&mut self) -> Result<(), CommandError> {
        if self.rebuild.is_some() {
            return Err(conflict("a rebuild is under way"));
        }
        if self.rebuild_is_paused() {
            return Err(conflict("a rebuild is paused: resume or cancel it"));
        }
        if self.handle.status().state == State::Paused {
            return Err(conflict("the model is paused: resume it first"));
        }
        let Parts { store, name, model, inputs, .. } = &*self.neighbours.parts;
        let begun = store.begin_rebuild(name, model.shape(), model.fingerprint(), inputs).await;
        let lease = begun.map_err(unavailable)?;
        tracing::info!(model = %name, "rebuild begins");
        self.run_rebuild(lease);
        Ok(())
    }

    async fn pause_rebuild(&mut self) -> Result<(), CommandError> {
        if self.rebuild.is_none() {
            return if self.rebuild_is_paused() { Ok(()) } else { Err(conflict("no rebuild is under way")) };
        }
        // First, since it may be in a transaction that has the row which remembers the pause.
        let Some(shadow) = self.halt_rebuild().await else { return Ok(()) };
        let lease = shadow.lease().clone();
        if let Err(error) = self.remember_paused(Slot::Rebuild, true).await {
            self.run_rebuild(lease);
            return Err(error);
        }
        self.tell_paused_rebuild(&lease.next_offsets);
        Ok(())
    }

    async fn go_on_with_rebuild(&mut self) -> Result<(), CommandError> {
        if self.rebuild.is_some() {
            return Ok(());
        }
        if !self.rebuild_is_paused() {
            return Err(conflict("no rebuild is paused"));
        }
        self.remember_paused(Slot::Rebuild, false).await?;
        self.resume_rebuild().await.map_err(unavailable)
    }

    async fn cancel_rebuild(&mut self) -> Result<(), CommandError> {
        if self.rebuild.is_none() && !self.rebuild_is_paused() {
            return Err(conflict("no rebuild is under way"));
        }
        self.halt_rebuild().await;
        self.handle.set_rebuild_state(RebuildState::Cancelled);
        let Parts { store, name, .. } = &*self.neighbours.parts;
        store.drop_table(name, Slot::Rebuild).await.map_err(unavailable)
    }

    async fn roll_back(&mut self) -> Result<(), CommandError> {
        if self.rebuild.is_some() || self.rebuild_is_paused() {
            return Err(conflict("a rebuild is under way: cancel it first"));
        }
        self.halt().await;
        let Parts { store, name, .. } = &*self.neighbours.parts;
        let swapped = store.swap_back(name).await;
        // Whatever came of it, the books say which table is live now.
        self.begin().await;
        match swapped.map_err(unavailable)? {
            SwapBack::Done => {
                tracing::info!(model = %self.handle.name, "rolled back to the former table");
                Ok(())
            }
            SwapBack::Nothing => Err(conflict("no former table is kept")),
        }
    }

    async fn drop_old(&mut self) -> Result<(), CommandError> {
        let Parts { store, name, .. } = &*self.neighbours.parts;
        store.drop_table(name, Slot::Old).await.map_err(unavailable)
    }

    async fn pause(&mut self) -> Result<(), CommandError> {
        if let State::RebuildNeeded(cause) = self.handle.status().state {
            return Err(CommandError::Conflict(cause));
        }
        // First, since it may be in a transaction that has the row which remembers the pause.
        self.halt().await;
        if let Err(error) = self.remember_paused(Slot::Live, true).await {
            self.begin().await;
            return Err(error);
        }
        self.handle.set_state(State::Paused);
        Ok(())
    }

    async fn resume(&mut self) -> Result<(), CommandError> {
        if self.live.is_some() {
            return Ok(());
        }
        self.remember_paused(Slot::Live, false).await?;
        self.take_over().await.map_err(unavailable)
    }

    async fn remember_paused(&mut self, slot: Slot, paused: bool) -> Result<(), CommandError> {
        let Parts { store, name, .. } = &*self.neighbours.parts;
        store.set_model_paused(name, slot, paused).await.map_err(unavailable)
    }
}

fn conflict(message: &str) -> CommandError {
    CommandError::Conflict(message.to_owned())
}

fn unavailable(error: spina_store::StoreError) -> CommandError {
    CommandError::Unavailable(error.to_string())
}
