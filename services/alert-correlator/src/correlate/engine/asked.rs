//! What people say of incidents.

use spina_core::Timestamp;
use spina_core::correlation::incident::{Ending, Reopening};
use spina_core::correlation::{Incident, IncidentEvent, IncidentState};

use super::Engine;
use crate::correlate::input::Asked;

impl Engine {
    /// Does what was asked for if the incident's state allows it; otherwise nothing happens.
    pub(super) fn asked(&mut self, incident: String, action: Asked, by: String, comment: String, at: Timestamp) {
        let Some(known) = self.incidents.get(&incident).map(|kept| kept.incident.clone()) else { return };
        if known.state.after(action.verb()).is_none() {
            return;
        }
        let event = match action {
            Asked::Acknowledge => IncidentEvent::IncidentAcknowledged { incident, by, comment, at },
            Asked::Mitigate => IncidentEvent::IncidentMitigated { incident, by, comment, at },
            Asked::Reopen => {
                if known.state == IncidentState::Resolved && !self.revive(&known, at) {
                    return;
                }
                let (by, comment, count) = (Some(by), Some(comment), known.count);
                IncidentEvent::IncidentReopened { incident, because: Reopening::Asked, count, by, comment, at }
            }
            Asked::Resolve => {
                self.domains.iter_mut().any(|domain| domain.close(&incident));
                let (count, last_at) = (known.count, known.updated_at);
                let (by, comment) = (Some(by), Some(comment));
                IncidentEvent::IncidentResolved { incident, count, because: Ending::Asked, by, comment, at, last_at }
            }
        };
        self.shared().tell(event);
    }

    /// Whether the incident's group has it again: its rule must be there.
    fn revive(&mut self, incident: &Incident, at: Timestamp) -> bool {
        let Some(number) = self.rules.numbers().find(|number| self.rules.get(*number).name == incident.rule) else {
            return false;
        };
        let source = &self.rules.get(number).sources[0].value;
        let Some(domain) = self.of_source.get(source) else { return false };
        self.domains[*domain].revive(number, &self.rules, incident, at)
    }
}
