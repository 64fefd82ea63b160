//! Judging what sagas wrote: each ended, by moves that are legal, and asked what it had to ask once.

use std::collections::{HashMap, HashSet};

use anyhow::{Context, ensure};
use spina_codec::headers::CE_ID;
use spina_codec::saga_record;
use spina_codec::shape::Shape;
use spina_core::saga::{SagaState, Status};
use spina_log::Fetched;

use super::declared::Begins;

/// The records of a log are those of so many sagas of a kind, which are all completed.
pub fn log(records: &[Fetched], shape: &Shape, begins: Begins, count: u64) -> anyhow::Result<()> {
    let mut sagas: HashMap<String, SagaState> = HashMap::new();
    for record in records {
        let value = record.value.as_deref().context("a record of the log has a value")?;
        let happened = saga_record::read(value, shape)?;
        match sagas.get_mut(&happened.saga) {
            Some(state) => {
                ensure!(happened.number == state.events + 1, "a record of {} is missing or doubled", happened.saga);
                state.apply(&happened.event, happened.at)?;
            }
            None => {
                let state = SagaState::begin(&happened.saga, &happened.event, happened.at);
                let state = state.with_context(|| format!("{} does not begin with its start", happened.saga))?;
                sagas.insert(happened.saga, state);
            }
        }
    }
    let right = |state: &&SagaState| {
        let steps = state.steps.len() as u64;
        state.status == Status::Completed && state.definition == begins.saga && steps == begins.legs
    };
    let completed = sagas.values().filter(right).count() as u64;
    ensure!(completed == count && sagas.len() as u64 == count, "{completed} of {count} sagas ended as they should");
    Ok(())
}

/// The commands are those of so many races, each once.
pub fn commands(records: &[Fetched], legs: u64, count: u64) -> anyhow::Result<()> {
    let ids: HashSet<&str> = records.iter().filter_map(|record| record.headers.get_str(CE_ID)).collect();
    ensure!(ids.len() == records.len(), "a command is there twice");
    ensure!(ids.len() as u64 == legs * count, "{} commands of {} are there", ids.len(), legs * count);
    Ok(())
}
