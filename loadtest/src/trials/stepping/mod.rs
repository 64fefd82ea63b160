//! Sagas: durable steps a second, and how long it is from an event to the command that it leads to.
//!
//! ```text
//! events ─▶ saga-orchestrator ─▶ log, commands ─ runner: says yes ─▶ replies ─▶ saga-orchestrator ─▶ ...
//! ```
//!
//! The floor beside it in every round has the same topics and hops, each a bare transaction of what has queued, with the same
//! client. Before a figure is told, every saga has ended as it should, by legal moves, and every command is there once.

mod check;
mod declared;
mod floor;
mod runner;
mod track;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use hdrhistogram::Histogram;
use serde_json::{Map, json};
use spina_codec::registry::{RegistryClient, subject};
use spina_codec::shape::Shape;
use spina_codec::{frame, saga_record};
use spina_log::{NewRecord, names};

use super::hop::{Hop, Hopping};
use super::{Trial, median, published, quantiles};
use crate::bench::Bench;
use crate::drive::latencies;
use crate::machine::cpu_seconds;
use declared::{Begins, CONTEXT, DASH, LAP, PARTITIONS};
use floor::FLOOR;
use runner::Runner;
use track::{Races, Track, at_once, at_rate};

/// The orchestrator's topics.
const OURS: Track = Track {
    events: "relay.events.v1",
    replies: "relay.replies.v1",
    log: names::SAGAS_TOPIC,
    commands: "relay.commands.v1",
};
/// Rounds of orchestrator and floor in turn; ratios are those of each round.
const ROUNDS: u32 = 5;
/// Events a second while the latency is measured.
const RATE: u32 = 500;
/// The same in a smoke run.
const RATE_SMOKE: u32 = 50;
/// Sagas that run before anything is measured, so that every group has its partitions.
const WARM: u64 = 20;

/// See the [module](self).
pub async fn run(bench: &Bench) -> anyhow::Result<Vec<Trial>> {
    let folder = bench.folder().join("stepping");
    declared::write(&folder)?;
    let orchestrator = bench.servers.start_declared("saga-orchestrator", &folder, bench.folder()).await?;
    floor::create(bench).await?;
    let runner = Runner::load(bench, OURS.replies).await?;
    let written = Written::load(bench).await?;
    let rounds = if bench.args.smoke { 1 } else { ROUNDS };
    let (mut ours, mut floors) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let hops = [runner.hop("bench.runner", OURS.commands, OURS.replies)];
        let arm = Arm { track: OURS, name: format!("{}o{round}", bench.script("relay", round).name()) };
        ours.push(arm.measure(bench, hops, orchestrator.pid, &written).await?);
        let arm = Arm { track: FLOOR, name: format!("{}f{round}", bench.script("relay", round).name()) };
        floors.push(arm.measure(bench, floor::hops(&runner), std::process::id(), &written).await?);
    }
    orchestrator.stop().await?;
    told(bench, rounds, &ours, &floors)
}

/// What one arm did in a round.
struct Figures {
    /// Steps a second of many sagas at once.
    steps: f64,
    /// Processor time of a step where they are decided, in microseconds.
    cpu_us: f64,
    /// From an event's time to its command, in microseconds.
    latency: Histogram<u64>,
}

fn told(bench: &Bench, rounds: u32, ours: &[Figures], floors: &[Figures]) -> anyhow::Result<Vec<Trial>> {
    let steps = |figures: &[Figures]| median(figures.iter().map(|figures| figures.steps).collect());
    let cpu = median(ours.iter().map(|figures| figures.cpu_us).collect());
    let both = || ours.iter().zip(floors);
    let ratio = median(both().map(|(ours, floor)| ours.steps / floor.steps).collect());
    let sagas = bench.args.sagas;
    let throughput = Trial::new(format!("sagas, {sagas} at once of {} steps each, median of {rounds}", LAP.legs))
        .row("durable steps", [(steps(ours), "steps/s")])
        .row("floor: bare transactions, hop by hop", [(steps(floors), "steps/s")])
        .row("ratio to the floor", [(ratio, "")])
        .row("processor time of orchestrator", [(cpu, "us/step")]);
    let whole = |figures: &[Figures]| -> anyhow::Result<Histogram<u64>> {
        let mut whole = latencies();
        for figures in figures {
            whole.add(&figures.latency).context("add up latencies")?;
        }
        Ok(whole)
    };
    let at = |latency: &Histogram<u64>, share| latency.value_at_quantile(share) as f64;
    let ratios = [(0.5, "of p50"), (0.99, "of p99")].map(|(share, unit)| {
        (median(both().map(|(ours, floor)| at(&ours.latency, share) / at(&floor.latency, share)).collect()), unit)
    });
    let latency = Trial::new(format!("sagas, {} events a second, all of {rounds} rounds", rate(bench)))
        .row("event due to command visible", quantiles(&whole(ours)?))
        .row("floor: bare transactions, hop by hop", quantiles(&whole(floors)?))
        .row("ratio to the floor, median", ratios);
    Ok(vec![throughput, latency])
}

fn rate(bench: &Bench) -> u32 {
    if bench.args.smoke { RATE_SMOKE } else { RATE }
}

/// How events are written, and the log is read.
struct Written {
    events: Vec<(Begins, u32, Shape)>,
    log: Shape,
}

impl Written {
    async fn load(bench: &Bench) -> anyhow::Result<Self> {
        let registry = RegistryClient::new(&bench.servers.registry)?;
        let shape = async |subject: String| {
            let found = registry.latest(&subject).await?.with_context(|| format!("find {subject}"))?;
            anyhow::Ok((found.id, Shape::compile(&found.schema)?))
        };
        let mut events = Vec::new();
        for begins in [LAP, DASH] {
            let (id, shape) = shape(subject(OURS.events, &format!("{CONTEXT}.{}", begins.event))).await?;
            events.push((begins, id, shape));
        }
        Ok(Self { events, log: shape(subject(OURS.log, saga_record::RECORD)).await?.1 })
    }

    /// An event that begins a race.
    fn event(&self, begins: Begins, key: &str, n: u64) -> anyhow::Result<NewRecord> {
        let known = self.events.iter().find(|(known, ..)| known.event == begins.event);
        let (_, id, shape) = known.context("find the schema of an event")?;
        let avro = shape.encode(&Map::from_iter([("team".to_owned(), json!(key))]))?;
        let value = Bytes::from(frame::frame(*id, &avro));
        let stream = format!("race-{key}").parse()?;
        let name = format!("{CONTEXT}.race.{}", begins.event);
        published::event((&Arc::from(OURS.events), PARTITIONS), &name, format!("event-{key}"), stream, n, value)
    }
}

/// The orchestrator or the floor in a round.
struct Arm {
    track: Track,
    name: String,
}

impl Arm {
    async fn measure(
        &self,
        bench: &Bench,
        hops: impl IntoIterator<Item = Hop>,
        pid: u32,
        written: &Written,
    ) -> anyhow::Result<Figures> {
        let races = |begins: Begins, what: &str, count| Races { begins, name: format!("{}{what}", self.name), count };
        let count = bench.args.seconds * u64::from(rate(bench));
        let measured = async {
            self.at_once(bench, &races(LAP, "w", WARM), written).await?;
            let (before, laps) = (cpu_seconds(pid), races(LAP, "l", bench.args.sagas));
            let took = self.at_once(bench, &laps, written).await?;
            let (cpu, steps) = (cpu_seconds(pid) - before, (laps.count * LAP.legs) as f64);
            let dashes = races(DASH, "d", count);
            let marks = self.marks(bench).await?;
            let latency = at_rate(bench, self.track, &dashes, rate(bench), |n| self.begin(&dashes, n, written)).await?;
            self.check(bench, marks, &dashes, written).await?;
            Ok(Figures { steps: steps / took.as_secs_f64(), cpu_us: cpu * 1e6 / steps, latency })
        };
        Hopping::begin(&bench.log.config, hops).during(measured).await
    }

    async fn at_once(&self, bench: &Bench, races: &Races, written: &Written) -> anyhow::Result<Duration> {
        let marks = self.marks(bench).await?;
        let took = at_once(bench, self.track, races, |n| self.begin(races, n, written)).await?;
        self.check(bench, marks, races, written).await?;
        Ok(took)
    }

    fn begin(&self, races: &Races, n: u64, written: &Written) -> anyhow::Result<NewRecord> {
        let key = races.key(n);
        if self.is_floor() { Ok(floor::begin(races.begins, &key)) } else { written.event(races.begins, &key, n) }
    }

    fn is_floor(&self) -> bool {
        self.track.log == FLOOR.log
    }

    async fn marks(&self, bench: &Bench) -> anyhow::Result<[crate::log::Mark; 2]> {
        Ok([bench.log.mark(self.track.log).await?, bench.log.mark(self.track.commands).await?])
    }

    async fn check(
        &self,
        bench: &Bench,
        [log, commands]: [crate::log::Mark; 2],
        races: &Races,
        written: &Written,
    ) -> anyhow::Result<()> {
        if !self.is_floor() {
            check::log(&bench.log.since(log).await?, &written.log, races.begins, races.count)?;
        }
        check::commands(&bench.log.since(commands).await?, races.begins.legs, races.count)
    }
}
