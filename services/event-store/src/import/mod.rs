//! Importing many events: NDJSON lines in, progress out, while both flow.
//!
//! ```text
//! lines ─▶ chunk ─▶ check, encode ─▶ a submission for each partition ─▶ verdicts, chunk by chunk in order ─▶ progress
//!                └▶ a parcel for each other process, one after the other ─┘
//! ```
//!
//! Each line is an append of its own, idempotent by its event's id. Lines of one stream keep their order. When the
//! answer says that lines 1 to N are done, each of them is durable or refused; a client resumes at line N + 1.

mod claimed;
mod elsewhere;
mod line;
mod progress;
mod routes;
mod verdict;

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{BoxFuture, OptionFuture, join_all, join3};
use futures::stream::{FuturesOrdered, Stream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_stream::StreamExt;
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};
use tokio_util::io::StreamReader;
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::decide::append::{Append, Outcome, Submission};
use crate::decide::recognise::{self, Question, ReadOn};
use crate::read::stream;
use claimed::Claimed;
use elsewhere::Parcel;
pub use line::ImportLine;
use progress::{Progress, Stop};
pub use routes::Sender;
use routes::{Route, Routes};
use verdict::{Judged, Verdict};

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

/// Imports everything the body has and reports to `reports`. Ends early when the client is gone or the process stops.
pub async fn run<E>(
    context: Arc<Context>,
    body: impl Stream<Item = Result<Bytes, E>> + Send + Unpin + 'static,
    sender: Sender,
    reports: mpsc::Sender<Bytes>,
    draining: CancellationToken,
) where
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    let body = StreamReader::new(body.map(|bytes| bytes.map_err(std::io::Error::other)));
    let lines = FramedRead::new(body, LinesCodec::new_with_max_length(LINE_BYTES_MAX));
    let mut chunks = pin!(lines.chunks_timeout(CHUNK_LINES_MAX, CHUNK_FILL_TIME));
    let mut progress = Progress::new(reports, sender);
    let mut routes = Routes::new(sender);
    let mut in_flight: FuturesOrdered<BoxFuture<'static, Vec<Judged>>> = FuturesOrdered::new();
    let mut ticks = tokio::time::interval_at(Instant::now() + REPORT_PERIOD, REPORT_PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ended = false;
    let stopped = loop {
        if ended && in_flight.is_empty() {
            break None;
        }
        tokio::select! {
            Some(outcome) = in_flight.next(), if !in_flight.is_empty() => {
                if let Err(stop) = progress.count(outcome).await { break Some(stop) }
            }
            chunk = chunks.next(), if !ended && in_flight.len() < CHUNKS_IN_FLIGHT_MAX => match chunk {
                Some(chunk) => match submit(&context, chunk, &mut routes).await {
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

/// Checks the lines of a chunk and hands them to their partitions. The result resolves when all of them are judged.
async fn submit(
    context: &Arc<Context>,
    chunk: Lines,
    routes: &mut Routes,
) -> Result<BoxFuture<'static, Vec<Judged>>, Stop> {
    let Sorted { judged, here, claimed, elsewhere } = sort(context, chunk, routes).await?;
    let mut queues = Vec::with_capacity(here.len());
    for (partition, part) in here {
        // Before anything is queued: nobody waits for the lines of a chunk that is given up.
        queues.push((context.owned(partition).ok_or_else(|| Stop::not_served(partition))?.queue, part));
    }
    let mut waiting = Vec::with_capacity(queues.len());
    for (queue, (appends, places)) in queues {
        let questions = appends.iter().map(Question::of_append).collect();
        let (submission, outcomes) = Submission::direct(appends, false);
        // An owner that has just let go drops it: its outcomes will not come.
        let _taken_or_gone = queue.submit(submission).await;
        waiting.push(Waiting { places, questions, outcomes });
    }
    let context = Arc::clone(context);
    Ok(Box::pin(async move {
        let delivered = join_all(elsewhere.into_values().map(|parcel| parcel.deliver(&context)));
        let claimed = claimed.map(|claimed| claimed.append(&context));
        let here = outcomes(waiting, stream::reader(&context));
        let (here, claimed, delivered) = join3(here, OptionFuture::from(claimed), delivered).await;
        let mut judged = judged;
        for (places, known) in here.into_iter().chain(claimed).chain(delivered) {
            for (place, known) in places.into_iter().zip(known) {
                judged[place] = known;
            }
        }
        judged
    }))
}

/// The lines of a chunk by where they go.
struct Sorted {
    /// Lines that are judged already; the others are unknown until they are.
    judged: Vec<Judged>,
    /// Appends to partitions of this process, with their places in the chunk.
    here: BTreeMap<i32, (Vec<Append>, Vec<usize>)>,
    /// Appends of this process to streams with unique values.
    claimed: Option<Claimed>,
    /// Lines for others, by their endpoints.
    elsewhere: BTreeMap<String, Parcel>,
}

async fn sort(context: &Context, chunk: Lines, routes: &mut Routes) -> Result<Sorted, Stop> {
    let mut sorted = Sorted {
        judged: Vec::with_capacity(chunk.len()),
        here: BTreeMap::new(),
        claimed: None,
        elsewhere: BTreeMap::new(),
    };
    for (place, text) in chunk.into_iter().enumerate() {
        let line = match line::parse(&text)? {
            line::Parsed::Event(line) => line,
            line::Parsed::Blank => {
                sorted.judged.push(Ok(Verdict::Blank));
                continue;
            }
            line::Parsed::Refused(invalid) => {
                sorted.judged.push(Ok(invalid.into()));
                continue;
            }
        };
        let partition = line.partition(context);
        match routes.of(context, partition).await? {
            Route::Here => match line.append(context) {
                Ok(append) if context.uniques.concern(append.stream.category()) => {
                    let claimed = || Claimed::new(routes.turn(&context.shared.endpoint));
                    sorted.claimed.get_or_insert_with(claimed).add(append, place);
                }
                Ok(append) => {
                    let (appends, places) = sorted.here.entry(partition).or_default();
                    appends.push(append);
                    places.push(place);
                }
                Err(invalid) => {
                    sorted.judged.push(Ok(invalid.into()));
                    continue;
                }
            },
            Route::To(owner) => {
                let endpoint = owner.endpoint.clone();
                let parcel = sorted.elsewhere.entry(endpoint);
                let parcel = parcel.or_insert_with_key(|endpoint| Parcel::new(owner, routes.turn(endpoint)));
                parcel.add(&text.unwrap_or_default(), place);
            }
        }
        sorted.judged.push(Err(Stop::unknown()));
    }
    Ok(sorted)
}

/// Appends of a partition that were submitted together.
struct Waiting {
    /// Their places in the chunk.
    places: Vec<usize>,
    /// Whether they were accepted before, in the order of the places.
    questions: Vec<Option<Question>>,
    outcomes: oneshot::Receiver<Vec<Outcome>>,
}

/// What became of the appends of this process.
async fn outcomes(waiting: Vec<Waiting>, read: ReadOn) -> Vec<(Vec<usize>, Vec<Judged>)> {
    let deadline = Instant::now() + CHUNK_TIMEOUT;
    let mut known = Vec::with_capacity(waiting.len());
    for Waiting { places, questions, outcomes } in waiting {
        let outcomes = tokio::time::timeout_at(deadline, outcomes).await.ok().and_then(Result::ok).unwrap_or_default();
        let told = recognise::all_told(outcomes, questions, &read).await;
        known.push((places, told.into_iter().map(Verdict::of).collect()));
    }
    known
}
