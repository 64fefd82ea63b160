//! Nasty cases 6, 7, 8 and 20: a load that goes on through kills at every named failpoint, kills of brokers at full rate,
//! too few replicas, and jumps of the clock. Nothing is lost, doubled or torn.
//!
//! How often by the environment: `SPINA_TEST_KILLS`, few in `make test`, many in `make soak`.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use spina_runtime::failpoint;
use spina_tests::gate::nemesis::{Fault, Happened, perform};
use spina_tests::gate::rng::Rng;
use spina_tests::gate::run::{Ended, Gate, Settings};
use spina_tests::gate::swarm::Sizes;
use spina_tests::proxy::{Act, Api, Matching};
use spina_tests::{PATIENCE, eventually_within};

/// Longest that it may take until somebody comes by a failpoint.
const REACH_LIMIT: Duration = Duration::from_secs(120);
/// SIGKILL.
const KILLED: i32 = 9;

fn settings(seed: u64, brokers: usize, stores: usize, importers: u32) -> Settings {
    let sizes =
        Sizes { writers: 4, contenders: 2, repeaters: 1, publishers: 2, importers, import_lines: 300, followers: 1 };
    Settings { seed, brokers, stores, partitions: 4, sizes, projector: false, liveness_limit: PATIENCE }
}

/// How often, from the environment.
fn times(few: u64) -> u64 {
    std::env::var("SPINA_TEST_KILLS").map_or(few, |times| times.parse().expect("SPINA_TEST_KILLS is a number"))
}

fn assert_sound(ended: &Ended) {
    assert_eq!(ended.verdict.violations, Vec::<String>::new());
    assert!(ended.verdict.logged as u64 >= ended.acknowledged.min(100), "too little happened: {ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nasty_06_sigkill_at_every_named_failpoint() {
    let mut gate = Gate::open(settings(6, 1, 1, 1)).await;
    let mut rng = Rng::new(6);
    for round in 1..=times(1) {
        // The flights have no unique fields; how kills between claim and append end is a test of its own.
        for name in failpoint::NAMES.iter().filter(|name| !name.starts_with("unique_")) {
            // Those of a take-over come by once for each partition, the others all the time.
            let hit = if name.starts_with("take_over") { rng.between(1, 4) } else { rng.between(1, 20) };
            let hit = if is_reached_by_a_lost_window(name) { 1 } else { hit };
            let store = &mut gate.nodes.stores[0];
            if store.ended().is_none() && round == 1 && *name == failpoint::NAMES[0] {
                store.kill();
            }
            store.set("SPINA_FAILPOINTS", Some(&format!("{name}=kill@{hit}")));
            store.start_again();
            let unanswered = Matching::next(Api::EndTxn).of(&gate.arena.lanes()).commits(true).times(usize::MAX);
            let disturbed = is_reached_by_a_lost_window(name)
                .then(|| gate.nodes.cluster.proxy().rule(unanswered, Act::DropResponse));
            let status = gate.nodes.ends(0, REACH_LIMIT).await.unwrap_or_else(|| panic!("{name} is not reached"));
            drop(disturbed);
            assert_eq!(status.signal(), Some(KILLED), "{name}: {}", gate.nodes.stores[0].tail());
        }
    }
    let began_us = gate.arena.now_us();
    let store = &mut gate.nodes.stores[0];
    store.set("SPINA_FAILPOINTS", None);
    store.start_again();
    let last = happened(&gate, Fault::KillStore { store: 0, away_ms: 0 }, began_us);
    assert_sound(&gate.end(vec![last], Duration::from_secs(3)).await);
}

/// The way back after a transaction whose end is not known: one whose commit is never answered.
fn is_reached_by_a_lost_window(name: &str) -> bool {
    name == "lost" || name.starts_with("read_back")
}

#[tokio::test(flavor = "multi_thread")]
async fn nasty_07_broker_kills_during_commits_at_full_rate() {
    broker_kills(3, times(1)).await;
}

/// The only broker: when it starts again it may skip the markers of transactions that are committed. What hangs so is ended by
/// whoever owns the partition.
#[tokio::test(flavor = "multi_thread")]
async fn nasty_07_kills_of_the_only_broker_leave_nothing_hanging() {
    broker_kills(1, times(2)).await;
}

async fn broker_kills(brokers: usize, kills: u64) {
    let mut gate = Gate::open(settings(7, brokers, 2, 3)).await;
    let mut killed = Vec::new();
    for kill in 0..kills {
        every_partition_is_served(&gate).await;
        let broker = kill as usize % gate.nodes.cluster.size();
        killed.push(happen(&mut gate, Fault::KillBroker { broker, away_ms: 0 }).await);
    }
    assert_sound(&gate.end(killed, Duration::from_secs(5)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn nasty_08_too_few_replicas_in_the_middle_of_transactions() {
    let mut gate = Gate::open(settings(8, 3, 2, 2)).await;
    let mut killed = Vec::new();
    for spared in 0..times(1) {
        every_partition_is_served(&gate).await;
        let spared = spared as usize % gate.nodes.cluster.size();
        // Longer than a request or a transaction may take.
        killed.push(happen(&mut gate, Fault::KillMostBrokers { spared, away_ms: 12_000 }).await);
    }
    assert_sound(&gate.end(killed, Duration::from_secs(5)).await);
}

/// Makes a fault happen, and every client is to succeed soon after it, not after the beginning.
async fn happen(gate: &mut Gate, fault: Fault) -> Happened {
    let began_us = gate.arena.now_us();
    perform::perform(&gate.arena, &mut gate.nodes, fault).await;
    happened(gate, fault, began_us)
}

/// A fault that is over now.
fn happened(gate: &Gate, fault: Fault, began_us: u64) -> Happened {
    Happened { fault, began_us, healed_us: gate.arena.now_us(), recovered_us: None }
}

async fn every_partition_is_served(gate: &Gate) {
    let before = gate.arena.now_us();
    eventually_within(PATIENCE * 2, "every partition is served", async || {
        gate.arena.recovered_after(before).into_iter().collect::<Option<Vec<u64>>>()
    })
    .await;
}

/// Clocks stamp events and age requests, and decide nothing: within the window of requests (24 hours) an hour forward or
/// back changes no answer. A jump beyond the window would only forget requests sooner.
#[tokio::test(flavor = "multi_thread")]
async fn nasty_20_clock_jumps_of_an_hour_decide_nothing() {
    let mut gate = Gate::open(settings(20, 1, 1, 1)).await;
    let store = &mut gate.nodes.stores[0];
    store.kill();
    let jumps = [(20, 3_600), (60, -3_600), (100, 0), (140, -3_600), (180, 3_600)];
    let armed: Vec<String> = jumps.iter().map(|(hit, offset)| format!("before_stage=clock:{offset}@{hit}")).collect();
    store.set("SPINA_FAILPOINTS", Some(&armed.join(";")));
    store.start_again();
    eventually_within(PATIENCE * 2, "the clock has jumped often", async || {
        (gate.nodes.stores[0].log().matches("the clock jumps").count() == jumps.len()).then_some(())
    })
    .await;
    // And a process whose clock is an hour behind takes over what one wrote whose clock was ahead.
    let store = &mut gate.nodes.stores[0];
    store.kill();
    store.set("SPINA_FAILPOINTS", Some("take_over_a_fenced=clock:-3600"));
    store.start_again();
    assert_sound(&gate.end(Vec::new(), Duration::from_secs(5)).await);
}
