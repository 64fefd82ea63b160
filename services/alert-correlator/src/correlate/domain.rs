//! Sources that some rule looks at together, and one event time for them.
//!
//! ```text
//! signal --(by event time)--> waiting --watermark passes--> rules --> groups <-- timers (also in event time)
//! ```
//!
//! Signals and timers come up strictly in the order of event time, so rules need not think of disorder.

mod life;
mod places;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use spina_core::Timestamp;
use spina_core::correlation::incident::{Alternative, Ending};
use spina_core::correlation::labels::digest;
use spina_core::correlation::{IncidentEvent, Kind, Signal};
use spina_rules::correlation::{Rule, RuleSet};

use super::account::{Account, Limits, RuleAccount};
use super::acting::Decision;
use super::alerts::{Active, Actives};
use super::group::{Group, Turn};
use super::incidents::Incidents;
use super::index::Index;
use super::silence::Compiled;

/// The rules by number.
#[derive(Debug, Default)]
pub struct Numbered {
    /// The rules.
    pub set: RuleSet,
    places: Vec<(usize, usize)>,
}

impl Numbered {
    /// Numbers the rules of a set, in its order.
    pub fn of(set: RuleSet) -> Self {
        let files = set.files.iter().enumerate();
        let places = files.flat_map(|(file, rules)| (0..rules.rules.len()).map(move |rule| (file, rule))).collect();
        Self { set, places }
    }

    /// The rule of that number.
    pub fn get(&self, number: usize) -> &Rule {
        let (file, rule) = self.places[number];
        &self.set.files[file].rules[rule]
    }

    /// All numbers.
    pub fn numbers(&self) -> std::ops::Range<usize> {
        0..self.places.len()
    }
}

/// What domains share.
pub struct Shared<'e> {
    pub rules: &'e Numbered,
    pub limits: &'e Limits,
    pub silences: &'e BTreeMap<String, Compiled>,
    /// What the clock said last.
    pub now: Timestamp,
    pub account: &'e mut Account,
    pub costs: &'e mut BTreeMap<String, RuleAccount>,
    pub incidents: &'e mut Incidents,
    pub out: &'e mut Vec<Decision>,
}

impl Shared<'_> {
    /// Tells an event, and what is asked with it.
    pub fn tell(&mut self, event: IncidentEvent) {
        self.incidents.fold(&event);
        let actions = self.actions(&event);
        self.out.push(Decision { event, actions });
    }

    fn cost(&mut self, rule: usize) -> &mut RuleAccount {
        let name = &self.rules.get(rule).name;
        if !self.costs.contains_key(name) {
            self.costs.insert(name.clone(), RuleAccount::default());
        }
        self.costs.get_mut(name).expect("it was just put there")
    }
}

/// A signal's place in event time; the same observation has the same place.
pub type Moment = (Timestamp, Kind, String);
/// A group's rule and the values that it is told apart by.
pub type GroupId = (usize, String);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    Condition(String, u64),
    Group(GroupId),
}

/// See the [module](self).
#[derive(Debug, Default)]
pub struct Domain {
    pub sources: BTreeSet<String>,
    pub index: Index,
    pub waiting: BTreeMap<Moment, Signal>,
    pub actives: Actives,
    pub groups: HashMap<GroupId, Group>,
    /// Groups of one rule and the same labels that lie far from each other.
    near: HashMap<GroupId, Vec<GroupId>>,
    /// Groups of each rule.
    kept: HashMap<usize, usize>,
    pub timers: BTreeSet<(Timestamp, Due)>,
    /// Everything before this was decided, in microseconds.
    pub watermark: Option<i64>,
    candidates: Vec<usize>,
}

impl Domain {
    /// Sources, and the rules that look at them.
    pub fn of(sources: BTreeSet<String>, index: Index) -> Self {
        Self { sources, index, ..Self::default() }
    }

    /// Decides everything before the watermark.
    pub fn advance(&mut self, watermark: i64, shared: &mut Shared<'_>) {
        if self.watermark.is_some_and(|reached| reached >= watermark) {
            return;
        }
        loop {
            let timer = self.timers.first().map(|(time, _)| *time);
            let signal = self.waiting.first_key_value().map(|((time, ..), _)| *time);
            let timer_first = timer.is_some_and(|timer| signal.is_none_or(|signal| timer <= signal));
            let next = if timer_first { timer } else { signal };
            if next.is_none_or(|next| next.micros() >= watermark) {
                break;
            }
            if timer_first {
                let (time, due) = self.timers.pop_first().expect("it was just seen");
                self.pass(time, due, shared);
            } else if let Some(((time, ..), signal)) = self.waiting.pop_first() {
                self.decide(signal, time, shared);
            }
        }
        self.watermark = Some(watermark);
    }

    fn decide(&mut self, signal: Signal, time: Timestamp, shared: &mut Shared<'_>) {
        match signal.kind {
            Kind::Occurrence => {}
            Kind::Firing if self.is_active(&signal) => {
                // It came twice behind its time, and was let in twice.
                shared.account.duplicate += 1;
                return;
            }
            Kind::Firing if self.actives.len() >= shared.limits.conditions => {
                shared.account.shed += 1;
                return;
            }
            Kind::Firing => self.begin(&signal, time),
            Kind::Resolved => {
                let known = self.actives.remove(&(signal.source.clone(), signal.labels.fingerprint()));
                if known.is_none() {
                    shared.account.duplicate += 1;
                    return;
                }
            }
        }
        if self.correlate(&signal, time, shared) {
            shared.account.correlated += 1;
        } else {
            shared.account.unmatched += 1;
        }
    }

    fn is_active(&self, signal: &Signal) -> bool {
        let known = self.actives.get(&(signal.source.clone(), signal.labels.fingerprint()));
        known.is_some_and(|active| active.signal.id == signal.id)
    }

    /// A condition lasts until its end, or until it is told again.
    fn begin(&mut self, signal: &Signal, time: Timestamp) {
        let fingerprint = signal.labels.fingerprint();
        let expires = signal.ends_at.unwrap_or(time).max(time);
        let active = Active { signal: signal.clone(), expires, told_at: time };
        self.actives.insert((signal.source.clone(), fingerprint), active);
        self.timers.insert((expires, Due::Condition(signal.source.clone(), fingerprint)));
    }

    /// Shows the signal to the rules; whether one of them wanted it.
    fn correlate(&mut self, signal: &Signal, time: Timestamp, shared: &mut Shared<'_>) -> bool {
        let mut candidates = std::mem::take(&mut self.candidates);
        self.index.candidates(&signal.labels, &mut candidates);
        let mut taken: Vec<(GroupId, Turn)> = Vec::new();
        for number in &candidates {
            let rule = shared.rules.get(*number);
            match rule.matches(signal) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(_) => {
                    shared.cost(*number).failed += 1;
                    continue;
                }
            }
            let Some(id) = self.group_for(*number, rule, signal, time, shared) else { continue };
            let group = self.groups.get_mut(&id).expect("it was found or made");
            let turn = group.take(rule, signal, time);
            shared.cost(*number).matched += 1;
            taken.push((id, turn));
        }
        self.candidates = candidates;
        for at in 0..taken.len() {
            let (id, turn) = taken[at].clone();
            if !matches!(turn, Turn::Ends(_)) {
                self.reopen_if_mitigated(&id, signal, time, shared);
            }
            if turn == Turn::Opens {
                let others = taken.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, (id, _))| id);
                let alternatives = self.alternatives(others, shared.rules);
                self.open(&id, time, alternatives, shared);
            } else {
                self.turn(&id, turn, time, shared);
            }
            self.set_timer(&id, shared.rules);
        }
        !taken.is_empty()
    }

    fn alternatives<'t>(&self, others: impl Iterator<Item = &'t GroupId>, rules: &Numbered) -> Vec<Alternative> {
        let told = others.filter_map(|id| {
            let (group, rule) = (self.groups.get(id)?, rules.get(id.0));
            Some(Alternative { rule: rule.name.clone(), group: group.labels.clone(), verdict: group.verdict(rule) })
        });
        told.collect()
    }

    /// A timer came up.
    fn pass(&mut self, time: Timestamp, due: Due, shared: &mut Shared<'_>) {
        match due {
            Due::Condition(source, fingerprint) => self.expire(time, source, fingerprint, shared),
            Due::Group(id) => {
                let Some(group) = self.groups.get_mut(&id) else { return };
                // A timer that was set before the group went on is set anew and nothing else.
                if group.timer != Some(time) {
                    return;
                }
                group.timer = None;
                let rule = shared.rules.get(id.0);
                if group.due(rule).is_some_and(|due| due <= time) {
                    match group.pass(rule, time) {
                        Some(Turn::Opens) => self.open(&id, time, Vec::new(), shared),
                        Some(turn) => self.turn(&id, turn, time, shared),
                        None => return self.forget(&id),
                    }
                    if self.groups.get(&id).is_some_and(Group::is_spent) {
                        return self.forget(&id);
                    }
                }
                self.set_timer(&id, shared.rules);
            }
        }
    }

    /// A condition's end has come, unless it was told again.
    fn expire(&mut self, time: Timestamp, source: String, fingerprint: u64, shared: &mut Shared<'_>) {
        let key = (source, fingerprint);
        let Some(active) = self.actives.get(&key) else { return };
        if active.expires > time {
            self.timers.insert((active.expires, Due::Condition(key.0, key.1)));
            return;
        }
        let Some(active) = self.actives.remove(&key) else { return };
        let over = Signal { kind: Kind::Resolved, time, ..active.signal };
        self.correlate(&over, time, shared);
    }

    fn turn(&mut self, id: &GroupId, turn: Turn, time: Timestamp, shared: &mut Shared<'_>) {
        let Some(group) = self.groups.get_mut(id) else { return };
        let Some(open) = &group.open else { return };
        match turn {
            Turn::Nothing | Turn::Opens => {}
            Turn::Grew => {
                let evidence = group.evidence.back().cloned().into_iter().collect();
                let (incident, count) = (open.incident.clone(), open.count);
                shared.tell(IncidentEvent::IncidentGrew { incident, count, at: time, evidence });
            }
            Turn::Ends(because) => {
                let event = ended(open.incident.clone(), open.count, because, time, group.last());
                group.closed();
                shared.tell(event);
            }
        }
    }

    fn open(&mut self, id: &GroupId, time: Timestamp, alternatives: Vec<Alternative>, shared: &mut Shared<'_>) {
        let Some(group) = self.groups.get_mut(id) else { return };
        let rule = shared.rules.get(id.0);
        let incident = digest(&[&rule.name, &id.1, &time.micros().to_string()]);
        let reason = group.reason(rule);
        group.opened(rule, incident.clone(), time);
        let count = group.open.as_ref().map_or(0, |open| open.count);
        let evidence: Vec<_> = group.evidence.iter().cloned().collect();
        let began_at = evidence.iter().map(|signal| signal.time).min().unwrap_or(time);
        let event = IncidentEvent::IncidentOpened {
            incident,
            rule: rule.name.clone(),
            rules_version: shared.rules.set.version.clone(),
            group: group.labels.clone(),
            severity: rule.severity.clone(),
            summary: rule.summary(&group.labels, usize::try_from(count).unwrap_or(0)),
            at: time,
            began_at,
            count,
            reason,
            evidence,
            alternatives,
        };
        shared.cost(id.0).opened += 1;
        shared.tell(event);
    }

    fn set_timer(&mut self, id: &GroupId, rules: &Numbered) {
        let Some(group) = self.groups.get_mut(id) else { return };
        let Some(due) = group.due(rules.get(id.0)) else { return };
        // An earlier timer looks again when it comes up.
        if group.timer.is_none_or(|timer| timer > due) {
            group.timer = Some(due);
            self.timers.insert((due, Due::Group(id.clone())));
        }
    }

    /// Closes the group's incident because a person said so. Whether it was open here.
    pub fn close(&mut self, incident: &str) -> bool {
        let found = self.groups.values_mut().find(|g| g.open.as_ref().is_some_and(|open| open.incident == incident));
        found.map(Group::closed).is_some()
    }
}

/// The event of an incident that is over by itself.
pub fn ended(incident: String, count: i64, because: Ending, at: Timestamp, last_at: Timestamp) -> IncidentEvent {
    IncidentEvent::IncidentResolved { incident, count, because, by: None, comment: None, at, last_at }
}
