//! A definition file as a tree that knows where everything stands, read by hand.
//!
//! Serde stops at a file's first unknown key. Reading the tree by hand finds every problem in one go, which is what a
//! person who edits the file wants. JSON is read as well: it is YAML.

use std::fmt;
use std::ops::RangeInclusive;

use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de::value::MapAccessDeserializer};

use crate::source::{Entries, Located, Place, Problem, Source, quote};

/// One value of a definition file.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// Nothing, or `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a fraction.
    Float(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Located<Node>>),
    /// A mapping, in the order it was written.
    Map(Entries<Located<Node>>),
}

impl Node {
    /// What it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "a whole number",
            Self::Float(_) => "a fraction",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Anything;
        impl<'de> Visitor<'de> for Anything {
            type Value = Node;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_unit<E: Error>(self) -> Result<Node, E> {
                Ok(Node::Null)
            }

            fn visit_none<E: Error>(self) -> Result<Node, E> {
                Ok(Node::Null)
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Node, E> {
                Ok(Node::Bool(value))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Node, E> {
                Ok(Node::Int(value))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Node, E> {
                i64::try_from(value).map(Node::Int).map_err(|_| E::custom(format_args!("{value} is too large")))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Node, E> {
                Ok(Node::Float(value))
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Node, E> {
                Ok(Node::Text(value.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Node::List(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Node, A::Error> {
                Entries::deserialize(MapAccessDeserializer::new(map)).map(Node::Map)
            }
        }
        deserializer.deserialize_any(Anything)
    }
}

/// Reads a tree and gathers what is wrong with it. A method that answers `None` has complained.
#[derive(Debug)]
pub struct Reading<'s> {
    source: &'s Source,
    problems: Vec<Problem>,
}

impl<'s> Reading<'s> {
    /// Parses the file and begins to read it.
    pub fn begin(source: &'s Source) -> Result<(Self, Located<Node>), Problem> {
        let root = source.parse()?;
        Ok((Self { source, problems: Vec::new() }, root))
    }

    /// Notes a problem.
    pub fn complain(&mut self, place: Place, message: impl Into<String>) {
        self.problems.push(self.source.problem(place, message));
    }

    /// The mapping, whose keys must all be among `known`.
    pub fn mapping<'n>(
        &mut self,
        node: &'n Located<Node>,
        what: &str,
        known: &[&str],
    ) -> Option<&'n Entries<Located<Node>>> {
        let entries = self.names(node, what)?;
        for (key, _) in entries.iter().filter(|(key, _)| !known.contains(&key.value.as_str())) {
            self.complain(key.place, format!("{what} has no key {}; it has {}", quote(&key.value), known.join(", ")));
        }
        Some(entries)
    }

    /// The mapping, whose keys are names of the user's.
    pub fn names<'n>(&mut self, node: &'n Located<Node>, what: &str) -> Option<&'n Entries<Located<Node>>> {
        match &node.value {
            Node::Map(entries) => Some(entries),
            other => self.mismatch(node.place, what, "a mapping", other),
        }
    }

    /// The list.
    pub fn list<'n>(&mut self, node: &'n Located<Node>, what: &str) -> Option<&'n [Located<Node>]> {
        match &node.value {
            Node::List(items) => Some(items),
            other => self.mismatch(node.place, what, "a list", other),
        }
    }

    /// The text.
    pub fn text<'n>(&mut self, node: &'n Located<Node>, what: &str) -> Option<&'n str> {
        match &node.value {
            Node::Text(text) => Some(text),
            other => self.mismatch(node.place, what, "text", other),
        }
    }

    /// The whole number, which must lie in the range.
    pub fn whole_number(&mut self, node: &Located<Node>, what: &str, range: RangeInclusive<i64>) -> Option<i64> {
        let Node::Int(number) = node.value else {
            return self.mismatch(node.place, what, "a whole number", &node.value);
        };
        if !range.contains(&number) {
            let (least, most) = range.into_inner();
            self.complain(node.place, format!("{what} must be from {least} to {most}, not {number}"));
            return None;
        }
        Some(number)
    }

    /// Whether it is so.
    pub fn truth(&mut self, node: &Located<Node>, what: &str) -> Option<bool> {
        match node.value {
            Node::Bool(truth) => Some(truth),
            ref other => self.mismatch(node.place, what, "true or false", other),
        }
    }

    /// The text of an expression; numbers and booleans stand for themselves.
    pub fn expression(&mut self, node: &Located<Node>, what: &str) -> Option<Located<String>> {
        let text = match &node.value {
            Node::Int(number) => number.to_string(),
            Node::Bool(value) => value.to_string(),
            Node::Text(text) => text.clone(),
            other @ (Node::Null | Node::Float(_) | Node::List(_) | Node::Map(_)) => {
                return self.mismatch(node.place, what, "an expression", other);
            }
        };
        Some(Located::new(text, node.place))
    }

    /// All that was wrong, in the order of the lines.
    pub fn end(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|problem| problem.place);
        self.problems
    }

    fn mismatch<T>(&mut self, place: Place, what: &str, wanted: &str, found: &Node) -> Option<T> {
        self.complain(place, format!("{what} must be {wanted}, not {}", found.kind()));
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Problems;

    #[test]
    fn yaml_and_json_become_the_same_tree() {
        let yaml = Source::new("a.yaml", "name: x\nlist:\n  - 1\n  - -2.5\n  - true\n  -\n");
        let json = Source::new("a.json", "{\n\t\"name\": \"x\",\n\t\"list\": [1, -2.5, true, null]\n}\n");
        for (source, line) in [(yaml, 3), (json, 3)] {
            let (mut reading, root) = Reading::begin(&source).unwrap();
            let entries = reading.mapping(&root, "a thing", &["name", "list"]).unwrap();
            assert_eq!(entries.get("name").unwrap().value, Node::Text("x".to_owned()));
            let list = reading.list(entries.get("list").unwrap(), "list").unwrap();
            assert_eq!(list[0].place.line, line);
            let values: Vec<&Node> = list.iter().map(|item| &item.value).collect();
            assert_eq!(values, [&Node::Int(1), &Node::Float(-2.5), &Node::Bool(true), &Node::Null]);
            assert_eq!(reading.end(), []);
        }
    }

    #[test]
    fn all_problems_are_found_in_one_go() {
        let source = Source::new("a.yaml", "nmae: x\nsize: 99\nparts: 3\nlabel: [a]\nextra: 1\n");
        let (mut reading, root) = Reading::begin(&source).unwrap();
        let entries = reading.mapping(&root, "a cup", &["name", "size", "parts", "label"]).unwrap();
        reading.whole_number(entries.get("size").unwrap(), "size", 1..=9);
        reading.list(entries.get("parts").unwrap(), "parts");
        reading.text(entries.get("label").unwrap(), "label");
        let problems = Problems(reading.end());
        assert_eq!(
            problems.to_string(),
            "a.yaml:1:1: a cup has no key `nmae`; it has name, size, parts, label\n\
             a.yaml:2:7: size must be from 1 to 9, not 99\n\
             a.yaml:3:8: parts must be a list, not a whole number\n\
             a.yaml:4:8: label must be text, not a list\n\
             a.yaml:5:1: a cup has no key `extra`; it has name, size, parts, label"
        );
    }
}
