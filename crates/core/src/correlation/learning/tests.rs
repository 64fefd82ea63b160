//! Histories with coincidences that were planted, and noise.

use super::*;
use crate::correlation::Labels;

const SECOND: i64 = 1_000_000;
const DAYS: i64 = 30;

/// Numbers that look like chance, from a seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(self.0 >> 33).unwrap() % bound
    }
}

#[derive(Default)]
struct History(Vec<Signal>);

impl History {
    fn at(&mut self, seconds: i64, name: &str, host: i64) {
        let pairs = [("alertname", name.to_owned()), ("host", format!("h{host}")), ("severity", "page".to_owned())];
        let labels: Labels = pairs.map(|(n, v)| (n.to_owned(), v)).into_iter().collect();
        self.0.push(Signal {
            source: "monitoring".into(),
            part: 0,
            id: format!("{name}-{host}-{seconds}"),
            time: Timestamp::from_micros(seconds * SECOND).unwrap(),
            kind: Kind::Occurrence,
            labels,
            annotations: Labels::default(),
            ends_at: None,
            link: None,
        });
    }

    fn learned(mut self) -> Learned {
        self.0.sort_by(|a, b| (a.time, &a.id).cmp(&(b.time, &b.id)));
        learn(&self.0, &Thresholds::default())
    }
}

fn told(learned: &Learned) -> BTreeSet<String> {
    let of = |proposal: &Proposal| {
        let idea = match &proposal.idea {
            Idea::Grouping { items } => items.iter().map(|item| item.name.as_str()).collect::<Vec<_>>().join(" with "),
            Idea::Sequence { first, then } => format!("{} before {}", first.name, then.name),
            Idea::Inhibition { source, target } => format!("{} explains {}", source.name, target.name),
        };
        format!("{idea} per {}", proposal.scope.as_deref().unwrap_or("nothing"))
    };
    learned.proposals.iter().map(of).collect()
}

/// What is planted: what comes together, what announces, what explains; per host and anywhere.
const PLANTED: [&str; 5] = [
    "db-slow with disk-full with io-wait per host",
    "cert-expiring before tls-errors per host",
    "switch-down explains host-unreachable per host",
    "deploy before error-rate per nothing",
    "deploy explains error-rate per nothing",
];

fn history(seed: u64) -> History {
    let (mut history, mut chance) = (History::default(), Chance(seed));
    let any_time = |chance: &mut Chance| 1_000 + chance.below(DAYS * 86_400 - 2_000);
    for _ in 0..40 {
        let (begin, host) = (any_time(&mut chance), chance.below(20));
        for name in ["disk-full", "io-wait", "db-slow"] {
            history.at(begin + chance.below(120), name, host);
        }
    }
    for _ in 0..30 {
        let (begin, host) = (any_time(&mut chance), chance.below(20));
        history.at(begin, "cert-expiring", host);
        history.at(begin + 60 + chance.below(120), "tls-errors", host);
        let (alone, host) = (any_time(&mut chance), chance.below(20));
        history.at(alone, "tls-errors", host);
    }
    for _ in 0..80 {
        let (begin, host) = (any_time(&mut chance), chance.below(20));
        history.at(begin, "switch-down", host);
        if chance.below(10) < 4 {
            history.at(begin + 5 + chance.below(60), "host-unreachable", host);
        }
    }
    for _ in 0..40 {
        let begin = any_time(&mut chance);
        history.at(begin, "deploy", chance.below(20));
        history.at(begin + 30 + chance.below(90), "error-rate", chance.below(20));
    }
    // What has nothing to do with anything, some of it often.
    for noise in 0..40 {
        for _ in 0..40 + 10 * noise {
            history.at(any_time(&mut chance), &format!("noise-{noise}"), chance.below(20));
        }
    }
    history
}

#[test]
#[allow(clippy::print_stdout, reason = "a test may talk")]
fn what_was_planted_is_proposed_and_noise_is_not() {
    let planted: BTreeSet<String> = PLANTED.map(str::to_owned).into_iter().collect();
    for seed in [1, 2, 3] {
        let learned = history(seed).learned();
        let proposed = told(&learned);
        let right = proposed.intersection(&planted).count() as f64;
        let (precision, recall) = (right / proposed.len().max(1) as f64, right / planted.len() as f64);
        println!(
            "seed {seed}: {} signals of {} items, {} proposals; precision {precision:.2}, recall {recall:.2}",
            learned.signals,
            learned.items,
            proposed.len(),
        );
        assert!(precision >= 0.9 && recall >= 0.9, "{proposed:#?}");
        assert!(!proposed.iter().any(|idea| idea.contains("noise")), "{proposed:#?}");
    }
}

#[test]
fn a_proposal_has_figures_and_examples() {
    let learned = history(1).learned();
    let of = |p: &&Proposal| matches!(&p.idea, Idea::Sequence { first, .. } if first.name == "cert-expiring");
    let proposal = learned.proposals.iter().find(of).unwrap();
    assert!(proposal.figures.support >= 25 && proposal.figures.of == 30, "{:?}", proposal.figures);
    assert!((60 * SECOND..180 * SECOND).contains(&proposal.figures.lead), "{:?}", proposal.figures);
    assert!(proposal.figures.lift > 100.0 && proposal.examples.len() == 3);
    let example = &proposal.examples[0];
    assert_eq!(example.first.labels.get("host"), example.then.labels.get("host"));
    assert!(example.first.time < example.then.time);
}

#[test]
fn a_history_teaches_the_same_in_every_process() {
    let (once, again) = (history(7).learned(), history(7).learned());
    assert_eq!(once, again);
}

#[test]
fn bursts_count_once_and_rare_coincidences_not_at_all() {
    let mut history = History::default();
    // A burst of each, once: a thousand coincidences of signals, one of items.
    for n in 0..1_000 {
        history.at(1_000 + n % 100, "a", 1);
        history.at(1_001 + n % 100, "b", 1);
    }
    history.at(900_000, "c", 1);
    let learned = history.learned();
    assert!(learned.proposals.is_empty(), "{:?}", learned.proposals);
    assert!(learn(&[], &Thresholds::default()).proposals.is_empty());
}

#[test]
fn items_beyond_the_limit_are_left_out_and_told() {
    let mut history = History::default();
    for n in 0..300 {
        history.at(n * 10_000, &format!("once-{n}"), n % 7);
    }
    for n in 0..10 {
        history.at(n * 10_000, "often", 1);
    }
    let learned = history.learned();
    assert_eq!((learned.items, learned.items_left_out), (ITEMS_MAX, 101));
}
