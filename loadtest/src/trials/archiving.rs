//! The archive: from the first event of an import until the last one is archived, beside a bare COPY of the same rows.

use std::time::Instant;

use super::Trial;
use crate::bench::Bench;
use crate::client::import;
use crate::servers::{Sql, wait_for_archive};

/// See the [module](self).
pub async fn run(bench: &mut Bench) -> anyhow::Result<Trial> {
    let (script, events) = (bench.script("archive", 0), bench.args.import_events);
    let lines: String = (0..events).map(|n| script.line(n)).collect();
    wait_for_archive(bench.store()?).await?;
    let began = Instant::now();
    import(bench.store()?, "bench", lines.into(), events).await?;
    let appended = began.elapsed();
    wait_for_archive(bench.store()?).await?;
    let archived = events as f64 / began.elapsed().as_secs_f64();
    let copied = bare_copy(&bench.servers.postgres, script.name(), events).await?;
    Ok(Trial::new(format!("archive, {events} events imported meanwhile"))
        .row("appended", [(events as f64 / appended.as_secs_f64(), "events/s")])
        .row("archived, from the first append on", [(archived, "events/s")])
        .row("floor: bare COPY of the same rows, no index", [(copied, "rows/s")])
        .row("ratio to the floor", [(archived / copied, "")]))
}

/// Rows a second of a binary COPY of the rows just archived into a table without an index.
async fn bare_copy(url: &str, name: &str, events: u64) -> anyhow::Result<f64> {
    let sql = Sql::connect(url).await?;
    let rows = format!("SELECT * FROM spina.events WHERE context = 'bench' AND stream LIKE 'account-{name}-%'");
    sql.batch_execute("CREATE TEMPORARY TABLE floor (LIKE spina.events)").await?;
    let (rows, elapsed) = sql.copy(&rows, "floor").await?;
    anyhow::ensure!(rows == events, "{rows} rows of {events} were archived");
    Ok(rows as f64 / elapsed.as_secs_f64())
}
