//! Which group a signal belongs to, and how many there may be.

use spina_core::Timestamp;
use spina_core::correlation::{Labels, Signal};
use spina_rules::correlation::Rule;

use super::{Domain, Group, GroupId, Numbered, Shared};

impl Domain {
    /// The group that the signal belongs to, made if need be. `None` if there is no room for another.
    pub(super) fn group_for(
        &mut self,
        number: usize,
        rule: &Rule,
        signal: &Signal,
        time: Timestamp,
        shared: &mut Shared<'_>,
    ) -> Option<GroupId> {
        let values: Vec<&str> = rule.group_by.iter().map(|label| signal.labels.get(label)).collect();
        let base: GroupId = (number, values.join("\u{1f}"));
        let Some(near) = &rule.near else {
            return self.ensure(base, rule, signal.labels.only(&rule.group_by), shared);
        };
        let service = signal.labels.get(&near.label).to_owned();
        let services = &shared.rules.set.services;
        let is_near = |id: &&GroupId| {
            let group = self.groups.get(*id);
            group.is_some_and(|group| group.services.iter().any(|known| services.is_near(known, &service, near.hops)))
        };
        let mut known = self.near.get(&base).into_iter().flatten().filter(is_near);
        let first = known.next().cloned();
        let others: Vec<GroupId> = if near.merge { known.cloned().collect() } else { Vec::new() };
        let id = match first {
            Some(first) if others.is_empty() => first,
            Some(first) => self.merge(first, others, (near, signal), time, shared),
            None => {
                let own: GroupId = (number, format!("{}\u{1e}{service}", base.1));
                let names: Vec<String> = rule.group_by.iter().chain([&near.label]).cloned().collect();
                let id = self.ensure(own, rule, signal.labels.only(&names), shared)?;
                self.near.entry(base).or_default().push(id.clone());
                id
            }
        };
        self.groups.get_mut(&id)?.services.insert(service);
        Some(id)
    }

    fn ensure(&mut self, id: GroupId, rule: &Rule, labels: Labels, shared: &mut Shared<'_>) -> Option<GroupId> {
        if self.groups.contains_key(&id) {
            return Some(id);
        }
        let kept = self.kept.entry(id.0).or_default();
        if *kept >= rule.groups_max {
            shared.cost(id.0).shed += 1;
            return None;
        }
        *kept += 1;
        self.groups.insert(id.clone(), Group::new(labels));
        Some(id)
    }

    pub(super) fn forget(&mut self, id: &GroupId) {
        if self.groups.remove(id).is_none() {
            return;
        }
        *self.kept.entry(id.0).or_default() -= 1;
        if let Some((base, _)) = id.1.split_once('\u{1e}') {
            let base = (id.0, base.to_owned());
            let left = self.near.get_mut(&base).map(|ids| {
                ids.retain(|known| known != id);
                ids.len()
            });
            if left == Some(0) {
                self.near.remove(&base);
            }
        }
    }

    /// Takes over a group from before the rules changed.
    pub fn adopt(&mut self, id: GroupId, group: Group, rules: &Numbered) {
        *self.kept.entry(id.0).or_default() += 1;
        if let Some((base, _)) = id.1.split_once('\u{1e}') {
            self.near.entry((id.0, base.to_owned())).or_default().push(id.clone());
        }
        self.groups.insert(id.clone(), group);
        self.set_timer(&id, rules);
    }
}
