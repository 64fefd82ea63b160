//! Commands that rules ask when something happens to their incidents.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::IncidentEvent;

/// What happened to the incident. That it grew or was merged is no occasion: the one is told again and again, and after the
/// other another incident goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Occasion {
    /// It was opened.
    Opened,
    /// It is open again.
    Reopened,
    /// Somebody looks after it.
    Acknowledged,
    /// It does no harm any more.
    Mitigated,
    /// It is over.
    Resolved,
}

impl Occasion {
    /// Every occasion.
    pub const ALL: [Self; 5] = [Self::Opened, Self::Reopened, Self::Acknowledged, Self::Mitigated, Self::Resolved];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Reopened => "reopened",
            Self::Acknowledged => "acknowledged",
            Self::Mitigated => "mitigated",
            Self::Resolved => "resolved",
        }
    }

    /// The occasion that an event is, if it is one.
    pub fn of(event: &IncidentEvent) -> Option<Self> {
        match event {
            IncidentEvent::IncidentOpened { .. } => Some(Self::Opened),
            IncidentEvent::IncidentReopened { .. } => Some(Self::Reopened),
            IncidentEvent::IncidentAcknowledged { .. } => Some(Self::Acknowledged),
            IncidentEvent::IncidentMitigated { .. } => Some(Self::Mitigated),
            IncidentEvent::IncidentResolved { .. } => Some(Self::Resolved),
            IncidentEvent::IncidentGrew { .. } | IncidentEvent::IncidentMerged { .. } => None,
        }
    }
}

/// A command that is asked with an event of an incident, or why it is not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// What happened to the incident.
    pub on: Occasion,
    /// The command: `ops.RestartService`.
    pub command: String,
    /// The stream that it is for; empty if that could not be told.
    pub stream: String,
    /// Its fields, by name.
    pub fields: Map<String, Value>,
    /// Why it is not asked.
    pub withheld: Option<String>,
}
