//! Other routes: who is told of an incident from now on, and who is told that it is over for them.

use std::collections::BTreeMap;

use spina_core::Timestamp;
use spina_core::correlation::notification::Telling;
use spina_rules::correlation::RuleSet;

use super::{Key, Notices, Told, Way, routes, told_by, way};
use crate::correlate::incidents::{Incidents, labels_of};

impl Notices {
    /// Other rules are in force: incidents go to the groups where they belong now. A receiver that stays theirs still knows
    /// what it was told; one that is theirs no longer is told that they are over.
    pub fn regroup(&mut self, old: &RuleSet, incidents: &Incidents, rules: &RuleSet, now: Timestamp) {
        let before = std::mem::take(&mut self.groups);
        self.places.clear();
        let mut knowers: BTreeMap<String, Vec<&Key>> = BTreeMap::new();
        for (key, telling) in &before {
            telling.members().for_each(|id| knowers.entry(id.to_owned()).or_default().push(key));
        }
        incidents.open().for_each(|incident| _ = knowers.entry(incident.id.clone()).or_default());
        for (id, keys) in knowers {
            self.place(&id, &keys, &before, (old, rules), incidents, now);
        }
        self.dues = self.groups.iter().map(|(key, telling)| (telling.due(), key.clone())).collect();
    }

    fn place(
        &mut self,
        id: &str,
        keys: &[&Key],
        before: &BTreeMap<Key, Telling>,
        (old, rules): (&RuleSet, &RuleSet),
        incidents: &Incidents,
        now: Timestamp,
    ) {
        let Some(kept) = incidents.get(id) else { return };
        let is_over = kept.incident.state.is_over();
        let labels = labels_of(&kept.incident);
        let next = way(rules, &labels);
        let home =
            next.map(|(number, route, timing)| ((Way::Route(number), labels.only(&route.group_by)), route, timing));
        let mut stays = false;
        for key in keys {
            let Some(receiver) = receiver_of(old, &key.0) else { continue };
            let Some((home, _, timing)) = home.as_ref().filter(|(_, route, _)| route.receiver == receiver) else {
                self.leave(id, receiver, key, &before[*key], rules, now);
                continue;
            };
            let telling = self.groups.entry(home.clone()).or_insert_with(|| Telling::new(now, *timing));
            telling.inherit(id, &before[*key], key.1 == home.1);
            if !is_over {
                telling.reopen(id);
            }
            for (place, _) in self.pending.values_mut().filter(|(place, _)| place == *key && key.1 == home.1) {
                place.clone_from(home);
            }
            stays = true;
        }
        let Some((home, _, timing)) = home.filter(|_| stays || !is_over) else { return };
        if !stays {
            self.groups.entry(home.clone()).or_insert_with(|| Telling::new(now, timing)).open(id);
        }
        self.places.insert(id.to_owned(), home);
    }

    /// For a receiver that the incident does not go to any more, it is over.
    fn leave(&mut self, id: &str, receiver: &str, key: &Key, from: &Telling, rules: &RuleSet, now: Timestamp) {
        let left = (Way::Left(receiver.to_owned()), key.1.clone());
        let Some(Told { timing, .. }) = told_by(rules, &left.0) else { return };
        let telling = self.groups.entry(left.clone()).or_insert_with(|| Telling::new(now, timing));
        telling.inherit(id, from, *key == left);
        telling.over(id, timing);
        if telling.is_done() {
            self.groups.remove(&left);
        }
    }
}

/// Who the way led to by the rules before.
fn receiver_of<'k>(old: &'k RuleSet, way: &'k Way) -> Option<&'k str> {
    match way {
        Way::Route(number) => routes(old).nth(*number).map(|route| route.receiver.as_str()),
        Way::Left(receiver) => Some(receiver),
    }
}
