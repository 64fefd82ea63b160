//! The engine as stories: signals in, incidents out.

use std::collections::BTreeMap;

use proptest::prelude::*;
use spina_core::Timestamp;
use spina_core::correlation::incident::Ending;
use spina_core::correlation::{Action, IncidentEvent, IncidentState, Kind, Labels, Signal};

use super::*;

mod acting;
mod life;

const START: i64 = 1_700_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros((START + seconds) * 1_000_000).unwrap()
}

fn labels(text: &str) -> Labels {
    text.split_whitespace().filter_map(|pair| pair.split_once('=')).map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
}

fn signal(seconds: i64, id: &str, text: &str) -> Signal {
    Signal {
        source: "m".into(),
        part: 0,
        id: id.into(),
        time: at(seconds),
        kind: Kind::Occurrence,
        labels: labels(text),
        annotations: Labels::default(),
        ends_at: None,
        link: None,
    }
}

fn firing(seconds: i64, text: &str, ends: i64) -> Signal {
    let id = format!("{text}@{seconds}");
    Signal { kind: Kind::Firing, ends_at: Some(at(ends)), ..signal(seconds, &id, text) }
}

fn resolved(seconds: i64, text: &str) -> Signal {
    Signal { kind: Kind::Resolved, ..signal(seconds, &format!("{text}@{seconds}"), text) }
}

/// An engine with rules of one file, and everything it told and asked.
#[derive(Default)]
struct World {
    engine: Engine,
    told: Vec<IncidentEvent>,
    actions: Vec<Action>,
}

impl World {
    fn with(rules: &str) -> Self {
        let mut world = Self::default();
        world.rules(rules);
        world
    }

    fn rules(&mut self, rules: &str) {
        let files = BTreeMap::from([("m".to_owned(), rules.to_owned())]);
        spina_rules::correlation::RuleSet::recorded(&files).unwrap_or_else(|problems| panic!("{problems}"));
        self.give(Input::RulesChanged { files, sources: BTreeMap::from([("m".to_owned(), 1)]) }, 0);
    }

    fn give(&mut self, input: Input, seconds: i64) {
        for decision in self.engine.take(input, at(seconds)) {
            self.told.push(decision.event);
            self.actions.extend(decision.actions);
        }
    }

    /// Signals that arrive when they happen.
    fn signals(mut self, signals: impl IntoIterator<Item = Signal>) -> Self {
        for signal in signals {
            let arrived = (signal.time.micros() / 1_000_000 - START).max(0);
            self.give(Input::SignalTaken(signal), arrived);
        }
        self
    }

    /// The clock passes; sources are silent.
    fn until(mut self, seconds: i64) -> Self {
        self.give(Input::ClockTicked { now: at(seconds) }, seconds);
        self
    }

    /// What was told, in short.
    fn story(&self) -> Vec<String> {
        self.told
            .iter()
            .map(|event| {
                let second = event.at().micros() / 1_000_000 - START;
                match event {
                    IncidentEvent::IncidentOpened { rule, reason, .. } => format!("{second} {rule} opened: {reason}"),
                    IncidentEvent::IncidentGrew { count, .. } => format!("{second} grew to {count}"),
                    IncidentEvent::IncidentAcknowledged { by, .. } => format!("{second} acknowledged by {by}"),
                    IncidentEvent::IncidentMitigated { by, .. } => format!("{second} mitigated by {by}"),
                    IncidentEvent::IncidentReopened { because, .. } => format!("{second} reopened: {because:?}"),
                    IncidentEvent::IncidentMerged { count, .. } => format!("{second} merged with {count}"),
                    IncidentEvent::IncidentResolved { because, .. } => format!("{second} over: {because:?}"),
                }
            })
            .collect()
    }

    fn accounted(&self) {
        let account = self.engine.account();
        assert_eq!(account.taken, account.accounted(self.engine.waiting()), "{account:?}");
    }
}

fn every(step: i64, count: i64, text: &str) -> Vec<Signal> {
    (0..count).map(|n| signal(n * step, &n.to_string(), text)).collect()
}

#[test]
fn a_threshold_opens_one_incident_and_silence_ends_it() {
    let world = World::with("rules: { r: { match: [a=b], window: { sliding: 60s }, open: { count: 3 } } }");
    let world = world.signals(every(10, 7, "a=b")).until(1_000);
    let story = ["20 m/r opened: 3 of 3 signals within 1m", "50 grew to 6", "120 over: Quiet"];
    assert_eq!(world.story(), story);
    world.accounted();
}

#[test]
fn signals_that_come_before_their_rules_wait_for_them() {
    let world = World::default().signals(every(10, 7, "a=b")).until(50);
    assert_eq!((world.engine.waiting(), world.engine.account().unmatched), (7, 0));
    let mut world = world;
    world.rules("rules: { r: { match: [a=b], window: { sliding: 60s }, open: { count: 3 } } }");
    assert_eq!(world.until(1_000).story()[0], "20 m/r opened: 3 of 3 signals within 1m");
}

#[test]
fn what_lies_outside_the_window_does_not_count() {
    let rule =
        |window: &str| format!("rules: {{ r: {{ match: [a=b], window: {{ {window} }}, open: {{ count: 3 }} }} }}");
    let three = || every(25, 3, "a=b");
    assert!(World::with(&rule("sliding: 50s")).signals(three()).until(999).story().is_empty());
    assert_eq!(World::with(&rule("sliding: 51s")).signals(three()).until(999).story().len(), 2);
    assert!(World::with(&rule("session: 25s")).signals(three()).until(999).story().is_empty());
    assert_eq!(World::with(&rule("session: 26s")).signals(three()).until(999).story().len(), 2);
    // A minute that begins at START + 40 s parts them.
    assert!(World::with(&rule("tumbling: 60s")).signals(three()).until(999).story().is_empty());
}

#[test]
fn groups_and_different_values_are_counted_apart() {
    let rules = "rules: { r: { match: [a=b], group_by: [g], open: { count: 2, distinct: host } } }";
    let two = [signal(1, "1", "a=b g=x host=1"), signal(2, "2", "a=b g=x host=1"), signal(3, "3", "a=b g=y host=2")];
    assert!(World::with(rules).signals(two).until(60).story().is_empty());
    let two = [signal(1, "1", "a=b g=x host=1"), signal(2, "2", "a=b g=x host=2")];
    assert_eq!(World::with(rules).signals(two).until(60).story()[0], "2 m/r opened: 2 of 2 values of host within 5m");
}

#[test]
fn a_sequence_goes_by_event_time_and_not_by_arrival() {
    let rules = "rules: { r: { match: [a=b], open: { sequence: [[s=1], [s=2], [s=3]] } } }";
    let steps = |order: [i64; 3]| order.map(|n| signal(n, &n.to_string(), &format!("a=b s={n}")));
    assert_eq!(
        World::with(rules).signals(steps([3, 1, 2])).until(60).story()[0],
        "3 m/r opened: 3 of 3 steps within 5m"
    );
    let wrong = [signal(1, "1", "a=b s=2"), signal(2, "2", "a=b s=1"), signal(3, "3", "a=b s=3")];
    assert!(World::with(rules).signals(wrong).until(60).story().is_empty());
    let any = "rules: { r: { match: [a=b], open: { all_of: [[s=1], [s=2], [s=3]] } } }";
    let wrong = [signal(1, "1", "a=b s=2"), signal(2, "2", "a=b s=1"), signal(3, "3", "a=b s=3")];
    assert_eq!(World::with(any).signals(wrong).until(60).story().len(), 1);
}

#[test]
fn what_is_missing_opens_and_its_return_ends() {
    let world = World::with("rules: { r: { match: [a=b], open: { absence: 30s } } }");
    let world = world.signals([signal(0, "1", "a=b"), signal(20, "2", "a=b")]).until(100);
    assert_eq!(world.story(), ["50 m/r opened: no signal for 30s"]);
    let world = world.signals([signal(100, "3", "a=b")]).until(110);
    assert_eq!(world.story()[1], "100 over: Returned");
}

#[test]
fn what_stays_away_is_told_once() {
    let world = World::with("rules: { r: { match: [a=b], open: { absence: 30s }, span_max: 40s } }");
    let world = world.signals([signal(0, "1", "a=b")]).until(9_000);
    assert_eq!(world.story(), ["30 m/r opened: no signal for 30s", "70 over: Span"]);
    assert_eq!(world.engine.groups(), 0);
}

#[test]
fn conditions_end_by_being_resolved_or_by_not_being_told_again() {
    let rules = |resolve: &str| format!("rules: {{ r: {{ match: [a=b], resolve: {resolve} }} }}");
    let two = || [firing(0, "a=b h=1", 1_000), firing(5, "a=b h=2", 60), resolved(20, "a=b h=1")];
    assert_eq!(World::with(&rules("all")).signals(two()).until(500).story()[2], "60 over: Ended");
    assert_eq!(World::with(&rules("first")).signals(two()).until(500).story()[2], "20 over: Ended");
    assert_eq!(World::with(&rules("last")).signals(two()).until(500).story()[2], "60 over: Ended");
    let kept = World::with(&rules("all")).signals([firing(0, "a=b", 60)]);
    let kept = kept.signals([Signal { time: at(0), ..firing(0, "a=b", 200) }]).until(150);
    assert_eq!(kept.story().len(), 1, "it was told again and lasts");
    assert_eq!(kept.engine.account().duplicate, 1);
    assert_eq!(kept.until(300).story()[1], "200 over: Ended");
}

#[test]
fn an_incident_lasts_no_longer_than_the_rule_says() {
    let world = World::with("rules: { r: { match: [a=b], window: { sliding: 1m }, span_max: 100s } }");
    let story = world.signals(every(10, 12, "a=b")).until(999).story();
    assert!(story.contains(&"100 over: Span".to_owned()), "{story:?}");
    assert_eq!(story.iter().filter(|line| line.contains("opened")).count(), 2);
}

#[test]
fn services_that_depend_on_each_other_are_one_incident() {
    let rules = "services: { shop: [pay], pay: [db] }\nrules: { r: { match: [a=b], near: { hops: 1 } } }";
    let hit = |n: i64, service: &str| signal(n, &n.to_string(), &format!("a=b service={service}"));
    let world = World::with(rules).signals([hit(1, "shop"), hit(2, "pay"), hit(3, "db"), hit(4, "mail")]).until(60);
    let opened = world.story().iter().filter(|line| line.contains("opened")).count();
    assert_eq!(opened, 2, "{:?}", world.story());
}

#[test]
fn an_incident_tells_its_evidence_and_what_else_was_considered() {
    let rules = "rules:\n  one: { match: [a=b] }\n  many: { match: [a=b], group_by: [h], open: { count: 20 } }\n";
    let world = World::with(rules).signals([signal(1, "1", "a=b h=x")]).until(60);
    let IncidentEvent::IncidentOpened { evidence, alternatives, .. } = &world.told[0] else { panic!() };
    assert_eq!(evidence[0].id, "1");
    assert_eq!((alternatives[0].rule.as_str(), alternatives[0].verdict.as_str()), ("m/many", "1 of 20 signals"));
    assert_eq!(alternatives[0].group, labels("h=x"));
}

#[test]
fn people_acknowledge_and_resolve() {
    let mut world = World::with("rules: { r: { match: [a=b], open: first } }").signals(every(1, 2, "a=b")).until(20);
    let incident = world.told[0].incident().to_owned();
    for action in [Asked::Acknowledge, Asked::Resolve, Asked::Resolve] {
        let (by, comment) = ("ann".to_owned(), String::new());
        let asked = Input::IncidentAsked { incident: incident.clone(), action, by, comment, at: at(30) };
        world.give(asked, 30);
    }
    assert_eq!(world.story()[2..], ["30 acknowledged by ann", "30 over: Asked"]);
    let world = world.signals([signal(40, "9", "a=b")]).until(60);
    assert!(world.story()[4].contains("opened"), "what comes after is another incident");
}

#[test]
fn rules_that_change_keep_their_open_incidents_and_close_those_of_rules_that_are_gone() {
    let mut world =
        World::with("rules: { r: { match: [a=b] }, s: { match: [a=b] } }").signals(every(1, 1, "a=b")).until(20);
    assert_eq!(world.told.len(), 2);
    world.rules("rules: { r: { match: [a=b], resolve: { quiet: 1h } } }");
    let IncidentEvent::IncidentResolved { because: Ending::RuleGone, .. } = &world.told[2] else { panic!() };
    let world = world.until(3_000);
    assert_eq!(world.told.len(), 3, "an hour of quiet is asked for now");
    assert_eq!(world.until(9_000).told.len(), 4);
}

#[test]
fn silences_and_inhibitions_mute() {
    let rules = "rules: { big: { match: [s=big], group_by: [dc] }, small: { match: [s=small], group_by: [dc] } }\n\
                 inhibit: [{ source: ['rule=m/big'], target: ['rule=m/small'], equal: [dc] }]";
    let signals = [signal(1, "1", "s=big dc=x"), signal(2, "2", "s=small dc=x"), signal(3, "3", "s=small dc=y")];
    let mut world = World::with(rules).signals(signals).until(20);
    let muted = |world: &World, labels: &str| world.engine.muting().of(&self::labels(labels));
    assert_eq!(muted(&world, "rule=m/small dc=x").inhibited_by.len(), 1);
    assert_eq!(muted(&world, "rule=m/small dc=y").inhibited_by.len(), 0);
    let matchers = vec![SilenceMatcher { name: "dc".into(), value: "x|y".into(), is_regex: true, is_equal: true }];
    let silence = Silence {
        id: "s1".into(),
        matchers,
        starts_at: at(20),
        ends_at: at(100),
        updated_at: at(20),
        created_by: "ann".into(),
        comment: "maintenance".into(),
    };
    world.give(Input::SilenceSet(silence), 25);
    assert_eq!(muted(&world, "dc=y").silenced_by, ["s1"]);
    world.give(Input::SilenceExpired { id: "s1".into(), at: at(30) }, 30);
    assert!(muted(&world, "dc=y").silenced_by.is_empty());
}

#[test]
fn a_rule_beyond_its_groups_is_shed_and_the_others_go_on() {
    let rules = "rules:\n  wide: { match: [a=b], group_by: [h], groups_max: 10 }\n  all: { match: [a=b] }\n";
    let many: Vec<Signal> = (0..50).map(|n| signal(n, &n.to_string(), &format!("a=b h={n}"))).collect();
    let world = World::with(rules).signals(many).until(60);
    let wide = world.engine.costs()["m/wide"];
    assert_eq!((wide.matched, wide.shed), (10, 40));
    assert_eq!(world.engine.costs()["m/all"].matched, 50);
    world.accounted();
}

#[test]
fn signals_that_cannot_be_taken_are_counted() {
    let mut world = World::with("lateness: 10s\nrules: { r: { match: [a=b] } }");
    world.give(Input::SignalTaken(signal(900, "ahead", "a=b")), 0);
    world.give(Input::SignalTaken(signal(0, "bare", "")), 0);
    let world = world.signals([signal(100, "1", "a=b"), signal(100, "1", "a=b"), signal(80, "late", "a=b")]);
    let world = world.signals([signal(95, "2", "x=y")]).until(200);
    let account = world.engine.account();
    assert_eq!((account.rejected, account.duplicate, account.late), (2, 1, 1));
    assert_eq!((account.correlated, account.unmatched), (1, 1));
    world.accounted();
}

const MIXED: &str = "
lateness: 60s
rules:
  count: { match: ['k=~\"[abc]\"'], group_by: [k], window: { sliding: 40s }, open: { count: 4 }, resolve: { quiet: 30s } }
  tumble: { match: [k=a], window: { tumbling: 30s }, open: { count: 3, distinct: h } }
  chain: { match: ['k!=\"\"'], open: { sequence: [[k=a], [k=b], [k=c]] }, span_max: 50s }
  gone: { match: [k=c], open: { absence: 25s }, span_max: 2m }
";

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_arrival_within_the_lateness_changes_nothing(
        times in prop::collection::vec((0i64..300, 0usize..3, 0usize..4, 0i64..60, 0usize..3), 1..120),
    ) {
        let made = |(n, (time, kind, host, jitter, copies)): (usize, &(i64, usize, usize, i64, usize))| {
            let text = format!("k={} h={host}", ["a", "b", "c"][*kind]);
            let signal = signal(*time, &n.to_string(), &text);
            (0..=*copies).map(move |copy| (time + jitter / (copy as i64 + 1), signal.clone())).collect::<Vec<_>>()
        };
        let mut arrivals: Vec<(i64, Signal)> = times.iter().enumerate().flat_map(made).collect();
        let in_order = {
            let mut signals: Vec<Signal> = arrivals.iter().map(|(_, signal)| signal.clone()).collect();
            signals.sort_by_key(|signal| signal.time);
            World::with(MIXED)
                .given_at(signals, 400)
                .until(2_000)
        };
        arrivals.sort_by_key(|(arrival, _)| *arrival);
        let shuffled = World::with(MIXED).given_at(arrivals.into_iter().map(|(_, signal)| signal), 400).until(2_000);
        prop_assert_eq!(&in_order.told, &shuffled.told);
        prop_assert_eq!(in_order.engine.account(), shuffled.engine.account());
        prop_assert_eq!(shuffled.engine.account().late, 0);
        shuffled.accounted();
    }
}

impl World {
    /// All at one moment of the clock, so that only event time moves.
    fn given_at(mut self, signals: impl IntoIterator<Item = Signal>, seconds: i64) -> Self {
        signals.into_iter().for_each(|signal| self.give(Input::SignalTaken(signal), seconds));
        self
    }
}

#[test]
fn a_replay_of_the_journal_tells_the_same() {
    let signals: Vec<Signal> = (0..500).map(|n| signal(n * 7 % 311, &n.to_string(), "k=a h=1")).collect();
    let first = World::with(MIXED).signals(signals.clone()).until(2_000);
    let again = World::with(MIXED).signals(signals).until(2_000);
    assert!(!first.told.is_empty());
    assert_eq!(first.told, again.told);
    let open = first.engine.incidents().iter().filter(|kept| kept.incident.state != IncidentState::Resolved).count();
    assert_eq!(open, 0);
}
