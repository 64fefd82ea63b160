//! What becomes of incidents besides growing and ending.

use super::*;

impl World {
    /// A person says something of the incident that was told first.
    pub(super) fn ask(&mut self, action: Asked, seconds: i64) {
        let (incident, by, comment) = (self.told[0].incident().to_owned(), "ann".to_owned(), String::new());
        self.give(Input::IncidentAsked { incident, action, by, comment, at: at(seconds) }, seconds);
    }

    fn state(&self) -> IncidentState {
        self.engine.incidents().get(self.told[0].incident()).unwrap().incident.state
    }
}

#[test]
fn what_was_mitigated_is_reopened_by_a_further_signal_and_not_by_an_earlier_one() {
    let rules = "lateness: 20s\nrules: { r: { match: [a=b], resolve: { quiet: 1h } } }";
    let mut world = World::with(rules).signals(every(1, 1, "a=b")).until(30);
    world.ask(Asked::Mitigate, 31);
    assert_eq!(world.state(), IncidentState::Mitigated);
    // It happened before, and was told late.
    world.give(Input::SignalTaken(signal(25, "late", "a=b")), 32);
    let world = world.until(60);
    assert_eq!(
        (&world.story()[1..], world.state()),
        (&["31 mitigated by ann".into(), "25 grew to 2".into()][..], IncidentState::Mitigated)
    );
    let world = world.signals([signal(70, "again", "a=b")]).until(100);
    assert!(world.story().contains(&"70 reopened: Returned".to_owned()), "{:?}", world.story());
    assert_eq!((world.state(), world.until(9_000).state()), (IncidentState::Open, IncidentState::Resolved));
}

#[test]
fn what_was_reopened_goes_on_and_ends_by_itself() {
    let rules = "rules: { r: { match: [a=b], group_by: [h], window: { sliding: 60s } } }";
    let mut world = World::with(rules).signals(every(1, 1, "a=b h=x")).until(20);
    world.ask(Asked::Resolve, 30);
    world.ask(Asked::Reopen, 40);
    assert_eq!(world.story()[1..], ["30 over: Asked", "40 reopened: Asked"]);
    let world = world.signals([signal(45, "2", "a=b h=x"), signal(46, "3", "a=b h=x")]).until(500);
    assert_eq!(world.story().last().unwrap(), "106 over: Quiet", "{:?}", world.story());
    assert_eq!(world.engine.incidents().iter().count(), 1, "its signals were its own");
}

#[test]
fn what_has_a_successor_stays_over() {
    let rules = "rules: { r: { match: [a=b], window: { sliding: 60s } } }";
    let mut world = World::with(rules).signals([signal(0, "1", "a=b"), signal(300, "2", "a=b")]).until(320);
    assert_eq!(world.engine.incidents().open().count(), 1);
    world.ask(Asked::Reopen, 330);
    assert_eq!((world.state(), world.told.len()), (IncidentState::Resolved, 3));
    world.rules("rules: { s: { match: [a=b] } }");
    world.ask(Asked::Reopen, 340);
    assert_eq!(world.state(), IncidentState::Resolved, "its rule is gone");
}

const CHAIN: &str = "lateness: 60s\nservices: { shop: [pay], pay: [db] }\n\
     rules: { r: { match: [a=b], near: { hops: 1, merge: true } } }";

fn hits(services: &[&str]) -> Vec<Signal> {
    (1..).zip(services).map(|(n, service)| signal(n, &n.to_string(), &format!("a=b service={service}"))).collect()
}

#[test]
fn incidents_that_a_signal_connects_become_one() {
    let world = World::with(CHAIN).given_at(hits(&["shop", "db", "mail", "pay"]), 100).until(200);
    let story = world.story();
    assert_eq!(story.iter().filter(|line| line.contains("opened")).count(), 3, "{story:?}");
    assert_eq!(story[3..], ["4 merged with 1", "4 grew to 2"]);
    let IncidentEvent::IncidentMerged { incident, into, reason, evidence, .. } = &world.told[3] else { panic!() };
    assert_eq!((into.as_str(), evidence[0].id.as_str()), (world.told[0].incident(), "4"));
    assert_eq!(reason, "service pay is within 1 dependencies of both");
    let merged = world.engine.incidents().get(incident).unwrap().incident.clone();
    assert_eq!((merged.state, merged.merged_into.as_ref()), (IncidentState::Merged, Some(into)));
    assert_eq!(world.engine.incidents().open().count(), 2);
    let into = into.clone();
    let world = world.until(9_000);
    let over = |event: &&IncidentEvent| matches!(event, IncidentEvent::IncidentResolved { .. });
    let ended: Vec<&str> = world.told.iter().filter(over).map(IncidentEvent::incident).collect();
    assert!(ended.len() == 2 && ended.contains(&into.as_str()), "what was merged does not end once more");
    world.accounted();
}

#[test]
fn groups_without_incidents_become_one_too_and_count_together() {
    let rules = CHAIN.replace("merge: true }", "merge: true }, open: { count: 3 }");
    let world = World::with(&rules).given_at(hits(&["shop", "db", "pay"]), 100).until(200);
    assert_eq!(world.story()[0], "3 m/r opened: 3 of 3 signals within 5m");
    let apart = rules.replace("merge: true", "merge: false");
    assert!(World::with(&apart).given_at(hits(&["shop", "db", "pay"]), 100).until(200).story().is_empty());
}

#[test]
fn merging_does_not_go_by_the_order_of_arrival() {
    let mut signals = hits(&["shop", "db", "mail", "pay", "db", "shop"]);
    let told = World::with(CHAIN).given_at(signals.clone(), 100).until(9_000).told;
    signals.reverse();
    assert_eq!(World::with(CHAIN).given_at(signals, 100).until(9_000).told, told);
}
