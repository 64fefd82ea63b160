//! What happens to an incident, and why.

use serde::{Deserialize, Serialize};

use super::Move;
use crate::Timestamp;
use crate::correlation::{Labels, Signal};

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

/// Why an incident is open again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reopening {
    /// A person said so.
    Asked,
    /// It was mitigated, and a further signal came.
    Returned,
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
    /// Nobody suffers from it any more; its cause is still there.
    IncidentMitigated {
        /// The incident's id.
        incident: String,
        /// Who.
        by: String,
        /// What they said.
        comment: String,
        /// When.
        at: Timestamp,
    },
    /// It was mitigated or over, and is not.
    IncidentReopened {
        /// The incident's id.
        incident: String,
        /// Why.
        because: Reopening,
        /// Signals so far.
        count: i64,
        /// Who, if a person asked.
        by: Option<String>,
        /// What they said.
        comment: Option<String>,
        /// When, in event time unless a person asked.
        at: Timestamp,
    },
    /// It turned out to be part of another one, which goes on for both.
    IncidentMerged {
        /// The incident's id.
        incident: String,
        /// The one that goes on.
        into: String,
        /// Signals that it had.
        count: i64,
        /// What connects the two: `service pay is at most 1 hop from both`.
        reason: String,
        /// The signal that does.
        evidence: Vec<Evidence>,
        /// Event time.
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

impl IncidentEvent {
    /// The incident it belongs to.
    pub fn incident(&self) -> &str {
        match self {
            Self::IncidentOpened { incident, .. }
            | Self::IncidentGrew { incident, .. }
            | Self::IncidentAcknowledged { incident, .. }
            | Self::IncidentMitigated { incident, .. }
            | Self::IncidentReopened { incident, .. }
            | Self::IncidentMerged { incident, .. }
            | Self::IncidentResolved { incident, .. } => incident,
        }
    }

    /// Its name, which is its Avro record's.
    pub fn name(&self) -> &'static str {
        match self {
            Self::IncidentOpened { .. } => "IncidentOpened",
            Self::IncidentGrew { .. } => "IncidentGrew",
            Self::IncidentAcknowledged { .. } => "IncidentAcknowledged",
            Self::IncidentMitigated { .. } => "IncidentMitigated",
            Self::IncidentReopened { .. } => "IncidentReopened",
            Self::IncidentMerged { .. } => "IncidentMerged",
            Self::IncidentResolved { .. } => "IncidentResolved",
        }
    }

    /// When it happened.
    pub fn at(&self) -> Timestamp {
        match self {
            Self::IncidentOpened { at, .. }
            | Self::IncidentGrew { at, .. }
            | Self::IncidentAcknowledged { at, .. }
            | Self::IncidentMitigated { at, .. }
            | Self::IncidentReopened { at, .. }
            | Self::IncidentMerged { at, .. }
            | Self::IncidentResolved { at, .. } => *at,
        }
    }

    /// The verb that it is the past of; `None`: it begins an incident.
    pub fn verb(&self) -> Option<Move> {
        match self {
            Self::IncidentOpened { .. } => None,
            Self::IncidentGrew { .. } => Some(Move::Grow),
            Self::IncidentAcknowledged { .. } => Some(Move::Acknowledge),
            Self::IncidentMitigated { .. } => Some(Move::Mitigate),
            Self::IncidentReopened { .. } => Some(Move::Reopen),
            Self::IncidentMerged { .. } => Some(Move::Merge),
            Self::IncidentResolved { .. } => Some(Move::Resolve),
        }
    }
}
