//! Notifications of all groups: which incident belongs to which, which group is due, what is on its way.
//!
//! Part of the fold of the journal: the clock's readings flush groups, and what became of a notification comes back as a
//! record. So a restart knows who was told what, and what was decided and not sent yet is on its way again.

mod regroup;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use spina_core::Timestamp;
use spina_core::correlation::labels::digest;
use spina_core::correlation::notification::{Flushed, NOTICES_MAX, Telling, Timing};
use spina_core::correlation::{Incident, IncidentEvent, Labels, Notice, Notification};
use spina_rules::correlation::{Route, RuleSet, matches_all};

use super::incidents::{Incidents, labels_of};

/// Notifications that are over and still remembered; of those that were given up, as many again.
const OVER_MAX: usize = 1_000;

/// What became of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is on its way.
    Pending,
    /// The receiver has it.
    Delivered,
    /// The last attempt failed.
    Dead,
}

/// A notification and what became of it.
#[derive(Debug, Clone, Serialize)]
pub struct Delivery {
    /// What was decided.
    #[serde(flatten)]
    pub notification: Notification,
    /// What became of it.
    pub outcome: Outcome,
    /// How often it was sent, by the process that ended it.
    pub attempts: i64,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
}

/// How long it takes until a receiver that lost incidents is told again, should it not answer, in microseconds.
const LEFT_INTERVAL: i64 = 60_000_000;

/// Where a group's notifications go.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// Where the route of that number says.
    Route(usize),
    /// To a receiver whose incidents go elsewhere now: for it they are over.
    Left(String),
}

/// A group: its way, and the labels that its incidents have in common.
type Key = (Way, Labels);

/// How an attempt to deliver ended, as the journal has it.
#[derive(Debug, Clone)]
pub struct Ended {
    pub id: String,
    pub delivered: bool,
    pub attempts: i64,
    pub error: Option<String>,
    pub at: Timestamp,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub struct Notices {
    groups: BTreeMap<Key, Telling>,
    /// The group of each incident.
    places: BTreeMap<String, Key>,
    dues: BTreeSet<(Timestamp, Key)>,
    pending: BTreeMap<String, (Key, Notification)>,
    delivered: VecDeque<Delivery>,
    dead: VecDeque<Delivery>,
    /// How many were ever decided.
    decided: u64,
}

/// The routes of all files, in order.
pub fn routes(rules: &RuleSet) -> impl Iterator<Item = &Route> {
    rules.files.iter().flat_map(|file| &file.routes)
}

/// The route of something with those labels, if its receiver is to be told at all.
fn way<'r>(rules: &'r RuleSet, labels: &Labels) -> Option<(usize, &'r Route, Timing)> {
    let (number, route) = routes(rules).enumerate().find(|(_, route)| matches_all(&route.matchers, labels))?;
    let receiver = rules.receiver(&route.receiver)?;
    receiver.webhook.as_ref()?;
    Some((number, route, route.timing(receiver)))
}

/// A way, by the rules that are in force.
struct Told<'r> {
    receiver: &'r str,
    route: Option<&'r Route>,
    timing: Timing,
}

fn told_by<'r>(rules: &'r RuleSet, way: &Way) -> Option<Told<'r>> {
    match way {
        Way::Route(number) => {
            let route = routes(rules).nth(*number)?;
            let receiver = rules.receiver(&route.receiver)?;
            Some(Told { receiver: &receiver.name, route: Some(route), timing: route.timing(receiver) })
        }
        Way::Left(name) => {
            let receiver = rules.receiver(name).filter(|receiver| receiver.webhook.is_some())?;
            let (interval, send_resolved) = (LEFT_INTERVAL, receiver.send_resolved);
            let timing = Timing { wait: 0, interval, repeat: interval, send_resolved };
            Some(Told { receiver: &receiver.name, route: None, timing })
        }
    }
}

impl Notices {
    /// An incident opened or is over, by the clock's last reading.
    pub fn note(&mut self, event: &IncidentEvent, incidents: &Incidents, rules: &RuleSet, now: Timestamp) {
        match event {
            IncidentEvent::IncidentOpened { incident, .. } | IncidentEvent::IncidentReopened { incident, .. } => {
                self.begin(incident, incidents, rules, now);
            }
            IncidentEvent::IncidentResolved { incident, .. } | IncidentEvent::IncidentMerged { incident, .. } => {
                let Some(key) = self.places.get(incident).cloned() else { return };
                let Some(Told { timing, .. }) = told_by(rules, &key.0) else { return };
                let Some(telling) = self.groups.get_mut(&key) else { return };
                telling.over(incident, timing);
                if !telling.has(incident) {
                    self.places.remove(incident);
                }
                if telling.is_done() {
                    self.dues.remove(&(telling.due(), key.clone()));
                    self.groups.remove(&key);
                }
            }
            IncidentEvent::IncidentGrew { .. }
            | IncidentEvent::IncidentAcknowledged { .. }
            | IncidentEvent::IncidentMitigated { .. } => {}
        }
    }

    /// An incident is not over: it joins its group, unless it is there still.
    fn begin(&mut self, incident: &str, incidents: &Incidents, rules: &RuleSet, now: Timestamp) {
        let there = self.places.get(incident).and_then(|key| self.groups.get_mut(key));
        if let Some(telling) = there.filter(|telling| telling.has(incident)) {
            telling.reopen(incident);
            return;
        }
        let Some(kept) = incidents.get(incident) else { return };
        let labels = labels_of(&kept.incident);
        let Some((number, route, timing)) = way(rules, &labels) else { return };
        let key = (Way::Route(number), labels.only(&route.group_by));
        self.group(&key, now, timing).open(incident);
        self.places.insert(incident.to_owned(), key);
    }

    /// Flushes the groups that are due, and returns what is to be sent. `is_muted` knows silences and inhibitions.
    pub fn flush(
        &mut self,
        incidents: &Incidents,
        rules: &RuleSet,
        now: Timestamp,
        is_muted: impl Fn(&Incident) -> bool,
    ) -> Vec<Notification> {
        let mut told = Vec::new();
        while let Some((_, key)) = self.dues.first().filter(|(due, _)| *due <= now).cloned() {
            let found = told_by(rules, &key.0);
            let mut flushed = None;
            self.change(&key, |telling| {
                let lost: Vec<String> =
                    telling.members().filter(|id| incidents.get(id).is_none()).map(str::to_owned).collect();
                lost.iter().for_each(|id| telling.forget(id));
                let Some(told) = &found else { return };
                let quiet = |id: &str| incidents.get(id).is_none_or(|kept| is_muted(&kept.incident));
                let silent = told.route.is_some_and(|route| route.is_muted(now));
                flushed = telling.flush(now, told.timing, |id| silent || quiet(id));
            });
            let (Some(flushed), Some(Told { receiver, .. })) = (flushed, found) else { continue };
            self.decided += 1;
            let id = digest(&[receiver, &now.micros().to_string(), &self.decided.to_string()]);
            let notification = written(id.clone(), receiver, &key.1, &flushed, incidents, now);
            if let Some(telling) = self.groups.get_mut(&key) {
                telling.sent(id.clone(), flushed);
            }
            self.pending.insert(id, (key, notification.clone()));
            told.push(notification);
        }
        told
    }

    /// What became of a notification; one that is not on its way is over already.
    pub fn ended(&mut self, ended: Ended, rules: &RuleSet) {
        let Ended { id, delivered, attempts, error, at } = ended;
        let Some((key, notification)) = self.pending.remove(&id) else { return };
        if let Some(Told { timing, .. }) = told_by(rules, &key.0) {
            self.change(&key, |telling| telling.ended(&id, delivered, at, timing));
        }
        let outcome = if delivered { Outcome::Delivered } else { Outcome::Dead };
        let over = if delivered { &mut self.delivered } else { &mut self.dead };
        over.push_back(Delivery { notification, outcome, attempts, error, ended_at: Some(at) });
        while over.len() > OVER_MAX {
            over.pop_front();
        }
    }

    /// What was decided and is not over, in the order of its ids.
    pub fn pending(&self) -> impl Iterator<Item = &Notification> {
        self.pending.values().map(|(_, notification)| notification)
    }

    /// Notifications that are on their way, and the latest that are not.
    pub fn deliveries(&self) -> Vec<Delivery> {
        let pending = self.pending().map(|notification| Delivery {
            notification: notification.clone(),
            outcome: Outcome::Pending,
            attempts: 0,
            error: None,
            ended_at: None,
        });
        pending.chain(self.dead.iter().cloned()).chain(self.delivered.iter().cloned()).collect()
    }

    /// When a group is to be flushed next.
    pub fn due(&self) -> Option<Timestamp> {
        self.dues.first().map(|(due, _)| *due)
    }

    fn group(&mut self, key: &Key, now: Timestamp, timing: Timing) -> &mut Telling {
        if !self.groups.contains_key(key) {
            let telling = Telling::new(now, timing);
            self.dues.insert((telling.due(), key.clone()));
            self.groups.insert(key.clone(), telling);
        }
        self.groups.get_mut(key).expect("it was found or made")
    }

    fn change(&mut self, key: &Key, change: impl FnOnce(&mut Telling)) {
        let Some(telling) = self.groups.get_mut(key) else { return };
        self.dues.remove(&(telling.due(), key.clone()));
        let before: Vec<String> = telling.members().map(str::to_owned).collect();
        change(telling);
        let now_there: BTreeSet<&str> = telling.members().collect();
        for id in before.iter().filter(|id| !now_there.contains(id.as_str())) {
            if self.places.get(id) == Some(key) {
                self.places.remove(id);
            }
        }
        if telling.is_done() {
            self.groups.remove(key);
        } else {
            self.dues.insert((telling.due(), key.clone()));
        }
    }
}

/// What the receiver is told.
fn written(
    id: String,
    receiver: &str,
    group: &Labels,
    flushed: &Flushed,
    incidents: &Incidents,
    at: Timestamp,
) -> Notification {
    let told = flushed.firing.iter().chain(&flushed.resolved);
    let notices = told.clone().filter_map(|id| incidents.get(id)).take(NOTICES_MAX).map(|kept| Notice {
        incident: kept.incident.id.clone(),
        labels: labels_of(&kept.incident),
        summary: kept.incident.summary.clone(),
        began_at: kept.incident.began_at,
        // For a receiver that lost it, it is over.
        resolved_at: kept.incident.resolved_at.or_else(|| flushed.resolved.contains(&kept.incident.id).then_some(at)),
        count: kept.incident.count,
    });
    Notification {
        notification: id,
        receiver: receiver.to_owned(),
        group: group.clone(),
        at,
        again: flushed.again,
        notices: notices.collect(),
        omitted: i64::try_from(told.count().saturating_sub(NOTICES_MAX)).unwrap_or(i64::MAX),
    }
}

#[cfg(test)]
mod tests;
