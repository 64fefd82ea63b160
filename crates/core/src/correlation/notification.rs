//! Notifications: what a receiver is told of a group of incidents, and when.
//!
//! ```text
//! first incident --wait--> flush --interval--> flush --interval--> ...
//!                            |  something changed, or `repeat` has passed since the receiver was told?
//!                            +--> Notification --sent--> delivered | given up
//! ```
//!
//! [`Telling`] is a pure machine of one group; time and what is muted are arguments. A flush finds out everything anew, so
//! what was muted is told as soon as it is not, and a receiver that was out of reach is told again at the next flush.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Labels;
use crate::Timestamp;

/// Most incidents that a notification names; the others are counted.
pub const NOTICES_MAX: usize = 100;

/// What is told of one incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The incident's id.
    pub incident: String,
    /// What it is known by: its group's labels, rule, severity and name.
    pub labels: Labels,
    /// For people.
    pub summary: String,
    /// Time of its first signal.
    pub began_at: Timestamp,
    /// When it was over; `None` while it is not.
    pub resolved_at: Option<Timestamp>,
    /// Signals, as last told.
    pub count: i64,
}

/// A decision to tell a receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// Its id: stays the same however often it is sent.
    pub notification: String,
    /// Who is told.
    pub receiver: String,
    /// The labels that its incidents have in common.
    pub group: Labels,
    /// When it was decided, by the clock.
    pub at: Timestamp,
    /// Whether nothing changed since the receiver was told.
    pub again: bool,
    /// The incidents, at most [`NOTICES_MAX`]: those that are not over first.
    pub notices: Vec<Notice>,
    /// Incidents that are not named.
    pub omitted: i64,
}

impl Notification {
    /// Whether any of its incidents is not over.
    pub fn is_firing(&self) -> bool {
        self.notices.iter().any(|notice| notice.resolved_at.is_none())
    }
}

/// The timers of a route, in microseconds, and whether its receiver wants to hear of endings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// From the first incident of a group to its first notification.
    pub wait: i64,
    /// From one flush to the next.
    pub interval: i64,
    /// From a notification to the next if nothing changes.
    pub repeat: i64,
    /// Whether endings are told.
    pub send_resolved: bool,
}

/// Whether the receiver knows of an incident as one that is not over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Known {
    /// It was never told.
    No,
    /// It was told, and gave no good answer.
    Perhaps,
    /// It was told.
    Yes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Member {
    over: bool,
    known: Known,
}

/// What a flush leads to, by incident.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Flushed {
    /// Not over.
    pub firing: Vec<String>,
    /// Over, and told as not over before.
    pub resolved: Vec<String>,
    /// Whether nothing changed since the receiver was told.
    pub again: bool,
}

/// The incidents of one group of one route, and what their receiver knows of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telling {
    members: BTreeMap<String, Member>,
    told_at: Option<Timestamp>,
    on_its_way: Option<(String, Flushed)>,
    due: Timestamp,
}

impl Telling {
    /// A group whose first incident comes now.
    pub fn new(now: Timestamp, timing: Timing) -> Self {
        Self { members: BTreeMap::new(), told_at: None, on_its_way: None, due: after(now, timing.wait) }
    }

    /// When it is to be flushed.
    pub fn due(&self) -> Timestamp {
        self.due
    }

    /// Whether there is nothing left to tell.
    pub fn is_done(&self) -> bool {
        self.members.is_empty() && self.on_its_way.is_none()
    }

    /// The incidents in it.
    pub fn members(&self) -> impl Iterator<Item = &str> {
        self.members.keys().map(String::as_str)
    }

    /// An incident opened.
    pub fn open(&mut self, incident: &str) {
        self.members.insert(incident.to_owned(), Member { over: false, known: Known::No });
    }

    /// An incident in it is not over after all.
    pub fn reopen(&mut self, incident: &str) {
        if let Some(member) = self.members.get_mut(incident) {
            member.over = false;
        }
    }

    /// Whether the incident is in it.
    pub fn has(&self, incident: &str) -> bool {
        self.members.contains_key(incident)
    }

    /// An incident is over.
    pub fn over(&mut self, incident: &str, timing: Timing) {
        let Some(mut member) = self.members.remove(incident) else { return };
        member.over = true;
        if self.is_wanted(incident, member, timing) {
            self.members.insert(incident.to_owned(), member);
        }
    }

    /// An incident is not known any more.
    pub fn forget(&mut self, incident: &str) {
        self.members.remove(incident);
    }

    /// Finds out what is to be told now. Call it when it is due; it is due again an interval later.
    pub fn flush(&mut self, now: Timestamp, timing: Timing, is_muted: impl Fn(&str) -> bool) -> Option<Flushed> {
        self.due = after(now, timing.interval);
        if self.on_its_way.is_some() {
            return None;
        }
        let audible: Vec<(&String, &Member)> =
            self.members.iter().filter(|(incident, _)| !is_muted(incident)).collect();
        let firing = || audible.iter().filter(|(_, member)| !member.over);
        let resolved = || audible.iter().filter(|(_, member)| member.over);
        let changed = firing().any(|(_, member)| member.known != Known::Yes) || resolved().next().is_some();
        let stale = self.told_at.is_some_and(|told_at| after(told_at, timing.repeat) <= now);
        let again = !changed && stale && firing().next().is_some();
        (changed || again).then(|| Flushed {
            firing: firing().map(|(incident, _)| (*incident).clone()).collect(),
            resolved: resolved().map(|(incident, _)| (*incident).clone()).collect(),
            again,
        })
    }

    /// What the last flush found is on its way under that id.
    pub fn sent(&mut self, id: String, flushed: Flushed) {
        self.on_its_way = Some((id, flushed));
    }

    /// What became of a notification.
    pub fn ended(&mut self, id: &str, delivered: bool, now: Timestamp, timing: Timing) {
        let Some((_, flushed)) = self.on_its_way.take_if(|(sent, _)| sent == id) else { return };
        if delivered {
            self.told_at = Some(now);
        }
        for incident in &flushed.resolved {
            if delivered && self.members.get(incident).is_some_and(|member| member.over) {
                self.members.remove(incident);
            } else if let Some(member) = self.members.get_mut(incident) {
                // If it was reopened meanwhile, the receiver does not know.
                member.known = if delivered { Known::No } else { Known::Perhaps };
            }
        }
        let known = if delivered { Known::Yes } else { Known::Perhaps };
        for incident in &flushed.firing {
            if let Some(member) = self.members.get_mut(incident) {
                member.known = member.known.max(known);
            }
        }
        self.tidy(timing);
    }

    /// Takes over what the receiver knows of an incident from the group that it was in before routes changed; and what is
    /// on its way, if it is the same group. Otherwise the receiver may know what is on its way.
    pub fn inherit(&mut self, incident: &str, from: &Self, is_same: bool) {
        let Some(mut member) = from.members.get(incident).copied() else { return };
        if let Some((_, flushed)) = from.on_its_way.as_ref().filter(|_| !is_same) {
            if flushed.names(incident) {
                member.known = member.known.max(Known::Perhaps);
            } else if flushed.resolved.iter().any(|known| known == incident) {
                member.known = Known::Perhaps;
            }
        }
        self.members.insert(incident.to_owned(), member);
        self.told_at = self.told_at.max(from.told_at);
        self.due = self.due.min(from.due);
        if is_same {
            self.on_its_way.clone_from(&from.on_its_way);
        }
    }

    fn tidy(&mut self, timing: Timing) {
        let mut members = std::mem::take(&mut self.members);
        members.retain(|incident, member| self.is_wanted(incident, *member, timing));
        self.members = members;
    }

    /// What is over and was never told need not be; what is on its way may have been.
    fn is_wanted(&self, incident: &str, member: Member, timing: Timing) -> bool {
        let sent = || self.on_its_way.as_ref().is_some_and(|(_, flushed)| flushed.names(incident));
        !member.over || (timing.send_resolved && (member.known != Known::No || sent()))
    }
}

impl Flushed {
    /// Whether it tells of the incident as one that is not over.
    fn names(&self, incident: &str) -> bool {
        // By id, as the members are.
        self.firing.binary_search_by(|known| known.as_str().cmp(incident)).is_ok()
    }
}

fn after(time: Timestamp, micros: i64) -> Timestamp {
    Timestamp::from_micros(time.micros().saturating_add(micros)).unwrap_or(time)
}

#[cfg(test)]
mod tests;
