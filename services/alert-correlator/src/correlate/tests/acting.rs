//! Commands that are asked with what happens to incidents.

use super::*;

const RULES: &str = "
lateness: 60s
rules:
  down:
    match: [s=down]
    group_by: [host]
    window: { sliding: 60s }
    severity: page
    summary: '{labels.host} is down'
    actions:
      - { on: opened, command: ops.Restart, stream: \"'host-' + labels.host\", fields: { why: summary, signals: count } }
      - { on: opened, command: ops.Tell, stream: \"'duty-' + severity\", fields: { incident: incident } }
      - { on: resolved, command: ops.Watch, stream: \"'host-' + labels.host\" }
      - { on: acknowledged, command: ops.Thank, stream: \"'duty-1'\" }
      - { on: mitigated, command: ops.Thank, stream: \"'duty-2'\" }
      - { on: reopened, command: ops.Tell, stream: \"'duty-3'\", fields: { incident: incident } }
  site: { match: [s=site] }
inhibit: [{ source: ['rule=m/site'], target: ['rule=m/down'] }]
";

impl World {
    /// The actions in short.
    fn asked(&self) -> Vec<String> {
        let short = |action: &Action| {
            let (on, command, stream) = (action.on.name(), &action.command, &action.stream);
            let withheld = action.withheld.as_ref().map_or_else(String::new, |why| format!(": {why}"));
            format!("{on} {command} {stream}{withheld}")
        };
        self.actions.iter().map(short).collect()
    }
}

fn down(seconds: i64, host: &str) -> Signal {
    signal(seconds, &format!("{host}@{seconds}"), &format!("s=down host={host}"))
}

fn silence(text: &str, ends: i64) -> Input {
    let (name, value) = text.split_once('=').unwrap();
    let matcher = SilenceMatcher { name: name.into(), value: value.into(), is_regex: false, is_equal: true };
    Input::SilenceSet(Silence {
        id: "s1".into(),
        matchers: vec![matcher],
        starts_at: at(0),
        ends_at: at(ends),
        updated_at: at(0),
        created_by: "ann".into(),
        comment: String::new(),
    })
}

#[test]
fn commands_are_asked_once_with_the_event() {
    let world = World::with(RULES).signals([down(1, "a"), down(2, "a"), down(3, "a")]).until(200);
    assert_eq!(world.asked(), ["opened ops.Restart host-a", "opened ops.Tell duty-page", "resolved ops.Watch host-a"]);
    let restart = &world.actions[0];
    assert_eq!(restart.fields, serde_json::json!({ "why": "a is down", "signals": 1 }).as_object().unwrap().clone());
    let incident = world.told[0].incident();
    assert_eq!(world.actions[1].fields["incident"], incident);
    assert_eq!(world.engine.incidents().get(incident).unwrap().actions, world.actions, "they are kept with it");
    assert_eq!((world.engine.costs()["m/down"].actions, world.engine.costs().contains_key("m/site")), (3, false));
}

#[test]
fn what_people_say_asks_too() {
    let mut world = World::with(RULES).signals([down(1, "a")]).until(62);
    for (action, seconds) in
        [(Asked::Acknowledge, 63), (Asked::Mitigate, 64), (Asked::Reopen, 65), (Asked::Resolve, 66)]
    {
        world.ask(action, seconds);
    }
    let thanks = ["acknowledged ops.Thank duty-1", "mitigated ops.Thank duty-2", "reopened ops.Tell duty-3"];
    assert_eq!(world.asked()[2..5], thanks);
    assert_eq!(world.asked()[5..], ["resolved ops.Watch host-a"]);
}

#[test]
fn what_is_silenced_when_it_happens_is_withheld_and_says_so() {
    let mut world = World::with(RULES);
    world.give(silence("host=a", 100), 0);
    let world = world.signals([down(1, "a"), down(2, "b")]).until(80);
    let asked = world.asked();
    assert!(asked.contains(&"opened ops.Restart host-a: silenced by s1".to_owned()), "{asked:?}");
    assert!(asked.contains(&"opened ops.Restart host-b".to_owned()), "{asked:?}");
    let world = world.until(300);
    assert!(
        world.asked().contains(&"resolved ops.Watch host-a".to_owned()),
        "the silence is over: {:?}",
        world.asked()
    );
}

#[test]
fn what_is_inhibited_when_it_happens_is_withheld_whatever_came_in_one_go() {
    let first = |site: i64| {
        let world = World::with(RULES).given_at([down(10, "a"), signal(site, "x", "s=site")], 20).until(100);
        let inhibitor = world.told.iter().find(|event| event.incident() != world.actions_of());
        (world.asked()[0].clone(), inhibitor.unwrap().incident().to_owned())
    };
    let (asked, site) = first(9);
    assert_eq!(asked, format!("opened ops.Restart host-a: inhibited by incident {site}"));
    assert_eq!(first(11).0, "opened ops.Restart host-a", "what begins later does not count");
}

impl World {
    /// The incident that the actions tell of.
    fn actions_of(&self) -> &str {
        self.actions[1].fields["incident"].as_str().unwrap()
    }
}

#[test]
fn a_formula_that_fails_withholds_its_action_and_no_other() {
    let world = World::with(RULES).signals([signal(1, "1", "s=down")]).until(62);
    let asked = world.asked();
    assert!(asked[0].starts_with("opened ops.Restart : ") && asked[0].contains("labels.host"), "{asked:?}");
    assert_eq!(asked[1], "opened ops.Tell duty-page");
}

#[test]
fn a_rule_that_is_gone_asks_nothing() {
    let mut world = World::with(RULES).signals([down(1, "a")]).until(62);
    world.rules("rules: { site: { match: [s=site] } }");
    assert_eq!((world.told.len(), world.asked().len()), (2, 2));
}

#[test]
fn an_incident_remembers_its_latest_actions() {
    let mut world = World::with(RULES).signals([down(1, "a")]).until(62);
    for _ in 0..150 {
        world.ask(Asked::Mitigate, 63);
        world.ask(Asked::Reopen, 63);
    }
    let kept = &world.engine.incidents().get(world.told[0].incident()).unwrap().actions;
    assert_eq!((world.actions.len(), kept.len(), kept.last()), (302, 100, world.actions.last()));
}

/// Signals within the lateness, in an order that a number picks.
fn shuffled(mut signals: Vec<Signal>, seed: u64) -> Vec<Signal> {
    let mut chance = seed;
    for at in (1..signals.len()).rev() {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        signals.swap(at, usize::try_from(chance >> 33).unwrap() % (at + 1));
    }
    signals
}

#[test]
fn the_order_of_arrival_and_a_replay_change_nothing() {
    let hosts = ["a", "b", "c"];
    let mut signals: Vec<Signal> = (0..30).map(|n| down(n % 10 * 5, hosts[n as usize % 3])).collect();
    signals.extend([signal(12, "site-1", "s=site"), signal(48, "site-2", "s=site")]);
    let told = |signals: Vec<Signal>| {
        let mut world = World::with(RULES);
        world.give(silence("host=c", 1_000), 0);
        world.given_at(signals, 50).until(2_000)
    };
    let first = told(signals.clone());
    let withheld = first.actions.iter().filter(|action| action.withheld.is_some()).count();
    assert!(withheld > 0 && withheld < first.actions.len(), "{:?}", first.asked());
    for seed in 0..100 {
        let other = told(shuffled(signals.clone(), seed));
        assert_eq!((&first.told, &first.actions), (&other.told, &other.actions), "seed {seed}");
    }
}
