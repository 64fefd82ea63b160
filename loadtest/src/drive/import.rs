//! Imports, and their floor: the same records, in chunks as the event-store makes them, into the raw log.

use std::sync::Arc;
use std::time::Instant;

use futures::stream::{self, StreamExt, TryStreamExt};
use spina_testkit::history::Outcome;

use super::{Done, Driven, latencies, nanos};
use crate::client::RawClient;
use crate::script::Script;

/// Lines of a chunk; as in the event-store's import.
const CHUNK_LINES: u64 = 1_000;
/// Chunks that wait for their transactions; as in the event-store's import.
const CHUNKS_IN_FLIGHT: usize = 16;

/// Drives an import of the first `events` requests of a script, which answers for all of them together.
pub async fn imported(events: u64, import: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<Driven> {
    let began = Instant::now();
    import.await?;
    let (elapsed, completed) = (began.elapsed(), nanos(began));
    let done = (0..events).map(|n| Done { n, invoked: 0, completed, outcome: Outcome::Ok(None) }).collect();
    Ok(Driven { done, latency: latencies(), elapsed })
}

/// Appends the first `events` requests of the script to the raw log.
pub async fn import_raw(client: &RawClient, script: &Arc<Script>, events: u64) -> anyhow::Result<()> {
    let chunks = (0..events).step_by(usize::try_from(CHUNK_LINES).expect("a thousand fits"));
    stream::iter(chunks)
        .map(|from| client.append_all(script, from, (from + CHUNK_LINES).min(events)))
        .buffered(CHUNKS_IN_FLIGHT)
        .try_collect::<()>()
        .await
}
