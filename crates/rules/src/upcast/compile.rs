//! From the file to the steps, with every mistake found in one go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use spina_core::event_shape::EventShape;

use super::{Action, Entry, Filling, Released, Step, When};
use crate::expr::Expr;
use crate::node::{Node, Reading};
use crate::source::{Entries, Located, Problems, Source, quote};

/// Most steps of one record.
pub const STEPS_MAX: usize = 100;
const ACTIONS: [&str; 4] = ["rename", "default", "split", "drop"];

pub(super) fn compile(
    source: &Source,
    events: &[EventShape],
    released: &[Released],
) -> Result<BTreeMap<String, Arc<Entry>>, Problems> {
    let (reading, root) = Reading::begin(source)?;
    let mut compiler = Compiler { source, reading, events, released };
    let entries = compiler.file(&root);
    let mut problems = Problems::default();
    compiler.reading.end().into_iter().for_each(|problem| problems.push(problem));
    problems.none_or(entries)
}

struct Compiler<'s> {
    source: &'s Source,
    reading: Reading<'s>,
    events: &'s [EventShape],
    released: &'s [Released],
}

/// The names that fields of a record may have while it is upcast.
struct Names<'s> {
    record: &'s str,
    /// Those of its released schemas and of what the steps so far have made of them.
    before: BTreeSet<String>,
    /// Those of the event today.
    today: Vec<&'s str>,
    versions: BTreeSet<u32>,
}

impl<'s> Compiler<'s> {
    fn file(&mut self, root: &Located<Node>) -> BTreeMap<String, Arc<Entry>> {
        let Some(top) = self.reading.mapping(root, "the file", &["upcasters"]) else { return BTreeMap::new() };
        let Some(records) = top.get("upcasters").and_then(|node| self.reading.names(node, "`upcasters`")) else {
            self.reading.complain(root.place, "`upcasters` is missing");
            return BTreeMap::new();
        };
        let becomes = self.becomes(records);
        let entry = |(record, node): (&Located<String>, &Located<Node>)| {
            let entry = self.record(record, node, &becomes)?;
            Some((record.value.clone(), Arc::new(entry)))
        };
        records.iter().filter_map(entry).collect()
    }

    /// What each renamed record is called next.
    fn becomes(&mut self, records: &Entries<Located<Node>>) -> BTreeMap<String, String> {
        let mut becomes = BTreeMap::new();
        for (record, node) in records.iter() {
            let what = format!("the upcaster of {}", quote(record));
            let Some(entries) = self.reading.mapping(node, &what, &["becomes", "steps"]) else { continue };
            let Some(next) = entries.get("becomes") else { continue };
            let Some(name) = self.reading.text(next, "`becomes`") else { continue };
            if self.event(&record.value).is_some() {
                let message = format!("{} is an event of the context: it cannot become another", quote(record));
                self.reading.complain(next.place, message);
            } else if self.event(name).is_none() && records.get(name).is_none() {
                let message = format!("{} is no event of the context, it has {}", quote(name), self.known());
                self.reading.complain(next.place, message);
            } else {
                becomes.insert(record.value.clone(), name.to_owned());
            }
        }
        becomes
    }

    fn record(
        &mut self,
        record: &Located<String>,
        node: &Located<Node>,
        becomes: &BTreeMap<String, String>,
    ) -> Option<Entry> {
        let Node::Map(entries) = &node.value else { return None };
        let mut name = record.value.as_str();
        for _ in 0..=becomes.len() {
            name = becomes.get(name).map_or(name, String::as_str);
        }
        let Some(today) = self.event(name) else {
            let message = format!("{} leads to no event of the context, it has {}", quote(record), self.known());
            self.reading.complain(record.place, message);
            return None;
        };
        let schemas: Vec<_> = self.released.iter().filter(|released| released.shape.name == record.value).collect();
        // A record that others become has no schema of its own where it is only a station.
        if schemas.is_empty() && !becomes.values().any(|next| *next == record.value) {
            let message = format!("{} has no released schema: `spina topology freeze` keeps them", quote(record));
            self.reading.complain(record.place, message);
        }
        let comes_from = |written: &str| {
            let mut at = written;
            for _ in 0..=becomes.len() {
                if at == record.value {
                    return true;
                }
                let Some(next) = becomes.get(at) else { return false };
                at = next;
            }
            false
        };
        let all = self.released.iter().filter(|released| comes_from(&released.shape.name));
        let before = all.flat_map(|released| released.shape.fields.iter().map(|field| field.name.clone())).collect();
        let mut names = Names {
            record: &record.value,
            before,
            today: today.fields.iter().map(|field| field.name.as_str()).collect(),
            versions: schemas.iter().map(|released| released.version).collect(),
        };
        // What a station upstream makes is known here too.
        names.before.extend(names.today.iter().map(|name| (*name).to_owned()));
        let steps = entries.get("steps").map_or(Some(Vec::new()), |node| self.steps(node, &mut names))?;
        Some(Entry { becomes: becomes.get(&record.value).cloned(), steps })
    }

    fn steps(&mut self, node: &Located<Node>, names: &mut Names<'_>) -> Option<Vec<Step>> {
        let items = self.reading.list(node, "`steps`")?;
        if items.len() > STEPS_MAX {
            self.reading.complain(node.place, format!("at most {STEPS_MAX} steps are allowed"));
        }
        let mut made = Vec::new();
        let steps = items.iter().filter_map(|item| self.step(item, names, &mut made)).collect();
        let later: BTreeSet<&str> =
            made.iter().filter(|(_, used)| *used).map(|(name, _)| name.value.as_str()).collect();
        for (name, _) in made.iter().filter(|(name, used)| !used && !later.contains(name.value.as_str())) {
            if !names.today.contains(&name.value.as_str()) {
                let message =
                    format!("the event has no field {} today, it has {}", quote(name), names.today.join(", "));
                self.reading.complain(name.place, message);
            }
        }
        Some(steps)
    }

    /// One step. `made` gathers the fields that steps make (false) and use up (true).
    fn step(
        &mut self,
        node: &Located<Node>,
        names: &mut Names<'_>,
        made: &mut Vec<(Located<String>, bool)>,
    ) -> Option<Step> {
        let entries = self.reading.mapping(node, "a step", &["when", "rename", "default", "split", "drop"])?;
        let when = entries.get("when").map_or_else(When::default, |node| self.when(node, names));
        let mut given = entries.iter().filter(|(key, _)| ACTIONS.contains(&key.value.as_str()));
        let (Some((action, node)), None) = (given.next(), given.next()) else {
            self.reading.complain(node.place, format!("a step has one of {}", ACTIONS.join(", ")));
            return None;
        };
        let mut makes = |names: &mut Names<'_>, name: &Located<String>| {
            names.before.insert(name.value.clone());
            made.push((name.clone(), false));
        };
        let mut actions = Vec::new();
        let mut used = Vec::new();
        match action.value.as_str() {
            "rename" => {
                for (old, new) in self.reading.names(node, "`rename`")?.iter() {
                    self.known_field(names, old);
                    let Some(text) = self.reading.text(new, "the new name") else { continue };
                    let new = Located::new(text.to_owned(), new.place);
                    makes(names, &new);
                    used.push(old.clone());
                    actions.push(Action::Rename(old.value.clone(), new.value));
                }
            }
            "default" => {
                for (field, node) in self.reading.names(node, "`default`")?.iter() {
                    let Some(filling) = self.filling(node, names) else { continue };
                    makes(names, field);
                    actions.push(Action::Default(field.value.clone(), filling));
                }
            }
            "split" => {
                for (from, node) in self.reading.names(node, "`split`")?.iter() {
                    self.known_field(names, from);
                    let mut into = Vec::new();
                    for (field, node) in self.reading.names(node, "the fields of a split")?.iter() {
                        let Some(text) = self.reading.text(node, "the expression of a split") else { continue };
                        let Some(expr) = self.expr(&Located::new(text.to_owned(), node.place), names) else { continue };
                        makes(names, field);
                        into.push((field.value.clone(), expr));
                    }
                    used.push(from.clone());
                    actions.push(Action::Split(from.value.clone(), into));
                }
            }
            _ => {
                for item in self.reading.list(node, "`drop`")? {
                    let Some(name) = self.reading.text(item, "a field's name") else { continue };
                    let name = Located::new(name.to_owned(), item.place);
                    self.known_field(names, &name);
                    used.push(name.clone());
                    actions.push(Action::Drop(name.value));
                }
            }
        }
        made.extend(used.into_iter().map(|name| (name, true)));
        Some(Step { when, actions: actions.into_iter().map(Arc::new).collect() })
    }

    fn when(&mut self, node: &Located<Node>, names: &Names<'_>) -> When {
        let Some(entries) = self.reading.mapping(node, "`when`", &["version", "has", "lacks"]) else {
            return When::default();
        };
        let versions = entries.get("version").map(|node| match &node.value {
            Node::List(items) => items.iter().filter_map(|item| self.version(item, names)).collect(),
            Node::Null | Node::Bool(_) | Node::Int(_) | Node::Float(_) | Node::Text(_) | Node::Map(_) => {
                self.version(node, names).into_iter().collect()
            }
        });
        let mut field = |key: &str| {
            let node = entries.get(key)?;
            let name = self.reading.text(node, "a field's name")?;
            self.known_field(names, &Located::new(name.to_owned(), node.place));
            Some(name.to_owned())
        };
        When { versions, has: field("has"), lacks: field("lacks") }
    }

    fn version(&mut self, node: &Located<Node>, names: &Names<'_>) -> Option<u32> {
        let number = self.reading.whole_number(node, "`version`", 1..=u32::MAX.into())?;
        let number = u32::try_from(number).ok()?;
        if !names.versions.contains(&number) {
            let known: Vec<_> = names.versions.iter().map(ToString::to_string).collect();
            let message = format!("{} has no released version {number}, it has {}", names.record, known.join(", "));
            self.reading.complain(node.place, message);
        }
        Some(number)
    }

    fn filling(&mut self, node: &Located<Node>, names: &Names<'_>) -> Option<Filling> {
        Some(Filling::Literal(match &node.value {
            Node::Null => Value::Null,
            Node::Bool(value) => Value::from(*value),
            Node::Int(value) => Value::from(*value),
            Node::Float(value) => Value::from(*value),
            Node::Text(text) => return self.expr(&Located::new(text.clone(), node.place), names).map(Filling::Cel),
            Node::List(_) | Node::Map(_) => {
                self.reading.complain(node.place, "a default is a literal or an expression");
                return None;
            }
        }))
    }

    fn expr(&mut self, text: &Located<String>, names: &Names<'_>) -> Option<Expr> {
        let expr = Expr::compile(self.source, text)
            .map_err(|problem| self.reading.complain(problem.place, problem.message))
            .ok()?;
        if !expr.uses().event.is_empty() {
            self.reading.complain(text.place, "an upcaster knows `data` and nothing else: it reads commands too");
            return None;
        }
        for path in &expr.uses().data {
            if let Some(first) = path.first() {
                self.known_field(names, &Located::new(first.clone(), path.place));
            }
        }
        Some(expr)
    }

    fn known_field(&mut self, names: &Names<'_>, field: &Located<String>) {
        if !names.before.contains(&field.value) {
            let known: Vec<_> = names.before.iter().map(String::as_str).collect();
            let message =
                format!("no schema of {} has a field {}, they have {}", names.record, quote(field), known.join(", "));
            self.reading.complain(field.place, message);
        }
    }

    fn event(&self, name: &str) -> Option<&'s EventShape> {
        self.events.iter().find(|event| event.name == name)
    }

    fn known(&self) -> String {
        self.events.iter().map(|event| event.name.as_str()).collect::<Vec<_>>().join(", ")
    }
}
