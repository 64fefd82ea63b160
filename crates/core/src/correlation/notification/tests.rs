//! One group's notifications as stories, and against a receiver that keeps books.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const SECOND: i64 = 1_000_000;
const TIMING: Timing =
    Timing { wait: 30 * SECOND, interval: 300 * SECOND, repeat: 3_600 * SECOND, send_resolved: true };

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * SECOND).unwrap()
}

/// A group and what its receiver was told, in short.
struct World {
    telling: Telling,
    told: Vec<String>,
    timing: Timing,
    now: i64,
}

impl World {
    fn new(timing: Timing) -> Self {
        Self { telling: Telling::new(at(0), timing), told: Vec::new(), timing, now: 0 }
    }

    /// Time passes in steps of ten seconds.
    fn until(&mut self, seconds: i64, muted: &[&str], delivered: bool) {
        while self.now < seconds {
            self.now += 10;
            let now = at(self.now);
            if self.telling.due() > now {
                continue;
            }
            let Some(flushed) = self.telling.flush(now, self.timing, |incident| muted.contains(&incident)) else {
                continue;
            };
            let (firing, resolved) = (flushed.firing.join("+"), flushed.resolved.join("+"));
            let again = if flushed.again { " again" } else { "" };
            self.told.push(format!("{} {firing}/{resolved}{again}", self.now));
            self.telling.sent("n".into(), flushed);
            self.telling.ended("n", delivered, now, self.timing);
        }
    }

    fn open(&mut self, incident: &str) {
        self.telling.open(incident);
    }

    fn over(&mut self, incident: &str) {
        self.telling.over(incident, self.timing);
    }
}

#[test]
fn a_group_waits_for_company_then_for_its_interval_and_repeats() {
    let mut world = World::new(TIMING);
    world.open("a");
    world.until(20, &[], true);
    world.open("b");
    world.until(100, &[], true);
    world.open("c");
    world.until(400, &[], true);
    world.over("a");
    world.until(8_000, &[], true);
    assert_eq!(world.told, ["30 a+b/", "330 a+b+c/", "630 b+c/a", "4230 b+c/ again", "7830 b+c/ again"]);
    world.over("b");
    world.over("c");
    world.until(9_000, &[], true);
    assert_eq!(world.told.last().unwrap(), "8130 /b+c");
    assert!(world.telling.is_done());
}

#[test]
fn what_is_muted_is_told_when_it_is_not_and_what_was_never_told_never_ends() {
    let mut world = World::new(TIMING);
    world.open("a");
    world.open("b");
    world.until(900, &["a"], true);
    world.over("b");
    world.until(1_300, &["a", "b"], true);
    assert_eq!(world.told, ["30 b/"], "a muted incident and a muted ending are not told");
    world.until(2_000, &[], true);
    assert_eq!(world.told[1..], ["1530 a/b"]);
    world.open("c");
    world.over("c");
    world.over("a");
    world.until(3_000, &[], true);
    assert_eq!(world.told[2..], ["2130 /a"]);
}

#[test]
fn a_receiver_out_of_reach_is_told_again_at_the_next_flush() {
    let mut world = World::new(TIMING);
    world.open("a");
    world.until(400, &[], false);
    world.over("a");
    world.until(900, &[], true);
    assert_eq!(world.told, ["30 a/", "330 a/", "630 /a"], "it may have been told, so its end is told");
    assert!(world.telling.is_done());
}

#[test]
fn a_receiver_that_does_not_ask_for_endings_is_told_none() {
    let mut world = World::new(Timing { send_resolved: false, ..TIMING });
    world.open("a");
    world.until(100, &[], true);
    world.over("a");
    assert!(world.telling.is_done());
}

#[test]
fn nothing_is_told_while_something_is_on_its_way() {
    let mut telling = Telling::new(at(0), TIMING);
    telling.open("a");
    let first = telling.flush(at(30), TIMING, |_| false).unwrap();
    telling.sent("n".into(), first);
    telling.open("b");
    telling.over("a", TIMING);
    assert_eq!(telling.flush(at(330), TIMING, |_| false), None);
    telling.ended("other", true, at(331), TIMING);
    assert_eq!(telling.flush(at(630), TIMING, |_| false), None, "the answer to another one is not the answer");
    telling.ended("n", true, at(631), TIMING);
    let next = telling.flush(at(930), TIMING, |_| false).unwrap();
    assert_eq!((next.firing, next.resolved), (vec!["b".to_owned()], vec!["a".to_owned()]));
}

#[derive(Debug, Clone)]
enum Step {
    Open(u8),
    Over(u8),
    Mute(u8),
    Unmute(u8),
    Pass(i64),
    Reach(bool),
    /// Routes change and lead to the same receiver.
    Inherit,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0_u8..6).prop_map(Step::Open),
        3 => (0_u8..6).prop_map(Step::Over),
        1 => (0_u8..6).prop_map(Step::Mute),
        1 => (0_u8..6).prop_map(Step::Unmute),
        4 => (1_i64..900).prop_map(Step::Pass),
        1 => any::<bool>().prop_map(Step::Reach),
        1 => Just(Step::Inherit),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever happens, in the end the receiver knows exactly what is open; it hears nothing that is muted, nothing again
    /// before its time, and no ending of what it does not know.
    #[test]
    fn the_receiver_knows_in_the_end_what_is_open(steps in proptest::collection::vec(step(), 0..60)) {
        let mut telling = Telling::new(at(0), TIMING);
        let (mut open, mut muted, mut knows) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let (mut now, mut reach, mut told_at) = (0, true, None::<i64>);
        let end = [Step::Reach(true), Step::Inherit, Step::Pass(2_000)];
        let end = (0..6).map(Step::Unmute).chain(end);
        for step in steps.into_iter().chain(end) {
            match step {
                Step::Open(n) => {
                    // An incident that is over does not come back.
                    let id = format!("{n}-{now}");
                    if open.insert(id.clone()) { telling.open(&id); }
                }
                Step::Over(n) => {
                    let of_n: Vec<String> = open.iter().filter(|id: &&String| id.starts_with(&n.to_string())).cloned().collect();
                    for id in of_n {
                        open.remove(&id);
                        telling.over(&id, TIMING);
                    }
                }
                Step::Mute(n) => _ = muted.insert(n),
                Step::Unmute(n) => _ = muted.remove(&n),
                Step::Reach(answer) => reach = answer,
                Step::Inherit => {
                    let before = telling.clone();
                    telling = Telling::new(at(now), TIMING);
                    before.members().for_each(|incident| telling.inherit(incident, &before, true));
                }
                Step::Pass(seconds) => for _ in 0..seconds {
                    now += 1;
                    if telling.due() > at(now) { continue; }
                    let is_muted = |id: &str| muted.iter().any(|n: &u8| id.starts_with(&n.to_string()));
                    let Some(flushed) = telling.flush(at(now), TIMING, is_muted) else { continue };
                    prop_assert!(!flushed.firing.iter().chain(&flushed.resolved).any(|id| is_muted(id)));
                    let news = flushed.firing.iter().any(|id| !knows.contains(id)) || !flushed.resolved.is_empty();
                    let stale = told_at.is_some_and(|told_at| told_at + TIMING.repeat / SECOND <= now);
                    prop_assert!(news || (flushed.again && stale), "{flushed:?} told {told_at:?} now {now}");
                    if reach {
                        told_at = Some(now);
                        knows.extend(flushed.firing.iter().cloned());
                        flushed.resolved.iter().for_each(|id| _ = knows.remove(id));
                    }
                    telling.sent("n".into(), flushed);
                    telling.ended("n", reach, at(now), TIMING);
                }
            }
        }
        prop_assert_eq!(knows, open);
        prop_assert!(telling.members().count() > 0 || telling.is_done());
    }
}
