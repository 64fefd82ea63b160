//! Lines of a chunk for streams with unique values: each claims its own, so they are appended one by one.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::stream::{self, StreamExt};
use spina_core::StreamId;

use super::progress::Stop;
use super::routes::Turn;
use super::verdict::{Judged, Verdict};
use crate::context::Context;
use crate::decide::append::Append;
use crate::unique::{self, Work};

/// Streams that are appended to at a time.
const STREAMS_MAX: usize = 32;

/// Lines by their streams, with their places in the chunk.
#[derive(Debug)]
pub struct Claimed {
    turn: Turn,
    by_stream: BTreeMap<StreamId, Vec<(Append, usize)>>,
}

impl Claimed {
    /// No lines yet.
    pub fn new(turn: Turn) -> Self {
        Self { turn, by_stream: BTreeMap::new() }
    }

    /// Adds a line.
    pub fn add(&mut self, append: Append, place: usize) {
        self.by_stream.entry(append.stream.clone()).or_default().push((append, place));
    }

    /// Appends when it is its turn: those of one stream in order, up to the first of which nothing certain is known.
    pub async fn append(mut self, context: &Arc<Context>) -> (Vec<usize>, Vec<Judged>) {
        let comes = self.turn.come().await;
        let streams = self.by_stream.into_values().map(|lines| in_order(context, lines, comes));
        let judged: Vec<Vec<(usize, Judged)>> = stream::iter(streams).buffer_unordered(STREAMS_MAX).collect().await;
        let (places, judged): (Vec<usize>, Vec<Judged>) = judged.into_iter().flatten().unzip();
        if judged.iter().all(Result::is_ok) {
            self.turn.done();
        }
        (places, judged)
    }
}

async fn in_order(context: &Arc<Context>, lines: Vec<(Append, usize)>, mut goes_on: bool) -> Vec<(usize, Judged)> {
    let mut judged = Vec::with_capacity(lines.len());
    for (append, place) in lines {
        let verdict = match goes_on {
            true => match unique::append(context, Work::Append(Box::new(append)), false).await {
                Ok(outcome) => Verdict::of(outcome),
                Err(error) => Err(Stop::new("state.unavailable", error.to_string())),
            },
            false => Err(Stop::new("state.unavailable", "a line before it could not be appended, send it again")),
        };
        goes_on = verdict.is_ok();
        judged.push((place, verdict));
    }
    judged
}
