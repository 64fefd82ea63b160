//! A flood: more alerts at once than anybody can look at. Memory stays bounded, and every alert is accounted for.

use std::collections::BTreeMap;

use spina_core::Timestamp;
use spina_core::correlation::{Kind, Labels, Signal};

use super::account::Limits;
use super::{Engine, Input};

const RULES: &str = "
lateness: 30s
resolve_after: 1h
rules:
  many: { match: [kind=event], group_by: [host], window: { sliding: 1m }, open: { count: 20 }, groups_max: 5000 }
  alert: { match: [kind=alert], group_by: [host], resolve: all, groups_max: 5000 }
  quiet: { match: [kind=event], group_by: [host], open: { absence: 5m }, groups_max: 5000 }
";
const START: i64 = 1_700_000_000_000_000;
const SECOND: i64 = 1_000_000;
/// How long the flood lasts, in seconds of event time.
const LASTS: i64 = 600;

/// Alerts in the flood; `SPINA_TEST_ALERTS=1000000` asks for more.
fn alerts() -> u64 {
    std::env::var("SPINA_TEST_ALERTS").map_or(50_000, |alerts| alerts.parse().unwrap())
}

/// The next of a row of numbers that look like chance.
fn chance(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(START + micros).unwrap()
}

/// The n-th alert: half of them have one key, the others one of 20,000; a third fires, some are resolved.
fn alert(n: u64, of: u64, state: &mut u64) -> Signal {
    let host = if chance(state).is_multiple_of(2) { 0 } else { chance(state) % 20_000 };
    let (kind, name) = match chance(state) % 10 {
        0..6 => (Kind::Occurrence, "event"),
        6..9 => (Kind::Firing, "alert"),
        _ => (Kind::Resolved, "alert"),
    };
    let labels: Labels =
        [("kind", name.to_owned()), ("host", host.to_string())].map(|(n, v)| (n.to_owned(), v)).into_iter().collect();
    let time = i64::try_from(n).unwrap() * LASTS * SECOND / i64::try_from(of).unwrap();
    let (annotations, ends_at, link) = (Labels::default(), None, None);
    Signal { source: "m".into(), part: 0, id: n.to_string(), time: at(time), kind, labels, annotations, ends_at, link }
}

/// Memory of this process, in MiB.
fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) / 1_024
}

#[test]
#[allow(clippy::print_stdout, reason = "a test may talk")]
fn nasty_18_a_flood_of_alerts_late_doubled_and_shuffled_is_accounted_for_in_bounded_memory() {
    let (of, mut state) = (alerts(), 18);
    // When each alert comes: within the lateness, save for 30 % that come later; each comes twice.
    let before = resident_mib();
    let (mut arrivals, mut made) = (Vec::new(), Vec::new());
    for n in 0..of {
        let signal = alert(n, of, &mut state);
        let happened = signal.time.micros() - START;
        for _ in 0..2 {
            let late = if chance(&mut state) % 10 < 3 { 60 } else { 0 };
            let jitter = i64::try_from(chance(&mut state) % 20_000_000).unwrap();
            arrivals.push((happened + late * SECOND + jitter, made.len()));
        }
        made.push(signal);
    }
    arrivals.sort_unstable();

    let mut engine = Engine::default();
    let files = BTreeMap::from([("m".to_owned(), RULES.to_owned())]);
    engine.take(Input::RulesChanged { files, sources: BTreeMap::from([("m".to_owned(), 1)]) }, at(0));
    let (mut told, mut waited, mut groups) = (0, 0, 0);
    let with_input = resident_mib();
    for (count, (arrival, n)) in arrivals.iter().enumerate() {
        let signal = made[*n].clone();
        told += engine.take(Input::SignalTaken(signal), at(*arrival)).len();
        (waited, groups) = (waited.max(engine.waiting()), groups.max(engine.groups()));
        let account = engine.account();
        assert_eq!(account.taken, count as u64 + 1);
        assert_eq!(account.accounted(engine.waiting()), account.taken, "{account:?}");
    }
    let flooded = resident_mib();
    engine.take(Input::ClockTicked { now: at((LASTS + 7_200) * SECOND) }, at((LASTS + 7_200) * SECOND));
    let account = engine.account();
    let incidents = engine.incidents().iter().count();
    println!(
        "{of} alerts, twice each: {account:?}; at most {waited} waited in {groups} groups; {told} events, {incidents} \
         incidents; memory {before} MiB, with the alerts {with_input} MiB, in the flood {flooded} MiB"
    );

    assert_eq!((engine.waiting(), account.taken), (0, 2 * of));
    assert_eq!(account.accounted(0), account.taken, "{account:?}");
    assert!(account.late > of / 10 && account.duplicate > of / 10, "{account:?}");
    assert!(account.correlated > of / 10 && told > 0, "{account:?}");
    assert!(engine.costs().values().all(|cost| cost.failed == 0));
    assert!(engine.costs()["m/alert"].shed > 0 || groups < 5_000, "rules have no more groups than they may");
    assert!(groups <= 15_000, "{groups}");
    // What waits is what the lateness covers, a minute of ten, and not the flood.
    let covered = usize::try_from(of / 5).unwrap();
    assert!(waited <= covered, "{waited} of {of} waited");
    assert!(flooded.saturating_sub(with_input) < 100 + of / 1_000, "{with_input} MiB became {flooded} MiB");
}

#[test]
fn alerts_without_end_are_shed_beyond_the_limit_and_accounted_for() {
    let mut engine = Engine::with(Limits { waiting: 1_000, conditions: 700 });
    let files = BTreeMap::from([("m".to_owned(), "rules: { r: { match: ['host!=\"\"'] } }".to_owned())]);
    engine.take(Input::RulesChanged { files, sources: BTreeMap::from([("m".to_owned(), 1)]) }, at(0));
    for n in 0..3_000 {
        let labels = [("host".to_owned(), n.to_string())].into_iter().collect();
        let signal = Signal { kind: Kind::Firing, labels, time: at(0), ..alert(n, 3_000, &mut 18) };
        engine.take(Input::SignalTaken(signal), at(0));
    }
    assert_eq!((engine.waiting(), engine.account().shed), (1_000, 2_000));
    engine.take(Input::ClockTicked { now: at(100 * SECOND) }, at(100 * SECOND));
    let account = engine.account();
    assert_eq!((engine.conditions().len(), account.shed, account.correlated), (700, 2_300, 700), "{account:?}");
    assert_eq!(account.accounted(0), account.taken);
}
