//! One pass over a stretch of the log: what its events change, without those that are parked.

use std::collections::HashSet;

use spina_core::Change;
use spina_log::{Fetched, LogError, LogReader, ReaderOptions, Start};
use spina_store::dead_letters::{Place, Verdict, Verdicts};
use spina_store::read_model::Input;

use crate::project::decode::{Decoder, NotDecoded};
use crate::project::fill::{Parts, place_of, with_verdict};

/// What is read.
pub struct Stretch<'a> {
    /// The first offset of each partition, over all inputs.
    pub from: &'a [i64],
    /// The offset of each partition that is read no more. All of it must be committed.
    pub to: &'a [i64],
    /// Events that are passed by.
    pub parked: &'a HashSet<Place>,
    /// What people decided about events.
    pub verdicts: &'a Verdicts,
}

/// Why a pass came to no end.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// The log cannot be read.
    #[error("{0}")]
    Log(#[from] LogError),
    /// The registry does not answer.
    #[error("the registry does not answer: {0}")]
    Registry(String),
}

/// Tells what each record changes, in the order of its partition, one input after the other. What the model cannot take
/// changes nothing.
pub async fn pass(
    parts: &Parts,
    decoder: &mut Decoder,
    stretch: Stretch<'_>,
    mut tell: impl FnMut(&Fetched, Vec<Change>),
) -> Result<(), PassError> {
    for (input, Input { topic, .. }) in parts.inputs.iter().enumerate() {
        pass_one(parts, decoder, (input, topic), &stretch, &mut tell).await?;
    }
    Ok(())
}

async fn pass_one(
    parts: &Parts,
    decoder: &mut Decoder,
    (input, topic): (usize, &str),
    stretch: &Stretch<'_>,
    tell: &mut impl FnMut(&Fetched, Vec<Change>),
) -> Result<(), PassError> {
    let Stretch { parked, verdicts, .. } = stretch;
    let (from, to) = (parts.inputs.part(input, stretch.from), parts.inputs.part(input, stretch.to));
    let starts: Vec<(i32, Start)> = (0..)
        .zip(from.iter().zip(to))
        .filter(|(_, (from, to))| from < to)
        .map(|(partition, (from, _))| (partition, Start::At(*from)))
        .collect();
    if starts.is_empty() {
        return Ok(());
    }
    let options = ReaderOptions { stop_at_end: true, ..ReaderOptions::default() };
    let mut reader = LogReader::open(&parts.log, topic, starts, options)?;
    while let Some(batch) = reader.next().await {
        for record in batch?.records {
            let place = place_of(&record);
            let last = usize::try_from(record.partition).ok().and_then(|partition| to.get(partition));
            let is_in = last.is_some_and(|last| record.offset < *last) && !parked.contains(&place);
            if !is_in {
                continue;
            }
            let changes = changes_of(parts, decoder, input, &record, verdicts.get(&place)).await?;
            if !changes.is_empty() {
                tell(&record, changes);
            }
        }
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// What a record of an input changes, with what people decided about it; nothing if the model cannot take it.
pub async fn changes_of(
    parts: &Parts,
    decoder: &mut Decoder,
    input: usize,
    record: &Fetched,
    verdict: Option<&Verdict>,
) -> Result<Vec<Change>, PassError> {
    if verdict == Some(&Verdict::LeaveOut) {
        return Ok(Vec::new());
    }
    match decoder.decode(input, &with_verdict(record, verdict)).await {
        Ok(Some(event)) => Ok(parts.model.project(input, &event).unwrap_or_default()),
        Ok(None) | Err(NotDecoded::Poison(_)) => Ok(Vec::new()),
        Err(NotDecoded::Registry(error)) => Err(PassError::Registry(error.to_string())),
    }
}
