//! A plan: what has to be done, in order, and what stands against it.

use spina_rules::source::Problem;

use spina_rules::connectors::ConnectorState;

use super::connectors::DesiredConnector;
use super::desired::{Configs, DesiredSubject};
use super::evolution::Difference;

/// One step. Each can be repeated, so an apply that was interrupted is just run again.
#[derive(Debug, Clone)]
pub enum Action {
    /// Creates a topic.
    CreateTopic {
        /// Its name.
        name: String,
        /// Number of partitions, for ever.
        partitions: i32,
        /// Copies of each.
        replication: i16,
        /// Its configuration.
        configs: Configs,
    },
    /// Changes the configuration of a topic.
    AlterTopic {
        /// Its name.
        name: String,
        /// What changes.
        changes: Vec<ConfigChange>,
    },
    /// Registers the first schema of a subject and sets its compatibility.
    CreateSubject(DesiredSubject),
    /// Sets the compatibility of a subject.
    SetCompatibility {
        /// The subject.
        subject: String,
        /// The level it has, if it has one of its own.
        from: Option<String>,
        /// The level it gets.
        to: &'static str,
    },
    /// Registers a further schema of a subject.
    AddVersion {
        /// The subject.
        subject: DesiredSubject,
        /// Its number, if nobody else registers one meanwhile.
        version: u32,
        /// How it differs from the version before.
        differences: Vec<Difference>,
    },
    /// Creates a connector, in the state it is to have.
    CreateConnector(DesiredConnector),
    /// Gives a connector other settings.
    ChangeConnector {
        /// The connector.
        connector: DesiredConnector,
        /// What changes.
        changes: Vec<SettingChange>,
    },
    /// Starts the failed parts of a connector anew.
    RestartConnector {
        /// Its name.
        name: String,
        /// Why they failed.
        failures: Vec<String>,
    },
    /// Pauses, stops or resumes a connector.
    SetConnectorState {
        /// Its name.
        name: String,
        /// The state it has.
        from: ConnectorState,
        /// The state it gets.
        to: ConnectorState,
    },
}

/// A changed setting of a connector; it is removed where there is no new value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingChange {
    /// The key.
    pub key: String,
    /// The value it has.
    pub from: Option<String>,
    /// The value it gets.
    pub to: Option<String>,
}

/// A changed configuration value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigChange {
    /// The key.
    pub key: &'static str,
    /// The value it has, if the broker tells one.
    pub from: Option<String>,
    /// The value it gets.
    pub to: String,
}

/// What has to be done, and what stands against it.
#[derive(Debug, Default)]
pub struct Plan {
    /// The steps, in order.
    pub actions: Vec<Action>,
    /// Differences that no step mends: a person has to.
    pub drift: Vec<Problem>,
    /// What looks odd but does no harm.
    pub warnings: Vec<Problem>,
    /// Why nothing will be done. A plan with a problem must not be carried out.
    pub problems: Vec<Problem>,
}

/// How many things a plan adds and changes. Nothing is ever removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Topics, schemas and connectors to add.
    pub add: usize,
    /// Topics, subjects and connectors to change.
    pub change: usize,
}

impl Plan {
    /// Notes a problem, unless it is known: a schema under two subjects has the same one twice.
    pub fn refuse(&mut self, problem: Problem) {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// Puts problems, warnings and drift in the order of files and lines.
    pub fn sort(&mut self) {
        for list in [&mut self.problems, &mut self.warnings, &mut self.drift] {
            list.sort_by(|one, other| (&one.file, one.place).cmp(&(&other.file, other.place)));
            list.dedup();
        }
    }

    /// Whether the servers are as the files say.
    pub fn is_clean(&self) -> bool {
        self.actions.is_empty() && self.drift.is_empty() && self.problems.is_empty()
    }

    /// How many things the plan adds and changes.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for action in &self.actions {
            match action {
                Action::CreateTopic { .. }
                | Action::CreateSubject(_)
                | Action::AddVersion { .. }
                | Action::CreateConnector(_) => counts.add += 1,
                Action::AlterTopic { .. }
                | Action::SetCompatibility { .. }
                | Action::ChangeConnector { .. }
                | Action::RestartConnector { .. }
                | Action::SetConnectorState { .. } => counts.change += 1,
            }
        }
        counts
    }
}
