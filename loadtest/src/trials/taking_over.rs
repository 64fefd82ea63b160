//! Taking a partition over that has many streams and a tail that was never archived; and what a stream costs in memory.
//!
//! The archive is held up by a lock in PostgreSQL while the tail is written; then the event-store is killed.

use std::time::Instant;

use anyhow::Context;

use super::Trial;
use crate::bench::Bench;
use crate::client::import;
use crate::machine::memory_bytes;
use crate::servers::{Sql, wait_for_archive};

/// Events in one import, so that the body stays small.
const CHUNK: u64 = 100_000;
/// Holds the archive up.
const LOCK: &str = "BEGIN; LOCK TABLE spina.watermarks IN SHARE MODE";

/// See the [module](self).
pub async fn run(bench: &mut Bench) -> anyhow::Result<Trial> {
    let (streams, tail) = (bench.args.streams, bench.args.streams / 10);
    let script = bench.script("streams", 0);
    // A process that has done nothing yet, and one with the streams in memory and nothing else of them.
    bench.stop_event_store().await?;
    bench.start_event_store().await?;
    let empty = memory_bytes(bench.store_pid()?);
    fill(bench, &script, 0, streams).await?;
    wait_for_archive(bench.store()?).await?;
    let full = memory_bytes(bench.store_pid()?);
    bench.stop_event_store().await?;
    bench.start_event_store().await?;
    let recalled = memory_bytes(bench.store_pid()?);

    let sql = Sql::connect(&bench.servers.postgres).await?;
    sql.batch_execute(LOCK).await.context("hold the archive up")?;
    fill(bench, &script, streams, streams + tail).await?;
    bench.kill_event_store().await?;
    drop(sql);
    let began = Instant::now();
    bench.start_event_store().await?;
    let ready = began.elapsed();
    let each = |bytes: u64| bytes.saturating_sub(empty) as f64 / streams as f64;
    Ok(Trial::new(format!("one partition, {streams} streams, {tail} events never archived"))
        .row("killed, started, serving", [(ready.as_secs_f64(), "s")])
        .row("memory of an empty process", [(empty as f64 / f64::from(1 << 20), "MiB")])
        .row("memory for each stream just written", [(each(full), "B")])
        .row("memory for each stream after a restart", [(each(recalled), "B")]))
}

/// Streams of one event each.
async fn fill(bench: &Bench, script: &crate::script::Script, from: u64, to: u64) -> anyhow::Result<()> {
    for from in (from..to).step_by(usize::try_from(CHUNK)?) {
        let to = (from + CHUNK).min(to);
        let line = |n: u64| script.line_of(&format!("account-{}-own-{n}", script.name()), n);
        let lines: String = (from..to).map(line).collect();
        import(bench.store()?, "solo", lines.into(), to - from).await?;
    }
    Ok(())
}
