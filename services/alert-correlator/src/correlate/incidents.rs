//! All incidents that are open, and the latest that are not.

use std::collections::{BTreeMap, VecDeque};

use spina_core::Timestamp;
use spina_core::correlation::{Action, Incident, IncidentEvent, IncidentState, Labels};

/// Incidents that are over and still remembered.
const OVER_MAX: usize = 10_000;
/// Events remembered of one incident.
const EVENTS_MAX: usize = 200;
/// Actions remembered of one incident: the latest.
const ACTIONS_MAX: usize = 100;

/// An incident and what happened to it.
#[derive(Debug, Clone)]
pub struct Kept {
    /// As its events left it.
    pub incident: Incident,
    /// Its events, in order.
    pub events: Vec<IncidentEvent>,
    /// What was asked with them, or withheld, in order.
    pub actions: Vec<Action>,
}

/// See the [module](self).
#[derive(Debug, Clone, Default)]
pub struct Incidents {
    all: BTreeMap<String, Kept>,
    over: VecDeque<String>,
    /// Those that are mitigated, and since when: few, and asked for with every signal.
    mitigated: BTreeMap<String, Timestamp>,
}

impl Incidents {
    /// Folds an event.
    pub fn fold(&mut self, event: &IncidentEvent) {
        if let Some(incident) = Incident::opened(event) {
            let id = incident.id.clone();
            self.all.insert(id, Kept { incident, events: vec![event.clone()], actions: Vec::new() });
            return;
        }
        let Some(kept) = self.all.get_mut(event.incident()) else { return };
        let before = kept.incident.state;
        kept.incident.evolve(event);
        let after = kept.incident.state;
        if kept.events.len() < EVENTS_MAX || after != before {
            kept.events.push(event.clone());
        }
        self.note(event, before, after);
        while self.over.len() > OVER_MAX {
            let oldest = self.over.pop_front();
            oldest.map(|id| self.all.remove(&id));
        }
    }

    /// Remembers what was asked for an incident.
    pub fn keep(&mut self, id: &str, actions: &[Action]) {
        let Some(kept) = self.all.get_mut(id) else { return };
        kept.actions.extend_from_slice(actions);
        let beyond = kept.actions.len().saturating_sub(ACTIONS_MAX);
        kept.actions.drain(..beyond);
    }

    fn note(&mut self, event: &IncidentEvent, before: IncidentState, after: IncidentState) {
        let id = event.incident();
        match (before.is_over(), after.is_over()) {
            (false, true) => self.over.push_back(id.to_owned()),
            (true, false) => self.over.retain(|known| known != id),
            (true, true) | (false, false) => {}
        }
        if after == IncidentState::Mitigated {
            self.mitigated.insert(id.to_owned(), event.at());
        } else if before == IncidentState::Mitigated {
            self.mitigated.remove(id);
        }
    }

    /// Since when the incident does no harm, if it is mitigated.
    pub fn mitigated_at(&self, id: &str) -> Option<Timestamp> {
        self.mitigated.get(id).copied()
    }

    /// The incident of that id.
    pub fn get(&self, id: &str) -> Option<&Kept> {
        self.all.get(id)
    }

    /// All of them, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Kept> {
        self.all.values()
    }

    /// Those that are not over, by id.
    pub fn open(&self) -> impl Iterator<Item = &Incident> {
        self.all.values().map(|kept| &kept.incident).filter(|incident| !incident.state.is_over())
    }
}

/// What an incident is known by to silences, inhibitions and routes: its group's labels and its rule; and its severity and
/// the rule's own name as `alertname`, unless its group has such labels.
pub fn labels_of(incident: &Incident) -> Labels {
    let short = incident.rule.rsplit('/').next().unwrap_or(&incident.rule);
    let own = [("severity", incident.severity.as_str()), ("alertname", short)].into_iter();
    let told = own.chain(incident.group.iter()).chain([("rule", incident.rule.as_str())]);
    told.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
