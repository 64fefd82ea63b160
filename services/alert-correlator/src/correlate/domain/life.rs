//! What becomes of an incident besides growing and ending: it is merged with another, or reopened.

use spina_core::Timestamp;
use spina_core::correlation::incident::{Evidence, Reopening};
use spina_core::correlation::{Incident, IncidentEvent, Kind, Signal};
use spina_rules::correlation::Near;

use super::{Domain, Group, GroupId, Numbered, Shared};

impl Domain {
    /// Groups that a signal connects become one, and so do their incidents: the one that opened first goes on.
    pub(super) fn merge(
        &mut self,
        first: GroupId,
        others: Vec<GroupId>,
        (near, signal): (&Near, &Signal),
        time: Timestamp,
        shared: &mut Shared<'_>,
    ) -> GroupId {
        let mut all: Vec<GroupId> = std::iter::once(first).chain(others).collect();
        all.sort_by_cached_key(|id| {
            let open = self.groups.get(id).and_then(|group| group.open.as_ref());
            (open.is_none(), open.map(|open| (open.opened_at, open.incident.clone())), id.clone())
        });
        let home = all.remove(0);
        let evidence = vec![Evidence::from(signal)];
        let mut merged = false;
        for id in all {
            let Some(other) = self.groups.get(&id).cloned() else { continue };
            self.forget(&id);
            let Some(group) = self.groups.get_mut(&home) else { continue };
            let theirs = group.absorb(other);
            let (Some(theirs), Some(ours)) = (theirs, &group.open) else { continue };
            merged = true;
            let service = signal.labels.get(&near.label);
            shared.tell(IncidentEvent::IncidentMerged {
                incident: theirs.incident,
                into: ours.incident.clone(),
                count: theirs.count,
                reason: format!("{} {service} is within {} dependencies of both", near.label, near.hops),
                evidence: evidence.clone(),
                at: time,
            });
        }
        let open = self.groups.get(&home).and_then(|group| group.open.as_ref()).filter(|_| merged);
        if let Some(open) = open {
            let (incident, count) = (open.incident.clone(), open.count);
            shared.tell(IncidentEvent::IncidentGrew { incident, count, at: time, evidence });
        }
        home
    }

    /// A further signal of a mitigated incident: it was not mitigated well.
    pub(super) fn reopen_if_mitigated(
        &mut self,
        id: &GroupId,
        signal: &Signal,
        time: Timestamp,
        shared: &mut Shared<'_>,
    ) {
        let Some(open) = self.groups.get(id).and_then(|group| group.open.as_ref()) else { return };
        let since = shared.incidents.mitigated_at(&open.incident);
        if signal.kind == Kind::Resolved || since.is_none_or(|since| time <= since) {
            return;
        }
        let (incident, count) = (open.incident.clone(), open.count);
        let because = Reopening::Returned;
        shared.tell(IncidentEvent::IncidentReopened { incident, because, count, by: None, comment: None, at: time });
    }

    /// Puts an incident that was over back into its group, so that it can grow and end by itself. Not if that group has
    /// another one, or there is no room for it.
    pub fn revive(&mut self, number: usize, rules: &Numbered, incident: &Incident, at: Timestamp) -> bool {
        let rule = rules.get(number);
        let values: Vec<&str> = rule.group_by.iter().map(|label| incident.group.get(label)).collect();
        let mut id: GroupId = (number, values.join("\u{1f}"));
        let service = rule.near.as_ref().map(|near| incident.group.get(&near.label).to_owned());
        if let Some(service) = &service {
            id.1 = format!("{}\u{1e}{service}", id.1);
        }
        if !self.groups.contains_key(&id) {
            if self.kept.get(&number).is_some_and(|kept| *kept >= rule.groups_max) {
                return false;
            }
            let mut group = Group::new(incident.group.clone());
            group.services.extend(service);
            self.adopt(id.clone(), group, rules);
        }
        let event_time = self.watermark.and_then(Timestamp::from_micros).filter(|_| self.watermark != Some(i64::MAX));
        let Some(group) = self.groups.get_mut(&id).filter(|group| group.open.is_none()) else { return false };
        group.reopened(rule, incident.id.clone(), incident.count, event_time.unwrap_or(at));
        self.set_timer(&id, rules);
        true
    }
}
