//! Notifications as stories of the whole engine: the same journal tells the same receivers the same.

use std::collections::BTreeMap;

use spina_core::Timestamp;
use spina_core::correlation::{Kind, Labels, Notification, Signal};

use crate::correlate::{Asked, Engine, Input, Silence, SilenceMatcher};

const RULES: &str = r#"
lateness: 1s
resolve_after: 7d
rules:
  alert: { match: ['name!=""'], group_by: [name, site], resolve: all }
inhibit:
  - { source: ['name="down"'], target: ['name="slow"'], equal: [site] }
receivers: { ops: { webhook: "http://h/" }, dev: { webhook: "http://h/" }, none: {} }
routes:
  - { match: ['name="test"'], receiver: none }
  - { match: ['name="night"'], receiver: ops, wait: 10s, interval: 60s, mute: [{ from: '00:00', to: '01:00' }] }
  - { receiver: ops, group_by: [site], wait: 10s, interval: 60s, repeat: 1h }
"#;
/// Midnight of a day.
const START: i64 = 1_700_006_400;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros((START + seconds) * 1_000_000).unwrap()
}

fn labels(text: &str) -> Labels {
    text.split_whitespace().filter_map(|pair| pair.split_once('=')).map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
}

/// A journal, and what its fold told.
#[derive(Default)]
struct World {
    engine: Engine,
    journal: Vec<(Input, i64)>,
    told: Vec<Notification>,
    now: i64,
    /// Whether receivers answer.
    reach: bool,
}

impl World {
    fn new() -> Self {
        let mut world = Self { reach: true, ..Self::default() };
        world.rules(RULES);
        world
    }

    fn rules(&mut self, text: &str) {
        let files = BTreeMap::from([("m".to_owned(), text.to_owned())]);
        spina_rules::correlation::RuleSet::recorded(&files).unwrap_or_else(|problems| panic!("{problems}"));
        self.give(Input::RulesChanged { files, sources: BTreeMap::from([("m".to_owned(), 1)]) });
    }

    fn give(&mut self, input: Input) {
        self.journal.push((input.clone(), self.now));
        self.engine.take(input, at(self.now));
        for notification in self.engine.notifications() {
            let ended = Input::NotificationEnded {
                notification: notification.notification.clone(),
                delivered: self.reach,
                attempts: 1,
                error: None,
                at: at(self.now),
            };
            self.told.push(notification);
            self.give(ended);
        }
    }

    fn alert(&mut self, text: &str, kind: Kind) {
        let signal = Signal {
            source: "m".into(),
            part: 0,
            id: format!("{text}@{}", self.now),
            time: at(self.now),
            kind,
            labels: labels(text),
            annotations: Labels::default(),
            ends_at: None,
            link: None,
        };
        self.give(Input::SignalTaken(signal));
    }

    fn fires(&mut self, text: &str) {
        self.alert(text, Kind::Firing);
    }

    fn silence(&mut self, name: &str, until: i64) {
        let matchers =
            vec![SilenceMatcher { name: "name".into(), value: name.into(), is_regex: false, is_equal: true }];
        self.give(Input::SilenceSet(Silence {
            id: "s".into(),
            matchers,
            starts_at: at(0),
            ends_at: at(until),
            updated_at: at(0),
            created_by: "ann".into(),
            comment: String::new(),
        }));
    }

    fn until(&mut self, seconds: i64) {
        while self.now < seconds {
            self.now += 1;
            self.give(Input::ClockTicked { now: at(self.now) });
        }
    }

    /// What was told, in short: receiver, what fires, what is over.
    fn story(&self) -> Vec<String> {
        let told = self.told.iter().map(|n| {
            let names = |over: bool| {
                let of = n.notices.iter().filter(|notice| notice.resolved_at.is_some() == over);
                of.map(|notice| notice.labels.get("name")).collect::<Vec<_>>().join("+")
            };
            let again = if n.again { " again" } else { "" };
            let second = n.at.micros() / 1_000_000 - START;
            format!("{second} {} {}: {}/{}{again}", n.receiver, n.group.get("site"), names(false), names(true))
        });
        told.collect()
    }
}

#[test]
fn an_incident_is_told_with_its_group_and_its_end() {
    let mut world = World::new();
    world.fires("name=down site=a");
    world.fires("name=full site=a");
    world.fires("name=full site=b");
    world.fires("name=test site=a");
    world.until(100);
    world.alert("name=down site=a", Kind::Resolved);
    world.until(200);
    let story = world.story();
    assert_eq!(story.len(), 3, "{story:?}");
    assert!(story[0].contains("ops a: ") && story[0].contains("down") && story[0].contains("full"), "{story:?}");
    assert!(story[1].ends_with("ops b: full/"), "{story:?}");
    assert!(story[2].ends_with("ops a: full/down"), "{story:?}");
    let deliveries = world.engine.notices().deliveries();
    assert_eq!((deliveries.len(), world.engine.notices().pending().count()), (3, 0));
}

#[test]
fn inhibition_and_silences_hold_from_the_first_evaluation() {
    let mut world = World::new();
    world.fires("name=slow site=a");
    world.until(5);
    world.fires("name=down site=a");
    world.fires("name=slow site=b");
    world.silence("slow", 300);
    world.until(290);
    let story = world.story();
    assert!(story.len() == 1 && story[0].ends_with("a: down/"), "{story:?}");
    world.until(400);
    let story = world.story();
    assert!(
        story.len() == 2 && story[1].ends_with("b: slow/"),
        "the silence is over, the inhibition is not: {story:?}"
    );
    world.alert("name=down site=a", Kind::Resolved);
    world.until(600);
    assert!(world.story()[2..].join(" ").contains("slow"), "{:?}", world.story());
}

#[test]
fn nobody_is_told_in_a_mute_time_and_after_it_they_are() {
    let mut world = World::new();
    world.fires("name=night site=a");
    world.until(3_590);
    assert!(world.story().is_empty());
    world.until(3_700);
    assert!(world.story().len() == 1, "{:?}", world.story());
}

#[test]
fn other_routes_do_not_repeat_what_a_receiver_knows() {
    let mut world = World::new();
    world.fires("name=down site=a");
    world.until(30);
    assert_eq!(world.story().len(), 1);
    // Another order of the routes, and other labels to group by.
    let finer = RULES.replace("group_by: [site]", "group_by: [site, name]").replace("name=\"test\"", "name=\"other\"");
    world.rules(&finer);
    world.until(300);
    assert_eq!(world.story().len(), 1, "{:?}", world.story());
    world.rules(&finer.replace("- { receiver: ops", "- { receiver: dev"));
    world.until(600);
    let story = world.story();
    assert!(story[1..].iter().any(|line| line.contains(" dev a: down/")), "another one is told: {story:?}");
    assert!(
        story.len() == 3 && story[1..].iter().any(|line| line.contains(" ops a: /down")),
        "it is over for ops: {story:?}"
    );
    world.rules("rules: { alert: { match: ['name!=\"\"'] } }");
    world.until(9_000);
    assert_eq!(world.story().len(), 3, "nobody is left to be told");
}

#[test]
fn what_comes_back_to_a_receiver_is_told_again_if_it_may_have_heard_that_it_is_over() {
    let mut world = World::new();
    world.fires("name=down site=a");
    world.until(30);
    let elsewhere = RULES.replace("- { receiver: ops", "- { receiver: none");
    world.rules(&elsewhere);
    world.rules(RULES);
    world.until(200);
    assert_eq!(world.story().len(), 1, "nobody noticed: {:?}", world.story());
    world.reach = false;
    world.rules(&elsewhere);
    world.until(210);
    assert!(world.story()[1].ends_with("ops a: /down"), "it does not answer: {:?}", world.story());
    world.reach = true;
    world.rules(RULES);
    world.until(400);
    world.alert("name=down site=a", Kind::Resolved);
    world.until(600);
    let story = world.story();
    assert!(story.len() == 4 && story[2].ends_with("ops a: down/") && story[3].ends_with("ops a: /down"), "{story:?}");
}

#[test]
fn what_is_reopened_is_told_once_more_only_if_its_end_was() {
    let mut world = World::new();
    world.fires("name=down site=a");
    world.until(30);
    let incident = world.engine.incidents().iter().next().unwrap().incident.id.clone();
    let ask = |world: &mut World, action| {
        let (by, comment, at) = ("ann".to_owned(), String::new(), at(world.now));
        world.give(Input::IncidentAsked { incident: incident.clone(), action, by, comment, at });
    };
    ask(&mut world, Asked::Resolve);
    ask(&mut world, Asked::Reopen);
    world.until(200);
    assert_eq!(world.story().len(), 1, "nobody noticed: {:?}", world.story());
    ask(&mut world, Asked::Resolve);
    world.until(400);
    ask(&mut world, Asked::Reopen);
    world.until(600);
    let story = world.story();
    assert!(story.len() == 3 && story[1].ends_with("/down") && story[2].ends_with("ops a: down/"), "{story:?}");
}

#[test]
fn incidents_that_are_open_are_told_to_a_receiver_that_comes_later() {
    let mut world = World::new();
    world.rules(RULES.split("receivers:").next().unwrap());
    world.fires("name=down site=a");
    world.until(100);
    assert!(world.story().is_empty());
    world.rules(RULES);
    world.until(200);
    assert!(world.story().len() == 1, "{:?}", world.story());
}

#[test]
fn a_notification_that_was_given_up_is_told_again_and_kept() {
    let mut world = World::new();
    world.reach = false;
    world.fires("name=down site=a");
    world.until(50);
    world.reach = true;
    world.until(600);
    let outcomes: Vec<String> =
        world.engine.notices().deliveries().iter().map(|d| format!("{:?}", d.outcome)).collect();
    assert_eq!(outcomes, ["Dead", "Delivered"], "{:?}", world.story());
}

/// Whoever takes over at any record of the journal decides what was decided, and holds what is on its way.
#[test]
fn whoever_takes_over_at_any_record_repeats_nothing_and_misses_nothing() {
    let mut world = World::new();
    for site in 0..60 {
        world.fires(&format!("name=down site=s{site}"));
        world.until(i64::from(site));
    }
    for site in 0..30 {
        world.alert(&format!("name=down site=s{site}"), Kind::Resolved);
    }
    world.until(300);
    assert_eq!(world.told.len(), 90);
    for stop in (0..world.journal.len()).step_by(37) {
        let mut engine = Engine::default();
        let mut told = Vec::new();
        let mut take = |engine: &mut Engine, (input, seconds): &(Input, i64)| {
            engine.take(input.clone(), at(*seconds));
            let decided = engine.notifications();
            told.extend(decided.iter().cloned());
            decided
        };
        let mut open: BTreeMap<String, Notification> = BTreeMap::new();
        for record in &world.journal[..stop] {
            if let Input::NotificationEnded { notification, .. } = &record.0 {
                open.remove(notification);
            }
            open.extend(take(&mut engine, record).into_iter().map(|n| (n.notification.clone(), n)));
        }
        let pending: Vec<&Notification> = engine.notices().pending().collect();
        assert_eq!(pending, open.values().collect::<Vec<_>>(), "what has no end in the journal is on its way");
        for record in &world.journal[stop..] {
            take(&mut engine, record);
        }
        assert_eq!(told, world.told);
    }
}
