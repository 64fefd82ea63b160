//! A run: every arm in every round, checked before its figures count.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use spina_codec::registry::{RegistryClient, subject};
use spina_codec::shape::Shape;

use crate::args::Args;
use crate::client::{Grouping, HttpClient, RawLog, import};
use crate::drive::{Driven, closed, import_raw, imported, paced};
use crate::log::{Log, SCRATCH};
use crate::machine::{Probe, cpu_seconds};
use crate::measured::{Arm, Measured};
use crate::report;
use crate::say;
use crate::script::{Payloads, Script};
use crate::servers::{Child, Servers, wait_for_archive};
use crate::trials;

/// Runs everything and prints the table.
pub async fn run(args: &Args) -> anyhow::Result<()> {
    let run = SystemTime::now().duration_since(UNIX_EPOCH).context("ask the clock")?.as_secs();
    let commit = report::commit();
    let folder = folder(&commit, run)?;
    let servers = Servers::from_env()?;
    servers.apply_topology().await?;
    let log = Log::connect(&servers.kafka).await?;
    let mut bench = Bench {
        payloads: payloads(args.seed, &servers, &log).await?,
        log,
        event_store: Some(servers.start_event_store(&folder).await?),
        echo: servers.start_echo(&folder).await?,
        kafka_pid: servers.kafka_pid(),
        servers,
        args: args.clone(),
        run,
        folder,
    };
    let mut measured = Vec::new();
    // The broker runs slowly at first: round 0 warms it up and does not count.
    let (first, last) = if args.only.is_some() { (1, 0) } else { (u32::from(args.smoke), args.rounds) };
    for round in first..=last {
        for arm in Arm::order(round) {
            say(format_args!("round {round} of {}: {arm}", args.rounds));
            measured.push(bench.arm(arm, round).await.with_context(|| format!("{arm}, round {round}"))?);
        }
    }
    measured.retain(|measured| measured.round > 0);
    let bytes = bench.payloads.bytes_mean();
    let folder = bench.folder.clone();
    let trials = trials::run(&mut bench).await?;
    bench.stop().await?;
    let report = report::Report { commit, run, bytes, args, measured: &measured, trials: &trials };
    report.save(&folder)?;
    report.print(&folder)
}

/// `target/bench/<commit>/<run>`.
fn folder(commit: &str, run: u64) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("find our own executable")?;
    let target = own.ancestors().nth(2).context("find the target folder")?;
    let folder = target.join("bench").join(commit).join(run.to_string());
    std::fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    Ok(folder)
}

async fn payloads(seed: u64, servers: &Servers, log: &Log) -> anyhow::Result<Arc<Payloads>> {
    let subject = subject(&log.events_topic, "bench.EntryPosted");
    let registered = RegistryClient::new(&servers.registry)?.latest(&subject).await?;
    let registered = registered.with_context(|| format!("find {subject}"))?;
    let shape = Shape::compile(&registered.schema)?;
    Ok(Arc::new(Payloads::new(seed, registered.id, &shape)?))
}

/// What a run works with.
pub struct Bench {
    /// What was asked for.
    pub args: Args,
    /// The broker.
    pub log: Log,
    /// Where everything is.
    pub servers: Servers,
    run: u64,
    folder: PathBuf,
    payloads: Arc<Payloads>,
    event_store: Option<Child>,
    echo: Child,
    kafka_pid: Option<u32>,
}

impl Bench {
    /// Drives one arm, and checks it after its figures are taken.
    async fn arm(&self, arm: Arm, round: u32) -> anyhow::Result<Measured> {
        let script = self.script(arm.name(), round);
        wait_for_archive(self.store()?).await?;
        let mark = self.log.mark(if arm.is_raw() { SCRATCH } else { &self.log.events_topic }).await?;
        let before = Probe::take(&self.folder)?;
        let (driven, cpu_s) = self.drive(arm, &script).await?;
        let after = Probe::take(&self.folder)?;
        match arm {
            Arm::Append | Arm::Paced | Arm::Import => self.log.check(mark, &script, &driven.done).await?,
            Arm::AppendRaw | Arm::PacedRaw | Arm::ImportRaw => self.log.check_raw(mark, &script, &driven.done).await?,
            Arm::Echo => {}
        }
        Ok(Measured::new(arm, round, driven, (before, after), cpu_s))
    }

    /// Drives an arm, and tells how much processor time went where meanwhile.
    async fn drive(&self, arm: Arm, script: &Arc<Script>) -> anyhow::Result<(Driven, Vec<(&'static str, f64)>)> {
        let Args { connections, rate, import_events: events, .. } = self.args;
        let (duration, store) = (self.args.duration(), self.store()?);
        match arm {
            Arm::Append => {
                let clients = HttpClient::connect_many(store, connections).await?;
                self.timed(closed(clients, script, duration)).await
            }
            Arm::Echo => {
                let clients = HttpClient::connect_many(self.echo.address, connections).await?;
                self.timed(closed(clients, script, duration)).await
            }
            Arm::Paced => {
                let clients = HttpClient::connect_many(store, connections).await?;
                self.timed(paced(clients, script, rate, duration)).await
            }
            Arm::Import => {
                let lines: String = (0..events).map(|n| script.line(n)).collect();
                self.timed(imported(events, import(store, "bench", lines.into(), events))).await
            }
            Arm::AppendRaw => {
                let raw = RawLog::open(&self.log.config, SCRATCH, Grouping::Waiting).await?;
                let clients = raw.clients(connections);
                let driven = self.timed(closed(clients, script, duration)).await?;
                raw.close().await.map(|()| driven)
            }
            Arm::PacedRaw => {
                let raw = RawLog::open(&self.log.config, SCRATCH, Grouping::Single).await?;
                let clients = raw.clients(connections);
                let driven = self.timed(paced(clients, script, rate, duration)).await?;
                raw.close().await.map(|()| driven)
            }
            Arm::ImportRaw => {
                let raw = RawLog::open(&self.log.config, SCRATCH, Grouping::Waiting).await?;
                let client = raw.client();
                let driven = self.timed(imported(events, import_raw(&client, script, events))).await?;
                drop(client);
                raw.close().await.map(|()| driven)
            }
        }
    }

    /// Awaits what is measured, with the processor time of each process meanwhile.
    async fn timed(
        &self,
        driven: impl Future<Output = anyhow::Result<Driven>>,
    ) -> anyhow::Result<(Driven, Vec<(&'static str, f64)>)> {
        let before = self.cpu();
        let driven = driven.await?;
        let used = self.cpu().into_iter().zip(before).map(|((name, after), (_, before))| (name, after - before));
        Ok((driven, used.collect()))
    }

    fn cpu(&self) -> Vec<(&'static str, f64)> {
        let kafka = self.kafka_pid.map(|pid| ("kafka", pid));
        let store = self.event_store.as_ref().map(|store| ("event-store", store.pid));
        let ours = [("loadtest", std::process::id()), ("loadtest-echo", self.echo.pid)];
        ours.into_iter().chain(store).chain(kafka).map(|(name, pid)| (name, cpu_seconds(pid))).collect()
    }

    async fn stop(mut self) -> anyhow::Result<()> {
        self.stop_event_store().await?;
        self.echo.stop().await
    }

    /// The requests of an arm or a trial in a round.
    pub fn script(&self, name: &str, round: u32) -> Arc<Script> {
        self.script_in("bench", name, round)
    }

    /// The same for another context than `bench`.
    pub fn script_in(&self, context: &'static str, name: &str, round: u32) -> Arc<Script> {
        let seed = self.args.seed.wrapping_add(u64::from(round) << 8);
        let name = format!("{:x}-{name}-{round}", self.run);
        Arc::new(Script::new(name, seed, Arc::clone(&self.payloads)).in_context(context))
    }

    /// Starts a projector for a trial.
    pub async fn start_projector(&self) -> anyhow::Result<Child> {
        self.servers.start_projector(&self.folder).await
    }

    /// Where the event-store listens.
    pub fn store(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.event_store.as_ref().context("the event-store is stopped")?.address)
    }

    /// Its process.
    pub fn store_pid(&self) -> anyhow::Result<u32> {
        Ok(self.event_store.as_ref().context("the event-store is stopped")?.pid)
    }

    /// Where logs go.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts it again.
    pub async fn start_event_store(&mut self) -> anyhow::Result<()> {
        self.event_store = Some(self.servers.start_event_store(&self.folder).await?);
        Ok(())
    }

    /// Stops it as an operator would.
    pub async fn stop_event_store(&mut self) -> anyhow::Result<()> {
        self.event_store.take().context("the event-store is stopped already")?.stop().await
    }

    /// Ends it without a warning.
    pub async fn kill_event_store(&mut self) -> anyhow::Result<()> {
        self.event_store.take().context("the event-store is stopped already")?.kill().await
    }
}
