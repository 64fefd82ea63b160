//! Importing many events: NDJSON lines in, progress out, while both flow.
//!
//! ```text
//! lines ─▶ chunk ─▶ check, encode ─▶ a submission for each partition ─▶ outcomes, chunk by chunk in order ─▶ progress
//! ```
//!
//! Each line is an append of its own, idempotent by its event's id. Lines of one stream keep their order. When the
//! answer says that lines 1 to N are done, each of them is durable or refused; a client resumes at line N + 1.

mod line;
mod progress;

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{FuturesOrdered, Stream};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_stream::StreamExt;
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};
use tokio_util::io::StreamReader;
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::decide::append::{Append, Outcome, Submission};
use crate::prepare::Invalid;
pub use line::ImportLine;
use line::Line;
use progress::{Progress, Stop};

/// Lines that are checked and submitted together: enough for full windows, since a transaction costs the broker the same
/// for one event as for a thousand.
const CHUNK_LINES_MAX: usize = 4_000;
/// How long a chunk may take to fill. An import is about rate, not about the latency of a line.
const CHUNK_FILL_TIME: Duration = Duration::from_millis(10);
/// Chunks that wait for their outcomes.
const CHUNKS_IN_FLIGHT_MAX: usize = 8;
/// Longest line in bytes: the largest event and room for its envelope.
const LINE_BYTES_MAX: usize = 8 << 20;
/// Time between two reports of progress.
const REPORT_PERIOD: Duration = Duration::from_millis(250);
/// How long a chunk may wait for its outcomes.
const CHUNK_TIMEOUT: Duration = Duration::from_secs(60);

type Lines = Vec<Result<String, LinesCodecError>>;

/// What became of the lines of a chunk, in order.
type ChunkOutcome = Vec<(Line, LineOutcome)>;

enum LineOutcome {
    Blank,
    Refused(Invalid),
    Judged(Outcome),
}

/// Imports everything the body has and reports to `reports`. Ends early when the client is gone or the process stops.
pub async fn run<E>(
    context: Arc<Context>,
    body: impl Stream<Item = Result<Bytes, E>> + Send + Unpin + 'static,
    reports: mpsc::Sender<Bytes>,
    draining: CancellationToken,
) where
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    let body = StreamReader::new(body.map(|bytes| bytes.map_err(std::io::Error::other)));
    let lines = FramedRead::new(body, LinesCodec::new_with_max_length(LINE_BYTES_MAX));
    let mut chunks = pin!(lines.chunks_timeout(CHUNK_LINES_MAX, CHUNK_FILL_TIME));
    let mut progress = Progress::new(reports);
    let mut in_flight: FuturesOrdered<BoxFuture<'static, ChunkOutcome>> = FuturesOrdered::new();
    let mut ticks = tokio::time::interval_at(Instant::now() + REPORT_PERIOD, REPORT_PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut read, mut ended) = (0_u64, false);
    let stopped = loop {
        if ended && in_flight.is_empty() {
            break None;
        }
        tokio::select! {
            Some(outcome) = in_flight.next(), if !in_flight.is_empty() => {
                if let Err(stop) = progress.count(outcome).await { break Some(stop) }
            }
            chunk = chunks.next(), if !ended && in_flight.len() < CHUNKS_IN_FLIGHT_MAX => match chunk {
                Some(chunk) => match submit(&context, chunk, &mut read).await {
                    Ok(outcome) => in_flight.push_back(outcome),
                    Err(stop) => { progress.defer(stop); ended = true; }
                },
                None => ended = true,
            },
            _ = ticks.tick() => if progress.report().await.is_err() { return },
            () = draining.cancelled(), if !ended => {
                progress.defer(Stop::new("state.unavailable", "the process is stopping"));
                ended = true;
            }
        }
    };
    progress.finish(stopped).await;
}

/// Checks the lines of a chunk and hands them to their partitions. The result resolves when all outcomes are known.
async fn submit(context: &Context, chunk: Lines, read: &mut u64) -> Result<BoxFuture<'static, ChunkOutcome>, Stop> {
    let mut outcomes: Vec<(Line, Option<LineOutcome>)> = Vec::with_capacity(chunk.len());
    let mut by_partition: BTreeMap<i32, (Vec<Append>, Vec<usize>)> = BTreeMap::new();
    for text in chunk {
        *read += 1;
        let line = Line { number: *read };
        match line::parse(context, text)? {
            line::Parsed::Blank => outcomes.push((line, Some(LineOutcome::Blank))),
            line::Parsed::Refused(invalid) => outcomes.push((line, Some(LineOutcome::Refused(invalid)))),
            line::Parsed::Append(append) => {
                let part = by_partition.entry(context.partition_of(&append.stream)).or_default();
                part.0.push(*append);
                part.1.push(outcomes.len());
                outcomes.push((line, None));
            }
        }
    }
    let mut waiting = Vec::with_capacity(by_partition.len());
    for (partition, (appends, places)) in by_partition {
        let unavailable = || Stop::new("state.unavailable", format!("partition {partition} is not served here now"));
        let owned = context.owned(partition).ok_or_else(unavailable)?;
        let (submission, outcome) = Submission::direct(appends, false);
        owned.queue.send(submission).await.map_err(|_| unavailable())?;
        waiting.push((places, outcome));
    }
    Ok(Box::pin(async move {
        let deadline = Instant::now() + CHUNK_TIMEOUT;
        for (places, outcome) in waiting {
            let known = tokio::time::timeout_at(deadline, outcome).await.ok().and_then(Result::ok).unwrap_or_default();
            let mut known = known.into_iter();
            for place in places {
                outcomes[place].1 = Some(LineOutcome::Judged(known.next().unwrap_or(Outcome::Unknown)));
            }
        }
        let unknown = || LineOutcome::Judged(Outcome::Unknown);
        outcomes.into_iter().map(|(line, outcome)| (line, outcome.unwrap_or_else(unknown))).collect()
    }))
}
