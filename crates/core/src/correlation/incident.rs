//! The incident: an aggregate whose events say by which rule and on what evidence.
//!
//! ```text
//!            IncidentOpened --> open --IncidentAcknowledged--> acknowledged
//!                                | IncidentGrew (any number)         |
//!                                +--------- IncidentResolved --------+--> resolved (final; the next one has another id)
//! ```

use serde::{Deserialize, Serialize};

use super::{Labels, Signal};
use crate::Timestamp;

/// Most signals that an incident keeps as evidence; all are counted.
pub const EVIDENCE_MAX: usize = 20;

/// A signal that led to a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The signal's id.
    pub id: String,
    /// Who told.
    pub source: String,
    /// When it happened.
    pub time: Timestamp,
    /// Its labels.
    pub labels: Labels,
}

impl From<&Signal> for Evidence {
    fn from(signal: &Signal) -> Self {
        Self { id: signal.id.clone(), source: signal.source.clone(), time: signal.time, labels: signal.labels.clone() }
    }
}

/// A decision that was not taken: what another rule made of the signal that opened the incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alternative {
    /// The other rule.
    pub rule: String,
    /// The group it put the signal into.
    pub group: Labels,
    /// What it found: `7 of 20 signals`.
    pub verdict: String,
}

/// A person's or the rule's reason to close an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// No further signal came for the time that the rule says.
    Quiet,
    /// The conditions that the rule waits for have ended.
    Ended,
    /// What was missing has come.
    Returned,
    /// It lasted for as long as the rule lets one incident last.
    Span,
    /// A person said so.
    Asked,
    /// The rule is not there any more.
    RuleGone,
}

/// What happened to an incident. The variants bear the names of the Avro records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum IncidentEvent {
    /// A rule's condition came true.
    IncidentOpened {
        /// The incident's id.
        incident: String,
        /// The rule.
        rule: String,
        /// Names the text of the rules that were in force.
        rules_version: String,
        /// The labels that its signals have in common.
        group: Labels,
        /// How bad it is, by the rule.
        severity: String,
        /// For people.
        summary: String,
        /// Event time of the decision.
        at: Timestamp,
        /// Time of the earliest signal of the evidence.
        began_at: Timestamp,
        /// Signals so far.
        count: i64,
        /// Why the condition is true: `20 of 20 signals within 3h`.
        reason: String,
        /// The signals, at most [`EVIDENCE_MAX`].
        evidence: Vec<Evidence>,
        /// What other rules made of the same signal.
        alternatives: Vec<Alternative>,
    },
    /// It has twice as many signals as when last told, or touches more services.
    IncidentGrew {
        /// The incident's id.
        incident: String,
        /// Signals so far.
        count: i64,
        /// Event time.
        at: Timestamp,
        /// The signal that made it grow.
        evidence: Vec<Evidence>,
    },
    /// A person looks after it.
    IncidentAcknowledged {
        /// The incident's id.
        incident: String,
        /// Who.
        by: String,
        /// What they said.
        comment: String,
        /// When.
        at: Timestamp,
    },
    /// It is over.
    IncidentResolved {
        /// The incident's id.
        incident: String,
        /// Signals in all.
        count: i64,
        /// Why.
        because: Ending,
        /// Who, if a person asked.
        by: Option<String>,
        /// What they said.
        comment: Option<String>,
        /// Event time.
        at: Timestamp,
        /// Time of the last signal.
        last_at: Timestamp,
    },
}

/// Where an incident is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IncidentState {
    /// Nobody has taken it.
    Open,
    /// Somebody looks after it.
    Acknowledged,
    /// It is over.
    Resolved,
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
}

impl IncidentEvent {
    /// The incident it belongs to.
    pub fn incident(&self) -> &str {
        match self {
            Self::IncidentOpened { incident, .. }
            | Self::IncidentGrew { incident, .. }
            | Self::IncidentAcknowledged { incident, .. }
            | Self::IncidentResolved { incident, .. } => incident,
        }
    }

    /// Its name, which is its Avro record's.
    pub fn name(&self) -> &'static str {
        match self {
            Self::IncidentOpened { .. } => "IncidentOpened",
            Self::IncidentGrew { .. } => "IncidentGrew",
            Self::IncidentAcknowledged { .. } => "IncidentAcknowledged",
            Self::IncidentResolved { .. } => "IncidentResolved",
        }
    }

    /// When it happened.
    pub fn at(&self) -> Timestamp {
        match self {
            Self::IncidentOpened { at, .. }
            | Self::IncidentGrew { at, .. }
            | Self::IncidentAcknowledged { at, .. }
            | Self::IncidentResolved { at, .. } => *at,
        }
    }
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
        })
    }

    /// The incident after a further event. What is over stays over.
    pub fn evolve(&mut self, event: &IncidentEvent) {
        if self.state == IncidentState::Resolved {
            return;
        }
        match event {
            IncidentEvent::IncidentOpened { .. } => {}
            IncidentEvent::IncidentGrew { count, at, .. } => {
                self.count = *count;
                self.updated_at = *at;
            }
            IncidentEvent::IncidentAcknowledged { by, at, .. } => {
                self.state = IncidentState::Acknowledged;
                self.acknowledged_by = Some(by.clone());
                self.updated_at = (*at).max(self.updated_at);
            }
            IncidentEvent::IncidentResolved { count, at, .. } => {
                self.state = IncidentState::Resolved;
                self.count = *count;
                self.resolved_at = Some(*at);
                self.updated_at = (*at).max(self.updated_at);
            }
        }
    }
}
