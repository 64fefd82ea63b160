//! The storm of 8 and 9 February 2013 over New York, from the flights that were cancelled from the 7th to the 10th: the rules
//! of context `flights` find it as one incident per airport, in every order of arrival that the lateness covers.

use std::collections::BTreeMap;

use spina_core::Timestamp;
use spina_core::correlation::{IncidentEvent, Kind, Labels, Signal};

use super::{Engine, Input};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// Orders of arrival that are tried.
const PERMUTATIONS: u64 = 100;
/// How much later than it happened a cancellation may come here: the rules say 36 hours.
const LATE_MICROS: u64 = 30 * 3_600 * 1_000_000;

fn cancellations() -> Vec<Signal> {
    let text = std::fs::read_to_string(format!("{ROOT}/tests/data/storms-2013-02.csv")).unwrap();
    let signal = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        let labels: Labels = [("signal", "cancellation"), ("airport", fields[3]), ("carrier", fields[2])]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into_iter()
            .collect();
        Signal {
            source: "flights".into(),
            part: 0,
            id: fields[1].into(),
            time: fields[0].parse().unwrap(),
            kind: Kind::Occurrence,
            labels,
            annotations: Labels::default(),
            ends_at: None,
            link: None,
        }
    };
    text.lines().skip(1).map(signal).collect()
}

/// Everything that the rules of the flights tell of the signals, which come in that order.
fn told(signals: impl IntoIterator<Item = Signal>) -> Vec<IncidentEvent> {
    let rules = std::fs::read_to_string(format!("{ROOT}/topology/flights/correlation.yaml")).unwrap();
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let mut engine = Engine::default();
    let files = BTreeMap::from([("flights".to_owned(), rules)]);
    engine.take(Input::RulesChanged { files, sources: BTreeMap::from([("flights".to_owned(), 1)]) }, now);
    let mut told = Vec::new();
    let mut count = 0;
    for signal in signals {
        count += 1;
        told.extend(engine.take(Input::SignalTaken(signal), now).into_iter().map(|decision| decision.event));
    }
    let later = Timestamp::from_micros(now.micros() + 30 * 86_400 * 1_000_000).unwrap();
    told.extend(engine.take(Input::ClockTicked { now: later }, later).into_iter().map(|decision| decision.event));
    assert_eq!((engine.account().correlated, engine.account().late), (count, 0));
    told
}

#[test]
#[allow(clippy::print_stdout, reason = "a test may talk")]
fn the_storm_of_february_is_one_incident_per_airport_in_every_order_of_arrival() {
    let signals = cancellations();
    let in_order = told(signals.clone());
    let storms: Vec<(&str, Timestamp, usize)> = in_order
        .iter()
        .filter_map(|event| match event {
            IncidentEvent::IncidentOpened { rule, group, at, evidence, .. } if rule == "flights/storm" => {
                Some((group.get("airport"), *at, evidence.len()))
            }
            _ => None,
        })
        .collect();
    let mut airports: Vec<&str> = storms.iter().map(|(airport, ..)| *airport).collect();
    airports.sort_unstable();
    assert_eq!(airports, ["EWR", "JFK", "LGA"], "{storms:?}");
    assert!(storms.iter().all(|(_, at, evidence)| at.to_string().starts_with("2013-02-08") && *evidence == 20));
    let opened = in_order.iter().filter(|event| matches!(event, IncidentEvent::IncidentOpened { .. })).count();
    let over = in_order.iter().filter(|event| matches!(event, IncidentEvent::IncidentResolved { .. })).count();
    assert_eq!(opened, over, "what was opened came to an end");
    let noise = 100.0 * (1.0 - opened as f64 / signals.len() as f64);
    println!("{} cancellations, {opened} incidents, {noise:.1} % of the noise removed", signals.len());

    let mut state: u64 = 2_013;
    for permutation in 0..PERMUTATIONS {
        let mut arrivals: Vec<(u64, Signal)> = Vec::with_capacity(signals.len());
        for signal in &signals {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let happened = u64::try_from(signal.time.micros()).unwrap();
            arrivals.push((happened + (state >> 20) % LATE_MICROS, signal.clone()));
        }
        arrivals.sort_by_key(|(arrival, _)| *arrival);
        let shuffled = told(arrivals.into_iter().map(|(_, signal)| signal));
        assert!(shuffled == in_order, "order of arrival {permutation} led to other incidents");
    }
}
