//! Silences and what else mutes: who is not to be told of what, and for how long.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use spina_core::Timestamp;
use spina_core::correlation::Labels;
use spina_rules::correlation::{BadMatcher, Inhibit, Matcher, matches_all};

use super::incidents::{Incidents, labels_of};

/// A silence, as Alertmanager has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// Its id.
    pub id: String,
    /// What it is about: all must match.
    pub matchers: Vec<SilenceMatcher>,
    /// From when on.
    pub starts_at: Timestamp,
    /// Until when.
    pub ends_at: Timestamp,
    /// When it was made or last changed.
    pub updated_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// Why.
    pub comment: String,
}

/// A matcher in its parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SilenceMatcher {
    /// The label.
    pub name: String,
    /// What it is compared with.
    pub value: String,
    /// Whether the value is a regular expression.
    pub is_regex: bool,
    /// Whether it asks for what matches.
    pub is_equal: bool,
}

impl Silence {
    /// Its matchers, compiled.
    ///
    /// # Errors
    /// The first that cannot be used.
    pub fn compiled(&self) -> Result<Vec<Matcher>, BadMatcher> {
        self.matchers.iter().map(|m| Matcher::new(&m.name, &m.value, m.is_equal, m.is_regex)).collect()
    }

    /// Whether it is in force at that time.
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.starts_at <= now && now < self.ends_at
    }
}

/// A silence that can be asked.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// As it was given.
    pub silence: Silence,
    matchers: Vec<Matcher>,
}

impl Compiled {
    /// A silence whose matchers were checked when it was taken; one that cannot be used matches nothing.
    pub fn of(silence: Silence) -> Self {
        let matchers = silence.compiled().unwrap_or_default();
        Self { silence, matchers }
    }

    /// Whether it mutes what has those labels, at that time.
    pub fn mutes(&self, labels: &Labels, now: Timestamp) -> bool {
        self.silence.is_active(now)
            && !self.matchers.is_empty()
            && self.matchers.iter().all(|matcher| matcher.matches(labels))
    }
}

/// What mutes something, by id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Muted {
    /// Silences.
    pub silenced_by: Vec<String>,
    /// Open incidents.
    pub inhibited_by: Vec<String>,
}

/// Everything that mutes at one time.
#[derive(Debug)]
pub struct Muting<'e> {
    /// Silences in force.
    pub silences: Vec<&'e Compiled>,
    /// Open incidents that inhibit something: their ids, their labels, and by which inhibitions.
    pub inhibitors: Vec<(&'e str, Labels, Vec<&'e Inhibit>)>,
    /// That time.
    pub now: Timestamp,
}

impl<'e> Muting<'e> {
    /// What mutes at a time, by some inhibitions: found once for many.
    pub fn by(
        rules: impl Iterator<Item = &'e Inhibit>,
        silences: &'e BTreeMap<String, Compiled>,
        incidents: &'e Incidents,
        now: Timestamp,
    ) -> Self {
        let rules: Vec<&Inhibit> = rules.collect();
        let silences = silences.values().filter(|compiled| compiled.silence.is_active(now));
        let mut inhibitors = Vec::new();
        // Most incidents mute nothing.
        for incident in incidents.open().filter(|_| !rules.is_empty()) {
            let source = labels_of(incident);
            let ours: Vec<&Inhibit> = rules.iter().filter(|rule| matches_all(&rule.source, &source)).copied().collect();
            if !ours.is_empty() {
                inhibitors.push((incident.id.as_str(), source, ours));
            }
        }
        Self { silences: silences.collect(), inhibitors, now }
    }

    /// What of it mutes something with those labels.
    pub fn of(&self, labels: &Labels) -> Muted {
        let silences = self.silences.iter().filter(|compiled| compiled.mutes(labels, self.now));
        let mutes = |source: &Labels, rules: &[&Inhibit]| rules.iter().any(|rule| rule.mutes(source, labels));
        let inhibitors = self.inhibitors.iter().filter(|(_, source, rules)| mutes(source, rules));
        Muted {
            silenced_by: silences.map(|compiled| compiled.silence.id.clone()).collect(),
            inhibited_by: inhibitors.map(|(id, ..)| (*id).to_owned()).collect(),
        }
    }
}
