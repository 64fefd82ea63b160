//! The platform's own conditions: what is looked at every so often, and from when on it is an alert.
//!
//! ```yaml
//! watch:
//!   HighErrorRate: { reads: error_rate, above: 0.01, for: 5m, severity: critical }
//! ```

use super::Span;
use super::compile::{Compiler, Map};
use crate::node::Node;
use crate::source::{Located, quote};

/// The context whose rules look at alerts: watches go there.
const ALERTS: &str = "monitoring";
/// Most watches of a file.
const WATCHES_MAX: usize = 50;
/// Longest name of an alert, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// What can be read of the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reading {
    /// The share of a service's answers that were 5xx, from one look to the next.
    ErrorRate,
    /// How long a service's answers took, in seconds: the mean from one look to the next.
    AnswerSeconds,
    /// How far a read model is behind its log, in records.
    LagRecords,
    /// Events that a model could not take.
    DeadLetters,
    /// Sagas that wait for a person.
    StuckSagas,
    /// How long a transaction of a partition has been open without a write, in seconds.
    OpenTransactionSeconds,
}

/// A condition of the platform.
#[derive(Debug, Clone, PartialEq)]
pub struct Watch {
    /// The alert's name.
    pub alert: String,
    /// What is read.
    pub reads: Reading,
    /// It is one while what is read is greater.
    pub above: f64,
    /// And has been for so long.
    pub lasts: Span,
    /// The alert's severity.
    pub severity: String,
}

impl Reading {
    /// All of them, with their names.
    pub const ALL: [(&str, Self); 6] = [
        ("error_rate", Self::ErrorRate),
        ("answer_seconds", Self::AnswerSeconds),
        ("lag_records", Self::LagRecords),
        ("dead_letters", Self::DeadLetters),
        ("stuck_sagas", Self::StuckSagas),
        ("open_transaction_seconds", Self::OpenTransactionSeconds),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, reading)| *reading == self).map_or("", |(name, _)| name)
    }
}

impl Compiler<'_> {
    pub(super) fn watches(&mut self, file: &Map) -> Vec<Watch> {
        let Some(node) = file.get("watch") else { return Vec::new() };
        let Some(entries) = self.reading.names(node, "watch") else { return Vec::new() };
        if self.context != ALERTS {
            let message = format!("watches become alerts: they go into {ALERTS}/correlation.yaml");
            self.reading.complain(node.place, message);
        }
        if entries.len() > WATCHES_MAX {
            self.reading.complain(node.place, format!("at most {WATCHES_MAX} watches are allowed"));
        }
        entries.iter().filter_map(|(name, node)| self.watch(name, node)).collect()
    }

    fn watch(&mut self, name: &Located<String>, node: &Located<Node>) -> Option<Watch> {
        let letters = name.value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !letters || !name.value.starts_with(|first: char| first.is_ascii_alphabetic()) || name.len() > NAME_BYTES_MAX
        {
            let rule = format!("letters, digits and underscores, a letter first, at most {NAME_BYTES_MAX}");
            self.reading.complain(name.place, format!("{} is not an alert's name: {rule}", quote(name)));
        }
        let entries = self.reading.mapping(node, "a watch", &["reads", "above", "for", "severity"])?;
        let Some(reads) = self.text_of(entries, "reads") else {
            if entries.get("reads").is_none() {
                self.reading.complain(node.place, format!("a watch needs reads: one of {}", names()));
            }
            return None;
        };
        let Some((_, reads)) = Reading::ALL.into_iter().find(|(known, _)| *known == reads.value) else {
            self.reading.complain(reads.place, format!("{} cannot be read: {}", quote(&reads), names()));
            return None;
        };
        let above = match entries.get("above").map(|node| (&node.value, node.place)) {
            None => 0.0,
            Some((Node::Int(number), _)) if (0..=1_000_000_000_000).contains(number) => *number as f64,
            Some((Node::Float(number), _)) if *number >= 0.0 && number.is_finite() => *number,
            Some((_, place)) => {
                self.reading.complain(place, "above must be a number from 0 on");
                return None;
            }
        };
        let lasts = entries.get("for").map_or(Some(0), |node| self.span(node, "for"))?;
        let severity = self.text_of(entries, "severity").map_or_else(|| "warning".to_owned(), |text| text.value);
        Some(Watch { alert: name.value.clone(), reads, above, lasts, severity })
    }
}

fn names() -> String {
    Reading::ALL.map(|(name, _)| name).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::correlation::{FileRules, compile};
    use crate::source::Source;

    fn load(text: &str, context: &str) -> Result<FileRules, String> {
        compile(&Source::new("c.yaml", text), context, None).map_err(|problems| problems.to_string())
    }

    #[test]
    fn watches_say_what_is_read_and_from_when_on_it_is_an_alert() {
        let text = "watch:\n  HighErrorRate: { reads: error_rate, above: 0.01, for: 5m, severity: critical }\n  \
                    StuckSagas: { reads: stuck_sagas }\n";
        let watches = load(text, "monitoring").unwrap().watches;
        let (rate, stuck) = (&watches[0], &watches[1]);
        assert_eq!((rate.alert.as_str(), rate.reads, rate.above), ("HighErrorRate", Reading::ErrorRate, 0.01));
        assert_eq!((rate.lasts, rate.severity.as_str()), (300_000_000, "critical"));
        assert_eq!((stuck.above, stuck.lasts, stuck.severity.as_str()), (0.0, 0, "warning"));
        assert!(Reading::ALL.iter().all(|(name, reading)| reading.name() == *name));
    }

    #[test]
    fn every_mistake_is_told_with_its_place() {
        for (text, place, word) in [
            ("watch: []", "1:8", "must be a mapping"),
            ("watch: { 1x: { reads: lag_records } }", "1:10", "not an alert's name"),
            ("watch: { A: {} }", "1:13", "needs reads: one of error_rate"),
            ("watch: { A: { reads: mood } }", "1:22", "`mood` cannot be read"),
            ("watch: { A: { reads: lag_records, above: many } }", "1:42", "must be a number"),
            ("watch: { A: { reads: lag_records, above: -1 } }", "1:42", "must be a number"),
            ("watch: { A: { reads: lag_records, for: long } }", "1:40", "span of time"),
            ("watch: { A: { reads: lag_records, until: 5m } }", "1:35", "no key `until`"),
        ] {
            let problems = load(text, "monitoring").err().unwrap_or_else(|| panic!("{text} was taken"));
            assert!(
                problems.starts_with(&format!("c.yaml:{place}: ")) && problems.contains(word),
                "{text}\n{problems}"
            );
        }
        let elsewhere = load("watch: { A: { reads: lag_records } }", "flights").unwrap_err();
        assert!(elsewhere.starts_with("c.yaml:1:8: ") && elsewhere.contains("monitoring/"), "{elsewhere}");
    }
}
