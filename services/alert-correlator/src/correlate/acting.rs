//! Which commands are asked with an event: by the rules that are in force and what mutes when it is told.

use spina_core::correlation::{Action, IncidentEvent, Occasion};
use spina_rules::correlation::matches_all;

use super::domain::Shared;
use super::incidents::labels_of;
use super::silence::{Muted, Muting};

/// An event of an incident, and the commands that are asked with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// What happened.
    pub event: IncidentEvent,
    /// What the rule asks then, in the order of the file.
    pub actions: Vec<Action>,
}

impl Shared<'_> {
    /// The actions of an event that was folded.
    pub(super) fn actions(&mut self, event: &IncidentEvent) -> Vec<Action> {
        let Some(on) = Occasion::of(event) else { return Vec::new() };
        let Some(incident) = self.incidents.get(event.incident()).map(|kept| &kept.incident) else { return Vec::new() };
        let rules = &self.rules.set;
        let mut actions = rules.rule(&incident.rule).map(|rule| rule.actions(on, incident)).unwrap_or_default();
        if actions.is_empty() {
            return actions;
        }
        let labels = labels_of(incident);
        let inhibitions = rules.files.iter().flat_map(|file| &file.inhibit);
        let ours = inhibitions.filter(|inhibition| matches_all(&inhibition.target, &labels));
        let muted = why(Muting::by(ours, self.silences, self.incidents, self.now).of(&labels));
        for action in &mut actions {
            action.withheld = muted.clone().or(action.withheld.take());
        }
        self.costs.entry(incident.rule.clone()).or_default().actions += actions.len() as u64;
        self.incidents.keep(event.incident(), &actions);
        actions
    }
}

/// Why something is not asked that is muted.
fn why(muted: Muted) -> Option<String> {
    let silenced = muted.silenced_by.first().map(|id| format!("silenced by {id}"));
    silenced.or_else(|| muted.inhibited_by.first().map(|id| format!("inhibited by incident {id}")))
}
