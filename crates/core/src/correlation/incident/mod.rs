//! The incident: an aggregate whose events say by which rule and on what evidence.
//!
//! ```text
//!                 +---- acknowledge ----> acknowledged
//! opened --> open-+                         | mitigate        resolve, from all three
//!            ^  ^ +------ mitigate ------> mitigated    ---------------------------------> resolved
//!            |  +---- reopen (also when a signal returns) --+      merge, from all three     |
//!            |                                              ---------------------------> merged (final)
//!            +-------------------------- reopen ----------------------------------------------+
//! ```

mod event;

use serde::{Deserialize, Serialize};

use super::Labels;
use crate::Timestamp;

pub use event::{Alternative, EVIDENCE_MAX, Ending, Evidence, IncidentEvent, Reopening};

/// Where an incident is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IncidentState {
    /// Nobody has taken it.
    Open,
    /// Somebody looks after it.
    Acknowledged,
    /// Nobody suffers from it any more; its cause is still there.
    Mitigated,
    /// It is over.
    Resolved,
    /// Another one goes on for it.
    Merged,
}

/// What can be done with an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// Further signals belong to it.
    Grow,
    /// Somebody looks after it.
    Acknowledge,
    /// It does no harm any more.
    Mitigate,
    /// It is not over after all.
    Reopen,
    /// Another one goes on for it.
    Merge,
    /// It is over.
    Resolve,
}

impl IncidentState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Open, Self::Acknowledged, Self::Mitigated, Self::Resolved, Self::Merged];

    /// Where a move leads; `None`: it is not a legal one.
    pub fn after(self, verb: Move) -> Option<Self> {
        match (self, verb) {
            (Self::Open | Self::Acknowledged | Self::Mitigated, Move::Grow) => Some(self),
            (Self::Open | Self::Acknowledged, Move::Acknowledge) => Some(Self::Acknowledged),
            (Self::Open | Self::Acknowledged, Move::Mitigate) => Some(Self::Mitigated),
            (Self::Mitigated | Self::Resolved, Move::Reopen) => Some(Self::Open),
            (Self::Open | Self::Acknowledged | Self::Mitigated, Move::Merge) => Some(Self::Merged),
            (Self::Open | Self::Acknowledged | Self::Mitigated, Move::Resolve) => Some(Self::Resolved),
            (Self::Open | Self::Acknowledged, Move::Reopen)
            | (Self::Mitigated, Move::Acknowledge | Move::Mitigate)
            | (Self::Resolved, Move::Grow | Move::Acknowledge | Move::Mitigate | Move::Merge | Move::Resolve)
            | (Self::Merged, _) => None,
        }
    }

    /// Whether nothing more is expected of it.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Resolved | Self::Merged)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Mitigated => "mitigated",
            Self::Resolved => "resolved",
            Self::Merged => "merged",
        }
    }
}

/// An incident as its events left it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Its id.
    pub id: String,
    /// Where it is in its life.
    pub state: IncidentState,
    /// The rule that opened it.
    pub rule: String,
    /// The rules' version.
    pub rules_version: String,
    /// What its signals have in common.
    pub group: Labels,
    /// How bad it is.
    pub severity: String,
    /// For people.
    pub summary: String,
    /// When the rule's condition came true, in event time.
    pub opened_at: Timestamp,
    /// Time of its first signal.
    pub began_at: Timestamp,
    /// Time of the last thing told of it.
    pub updated_at: Timestamp,
    /// When it was over.
    pub resolved_at: Option<Timestamp>,
    /// Signals, as last told.
    pub count: i64,
    /// Who looks after it.
    pub acknowledged_by: Option<String>,
    /// Since when it does no harm; `None` unless it is mitigated.
    pub mitigated_at: Option<Timestamp>,
    /// The one that goes on for it.
    pub merged_into: Option<String>,
}

impl Incident {
    /// The incident after its first event; `None` for any other event.
    pub fn opened(event: &IncidentEvent) -> Option<Self> {
        let IncidentEvent::IncidentOpened {
            incident,
            rule,
            rules_version,
            group,
            severity,
            summary,
            at,
            began_at,
            count,
            ..
        } = event
        else {
            return None;
        };
        Some(Self {
            id: incident.clone(),
            state: IncidentState::Open,
            rule: rule.clone(),
            rules_version: rules_version.clone(),
            group: group.clone(),
            severity: severity.clone(),
            summary: summary.clone(),
            opened_at: *at,
            began_at: *began_at,
            updated_at: *at,
            resolved_at: None,
            count: *count,
            acknowledged_by: None,
            mitigated_at: None,
            merged_into: None,
        })
    }

    /// The incident after a further event. What is no legal move changes nothing.
    pub fn evolve(&mut self, event: &IncidentEvent) {
        let Some(state) = event.verb().and_then(|verb| self.state.after(verb)) else { return };
        self.state = state;
        if state != IncidentState::Mitigated {
            self.mitigated_at = None;
        }
        match event {
            IncidentEvent::IncidentOpened { .. } => {}
            IncidentEvent::IncidentGrew { count, at, .. } => {
                self.count = *count;
                self.updated_at = *at;
            }
            IncidentEvent::IncidentAcknowledged { by, at, .. } => {
                self.acknowledged_by = Some(by.clone());
                self.updated_at = (*at).max(self.updated_at);
            }
            IncidentEvent::IncidentMitigated { at, .. } => {
                self.mitigated_at = Some(*at);
                self.updated_at = (*at).max(self.updated_at);
            }
            IncidentEvent::IncidentReopened { count, at, .. } => {
                self.count = *count;
                self.resolved_at = None;
                self.acknowledged_by = None;
                self.updated_at = (*at).max(self.updated_at);
            }
            IncidentEvent::IncidentMerged { into, count, at, .. } => {
                self.count = *count;
                self.merged_into = Some(into.clone());
                self.resolved_at = Some(*at);
                self.updated_at = (*at).max(self.updated_at);
            }
            IncidentEvent::IncidentResolved { count, at, .. } => {
                self.count = *count;
                self.resolved_at = Some(*at);
                self.updated_at = (*at).max(self.updated_at);
            }
        }
    }
}

#[cfg(test)]
mod tests;
