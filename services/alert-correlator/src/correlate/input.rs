//! What the journal holds: everything that the engine's decisions depend on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use spina_core::Timestamp;
use spina_core::correlation::Signal;
use spina_core::correlation::incident::Move;

use super::silence::Silence;

/// One record of the journal. The variants bear the names of the Avro records.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Input {
    /// A signal was told.
    SignalTaken(Signal),
    /// A part of a source has come that far without a signal.
    SourceAdvanced {
        /// The source.
        source: String,
        /// The part.
        part: u32,
        /// How far.
        time: Timestamp,
    },
    /// The clock was read.
    ClockTicked {
        /// What it said.
        now: Timestamp,
    },
    /// Other rules are in force from here on.
    RulesChanged {
        /// The text of each context's rules.
        files: BTreeMap<String, String>,
        /// Parts of each source.
        sources: BTreeMap<String, u32>,
    },
    /// A silence was made or changed.
    SilenceSet(Silence),
    /// A silence was ended.
    SilenceExpired {
        /// Its id.
        id: String,
        /// When.
        at: Timestamp,
    },
    /// A person said something of an incident.
    IncidentAsked {
        /// The incident.
        incident: String,
        /// What is to be done.
        action: Asked,
        /// Who said so.
        by: String,
        /// What else they said.
        comment: String,
        /// When.
        at: Timestamp,
    },
    /// A notification was delivered, or given up.
    NotificationEnded {
        /// Which.
        notification: String,
        /// Whether the receiver has it.
        delivered: bool,
        /// How often it was sent.
        attempts: i64,
        /// Why the last attempt failed.
        error: Option<String>,
        /// When.
        at: Timestamp,
    },
}

/// What a person can do with an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Asked {
    /// Look after it.
    Acknowledge,
    /// Declare it over.
    Resolve,
    /// Say that nobody suffers from it any more.
    Mitigate,
    /// Say that it is not over after all.
    Reopen,
}

impl Asked {
    /// What is done with the incident.
    pub fn verb(self) -> Move {
        match self {
            Self::Acknowledge => Move::Acknowledge,
            Self::Resolve => Move::Resolve,
            Self::Mitigate => Move::Mitigate,
            Self::Reopen => Move::Reopen,
        }
    }
}

impl Input {
    /// Its name, which is its Avro record's.
    pub fn name(&self) -> &'static str {
        match self {
            Self::SignalTaken(_) => "SignalTaken",
            Self::SourceAdvanced { .. } => "SourceAdvanced",
            Self::ClockTicked { .. } => "ClockTicked",
            Self::RulesChanged { .. } => "RulesChanged",
            Self::SilenceSet(_) => "SilenceSet",
            Self::SilenceExpired { .. } => "SilenceExpired",
            Self::IncidentAsked { .. } => "IncidentAsked",
            Self::NotificationEnded { .. } => "NotificationEnded",
        }
    }
}
