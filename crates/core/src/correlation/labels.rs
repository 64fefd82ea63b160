//! Labels: names and values that tell signals apart, always in the order of their names.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// Most labels of a signal.
pub const LABELS_MAX: usize = 64;
/// Longest name of a label, in bytes.
pub const LABEL_NAME_BYTES_MAX: usize = 128;
/// Longest value of a label or annotation, in bytes.
pub const LABEL_VALUE_BYTES_MAX: usize = 4096;

/// A set of labels. Empty values are the same as no label, as in Prometheus.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub struct Labels(Box<[(String, String)]>);

/// Labels that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadLabels {
    /// There is none.
    #[error("a signal needs at least one label")]
    None,
    /// There are too many.
    #[error("{0} labels: at most {LABELS_MAX} are taken")]
    Many(usize),
    /// A name that is not one.
    #[error(
        "`{0}` is not a label name: use letters, digits and underscores, at most {LABEL_NAME_BYTES_MAX}, no digit first"
    )]
    Name(String),
    /// A value that is too long.
    #[error("the value of label `{0}` is longer than {LABEL_VALUE_BYTES_MAX} bytes")]
    Value(String),
}

/// Whether the text may be a label's name: the rule of Prometheus.
pub fn is_label_name(name: &str) -> bool {
    let letter = |b: u8| b.is_ascii_alphabetic() || b == b'_';
    name.len() <= LABEL_NAME_BYTES_MAX
        && name.bytes().next().is_some_and(letter)
        && name.bytes().all(|b| letter(b) || b.is_ascii_digit())
}

impl Labels {
    /// The value of a label; empty if there is none.
    pub fn get(&self, name: &str) -> &str {
        self.0.binary_search_by(|(known, _)| known.as_str().cmp(name)).map_or("", |at| &self.0[at].1)
    }

    /// Names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks the limits and the names.
    pub fn check(&self) -> Result<(), BadLabels> {
        if self.0.is_empty() {
            return Err(BadLabels::None);
        }
        if self.0.len() > LABELS_MAX {
            return Err(BadLabels::Many(self.0.len()));
        }
        for (name, value) in &self.0 {
            if !is_label_name(name) {
                return Err(BadLabels::Name(name.chars().take(80).collect()));
            }
            if value.len() > LABEL_VALUE_BYTES_MAX {
                return Err(BadLabels::Value(name.clone()));
            }
        }
        Ok(())
    }

    /// The labels of those names; names without a value are left out.
    #[must_use]
    pub fn only(&self, names: &[String]) -> Self {
        names.iter().map(|name| (name.clone(), self.get(name).to_owned())).collect()
    }

    /// The same labels have the same fingerprint, in every process: 64 bits of XXH3 over names and values.
    pub fn fingerprint(&self) -> u64 {
        let mut hash = Xxh3::new();
        for (name, value) in &self.0 {
            hash.update(name.as_bytes());
            hash.update(&[0xff]);
            hash.update(value.as_bytes());
            hash.update(&[0xfe]);
        }
        hash.digest()
    }
}

impl FromIterator<(String, String)> for Labels {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        pairs.into_iter().collect::<BTreeMap<_, _>>().into()
    }
}

impl From<BTreeMap<String, String>> for Labels {
    fn from(map: BTreeMap<String, String>) -> Self {
        Self(map.into_iter().filter(|(_, value)| !value.is_empty()).collect())
    }
}

impl From<Labels> for BTreeMap<String, String> {
    fn from(labels: Labels) -> Self {
        labels.0.into_iter().collect()
    }
}

/// Sixteen hexadecimal digits that stand for the parts, in their order.
pub fn digest(parts: &[&str]) -> String {
    let joined: Vec<u8> = parts.iter().flat_map(|part| part.bytes().chain([0xff])).collect();
    format!("{:016x}", xxh3_64(&joined))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn order_and_empty_values_do_not_matter() {
        let one = labels(&[("b", "2"), ("a", "1"), ("none", "")]);
        let two = labels(&[("a", "1"), ("b", "2")]);
        assert_eq!((&one, one.fingerprint()), (&two, two.fingerprint()));
        assert_eq!((one.get("b"), one.get("none"), one.get("c")), ("2", "", ""));
        assert_ne!(labels(&[("a", "1b")]).fingerprint(), labels(&[("a1", "b")]).fingerprint());
    }

    #[test]
    fn labels_beyond_the_limits_are_refused() {
        assert_eq!(labels(&[]).check(), Err(BadLabels::None));
        assert!(matches!(labels(&[("1st", "x")]).check(), Err(BadLabels::Name(_))));
        assert!(matches!(labels(&[("a", &"x".repeat(5000))]).check(), Err(BadLabels::Value(_))));
        let many: Labels = (0..65).map(|n| (format!("l{n}"), "x".to_owned())).collect();
        assert_eq!(many.check(), Err(BadLabels::Many(65)));
        assert_eq!(labels(&[("alertname", "Down")]).check(), Ok(()));
    }
}
