//! The projector: a backlog taken in, a rebuild, and how far a model lags behind a steady stream of events.
//!
//! ```text
//! backlog:  pause ─▶ import ─▶ resume ─▶ the checkpoint passes the end      floor: the same rows by bare UNNEST upserts
//! rebuild:  ask ─▶ filled, compared, switched                               floor: bare COPY, a row for each event
//! lag:      appended ─▶ acknowledged ─▶ in the row, beside other events
//! ```
//!
//! Before a figure is told the rows are those that the events make, and those of the floor.

mod entries;
mod floor;
mod lag;
mod model;

use anyhow::Context;

use super::{Trial, median, quantiles};
use crate::bench::Bench;
use crate::client::import;
use crate::servers::{Sql, wait_for_archive};
use entries::Entries;
use floor::Floor;
use model::Model;

/// Context of the model.
const CONTEXT: &str = "books";
/// Rounds of projector and floor in turn; the ratio is that of each round.
const ROUNDS: u32 = 3;
/// Events a second while the lag is measured.
const LAG_RATE: u32 = 10_000;
/// The same in a smoke run.
const LAG_RATE_SMOKE: u32 = 500;

/// See the [module](self).
pub async fn run(bench: &mut Bench) -> anyhow::Result<Trial> {
    let (events, smoke) = (bench.args.import_events, bench.args.smoke);
    let projector = bench.start_projector().await?;
    let mut model = Model::connect(projector.address, &bench.servers.postgres).await?;
    model.caught_up().await?;
    let floor = Floor::create(Sql::connect(&bench.servers.postgres).await?).await?;
    let rounds = if smoke { 1 } else { ROUNDS };
    let (mut live, mut upserts, mut last) = (Vec::new(), Vec::new(), None);
    for round in 0..rounds {
        let script = bench.script_in(CONTEXT, "books", round);
        let lines: String = (0..events).map(|n| script.line(n)).collect();
        let entries = Entries::read(&lines)?;
        model.steer("pause").await?;
        import(bench.store()?, CONTEXT, lines.into(), events).await?;
        wait_for_archive(bench.store()?).await?;
        live.push(events as f64 / model.resumed().await?.as_secs_f64());
        upserts.push(events as f64 / floor.upsert(&entries).await?.as_secs_f64());
        model.check(script.name(), &entries.totals()).await?;
        floor.check().await?;
        last = Some(entries);
    }
    let rebuilt = (u64::from(rounds) * events) as f64 / model.rebuilt().await?.as_secs_f64();
    floor.check().await?;
    let copied = floor.copy(last.context("there is at least one round")?).await?;
    let rate = if smoke { LAG_RATE_SMOKE } else { LAG_RATE };
    let lag = lag::run(bench, &mut model, projector.address, rate).await?;
    projector.stop().await?;
    let ratio = median(live.iter().zip(&upserts).map(|(live, floor)| live / floor).collect());
    Ok(Trial::new(format!("projector, {events} events of 10,000 accounts, median of {rounds}"))
        .row("live, from a backlog", [(median(live), "events/s")])
        .row("floor: bare UNNEST upserts of its rows", [(median(upserts), "events/s")])
        .row("ratio to the floor", [(ratio, "")])
        .row("rebuild of all rounds, compared, switched", [(rebuilt, "events/s")])
        .row("floor: bare COPY, a row for each event", [(copied, "rows/s")])
        .row("ratio to the floor", [(rebuilt / copied, "")])
        .row("acknowledged to readable, beside others", quantiles(&lag.latency))
        .row("the others", [(lag.others, "events/s")]))
}
