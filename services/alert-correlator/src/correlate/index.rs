//! Which rules may want a signal: found by a label, not by asking them all.

use std::collections::HashMap;

use spina_core::correlation::Labels;
use spina_rules::correlation::Rule;

/// Rules by a value that one of their labels must have.
#[derive(Debug, Default)]
pub struct Index {
    by_label: HashMap<String, HashMap<String, Vec<usize>>>,
    /// Rules that no single value decides on.
    rest: Vec<usize>,
}

impl Index {
    /// Of rules with their numbers.
    pub fn of<'r>(rules: impl Iterator<Item = (usize, &'r Rule)>) -> Self {
        let mut index = Self::default();
        for (number, rule) in rules {
            match rule.matchers.iter().find_map(|matcher| Some((matcher.name(), matcher.exact()?))) {
                Some((name, value)) => {
                    let values = index.by_label.entry(name.to_owned()).or_default();
                    values.entry(value.to_owned()).or_default().push(number);
                }
                None => index.rest.push(number),
            }
        }
        index
    }

    /// The rules that may want the labels, in the order of their numbers.
    pub fn candidates(&self, labels: &Labels, found: &mut Vec<usize>) {
        found.clear();
        found.extend(&self.rest);
        for (name, values) in &self.by_label {
            found.extend(values.get(labels.get(name)).into_iter().flatten());
        }
        found.sort_unstable();
    }
}
