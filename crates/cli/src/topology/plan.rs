//! A plan: what has to be done, in order, and what stands against it.

use spina_rules::source::Problem;

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
    /// What looks odd but does no harm.
    pub warnings: Vec<Problem>,
    /// Why nothing will be done. A plan with a problem must not be carried out.
    pub problems: Vec<Problem>,
}

/// How many things a plan adds and changes. Nothing is ever removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Topics and schemas to add.
    pub add: usize,
    /// Topics and subjects to change.
    pub change: usize,
}

impl Plan {
    /// Notes a problem, unless it is known: a schema under two subjects has the same one twice.
    pub fn refuse(&mut self, problem: Problem) {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// Puts problems and warnings in the order of files and lines.
    pub fn sort(&mut self) {
        for list in [&mut self.problems, &mut self.warnings] {
            list.sort_by(|one, other| (&one.file, one.place).cmp(&(&other.file, other.place)));
            list.dedup();
        }
    }

    /// How many things the plan adds and changes.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for action in &self.actions {
            match action {
                Action::CreateTopic { .. } | Action::CreateSubject(_) | Action::AddVersion { .. } => counts.add += 1,
                Action::AlterTopic { .. } | Action::SetCompatibility { .. } => counts.change += 1,
            }
        }
        counts
    }
}
