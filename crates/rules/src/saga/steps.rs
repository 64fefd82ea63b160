//! The steps of a saga, however deep.

use std::collections::BTreeSet;

use spina_core::saga::{Action, Branch, Retry, Step, Undo};

use super::Awaited;
use super::compile::{Compiler, SEEN, SEEN_BY_OUTPUTS};
use crate::node::Node;
use crate::source::{Entries, Located, quote};

/// Most steps of a sequence, branches of a choice, sequences in parallel.
const STEPS_MAX: usize = 200;
/// How deep steps may stand in steps.
const DEPTH_MAX: usize = 8;
/// How long an answer may take if the definition does not say, in milliseconds.
pub(super) const TIMEOUT_MS: i64 = 30_000;
/// Longest time-out, in milliseconds: ten years.
const TIMEOUT_MS_MAX: i64 = 10 * 366 * 86_400_000;

/// What a step can be; it is exactly one of them.
const KINDS: [&str; 6] = ["command", "http", "wait_ms", "await", "parallel", "choice"];
/// What every kind of step may say, and what it may say besides.
const KEYS: [(&str, &[&str]); 6] = [
    ("command", &["stream", "fields", "outputs", "accept", "timeout_ms", "retry", "undo"]),
    ("http", &["body", "rate", "heartbeat_ms", "outputs", "accept", "timeout_ms", "retry", "undo"]),
    ("wait_ms", &[]),
    ("await", &["key", "outputs", "timeout_ms"]),
    ("parallel", &[]),
    ("choice", &[]),
];

impl Compiler<'_> {
    /// A sequence of steps.
    pub fn steps(&mut self, node: &Located<Node>) -> Option<Vec<Step>> {
        self.sequence(node, 0)
    }

    fn sequence(&mut self, node: &Located<Node>, depth: usize) -> Option<Vec<Step>> {
        let items = self.reading.list(node, "`steps`")?;
        if items.is_empty() || items.len() > STEPS_MAX {
            self.complain(node.place, format!("a sequence has 1 to {STEPS_MAX} steps"));
        }
        if depth > DEPTH_MAX {
            self.complain(node.place, format!("steps stand at most {DEPTH_MAX} deep in steps"));
            return None;
        }
        // All of them are read, so that all problems are told.
        let steps: Vec<Option<Step>> = items.iter().map(|item| self.step(item, depth)).collect();
        steps.into_iter().collect()
    }

    fn step(&mut self, node: &Located<Node>, depth: usize) -> Option<Step> {
        let entries = self.reading.names(node, "a step")?;
        let name = self.required(entries, node.place, "name").and_then(|node| {
            let name = self.name(node, "`name`")?;
            if !self.names.insert(name.clone()) {
                self.complain(node.place, format!("there is a step {} already", quote(&name)));
            }
            Some(name)
        });
        let kinds: Vec<&str> = KINDS.into_iter().filter(|kind| entries.get(kind).is_some()).collect();
        let [kind] = kinds[..] else {
            self.complain(node.place, format!("a step is exactly one of {}", KINDS.join(", ")));
            return None;
        };
        self.check_keys(entries, kind);
        let name = name?;
        let action = self.action(entries, node, kind, depth);
        let accept = self.accept(entries);
        let outputs = self.outputs(entries);
        let mut given: BTreeSet<String> = outputs.iter().map(|(name, _)| name.clone()).collect();
        if !accept.is_empty() {
            given.insert("rejected".to_owned());
        }
        // Its undoing sees what it gave.
        self.before.push((name.clone(), given));
        let undo = self.undo(entries, node, kind);
        let timeout = entries.get("timeout_ms");
        let timeout_ms = timeout.map(|node| self.reading.whole_number(node, "`timeout_ms`", 1..=TIMEOUT_MS_MAX));
        let retry = entries.get("retry").and_then(|node| self.retry(node)).unwrap_or_default();
        // An event that does not come is not asked for again.
        let retry = if kind == "await" { never(retry) } else { retry };
        let timeout_us = timeout_ms.flatten().unwrap_or(TIMEOUT_MS).saturating_mul(1_000);
        Some(Step { name, action: action?, outputs, accept, timeout_us, retry, undo: undo? })
    }

    fn check_keys(&mut self, entries: &Entries<Located<Node>>, kind: &str) {
        let allowed = KEYS.iter().find(|(name, _)| *name == kind).map_or(&[][..], |(_, keys)| keys);
        for (key, _) in entries.iter() {
            if key.value != "name" && key.value != kind && !allowed.contains(&key.value.as_str()) {
                let known = ["name", kind].into_iter().chain(allowed.iter().copied()).collect::<Vec<_>>().join(", ");
                self.complain(key.place, format!("a {kind} step has no key {}; it has {known}", quote(&key.value)));
            }
        }
    }

    fn action(
        &mut self,
        entries: &Entries<Located<Node>>,
        node: &Located<Node>,
        kind: &str,
        depth: usize,
    ) -> Option<Action> {
        let inner = entries.get(kind)?;
        match kind {
            "command" | "http" => self.ask(entries, node.place).map(Action::Ask),
            "wait_ms" => {
                if matches!(inner.value, Node::Int(number) if number < 0) {
                    self.complain(inner.place, "a wait is not negative");
                }
                self.formula(inner, "`wait_ms`", &SEEN).map(Action::Wait)
            }
            "await" => {
                let event = self.event(inner, "`await`");
                let shape = event.as_ref().map(|(_, shape)| *shape);
                let key = self.required(entries, node.place, "key");
                let key = key.and_then(|node| self.over_event(node, "`key`", shape))?;
                let (event, _) = event?;
                if entries.get("timeout_ms").is_none() {
                    self.complain(node.place, "`timeout_ms` is missing: an event may never come");
                }
                self.awaits.push(Awaited { event: event.clone(), key });
                Some(Action::Await(event))
            }
            "parallel" => self.parallel(inner, depth),
            _ => self.choice(inner, depth),
        }
    }

    /// Sequences side by side do not see each other's outputs.
    fn parallel(&mut self, node: &Located<Node>, depth: usize) -> Option<Action> {
        let items = self.reading.list(node, "`parallel`")?;
        if !(2..=STEPS_MAX).contains(&items.len()) {
            self.complain(node.place, format!("`parallel` has 2 to {STEPS_MAX} sequences"));
        }
        let before = self.before.clone();
        let (mut sequences, mut all) = (Vec::new(), before.clone());
        for item in items {
            self.before.clone_from(&before);
            sequences.push(self.sequence(item, depth + 1));
            all.extend(self.before.drain(before.len()..));
        }
        self.before = all;
        sequences.into_iter().collect::<Option<Vec<_>>>().map(Action::Parallel)
    }

    /// What is done in a branch may not have been done after it.
    fn choice(&mut self, node: &Located<Node>, depth: usize) -> Option<Action> {
        let items = self.reading.list(node, "`choice`")?;
        if items.is_empty() || items.len() > STEPS_MAX {
            self.complain(node.place, format!("`choice` has 1 to {STEPS_MAX} branches"));
        }
        let before = self.before.clone();
        let mut branches = Vec::new();
        for (number, item) in items.iter().enumerate() {
            self.before.clone_from(&before);
            let Some(entries) = self.reading.mapping(item, "a branch", &["when", "steps"]) else { continue };
            let when = entries.get("when").map(|node| self.formula(node, "`when`", &SEEN));
            if when.is_none() && number + 1 < items.len() {
                self.complain(item.place, "the branches after one without `when` are never taken");
            }
            let steps = self.required(entries, item.place, "steps").and_then(|node| self.sequence(node, depth + 1));
            branches.push(steps.map(|steps| Branch { when: when.flatten(), steps }));
        }
        self.before = before;
        branches.into_iter().collect::<Option<Vec<_>>>().map(Action::Choice)
    }

    fn accept(&mut self, entries: &Entries<Located<Node>>) -> Vec<String> {
        let Some(node) = entries.get("accept") else { return Vec::new() };
        let items = self.reading.list(node, "`accept`").unwrap_or_default();
        items.iter().filter_map(|item| self.reading.text(item, "a rejection's code").map(str::to_owned)).collect()
    }

    fn outputs(&mut self, entries: &Entries<Located<Node>>) -> Vec<(String, spina_core::saga::plan::Formula)> {
        let Some(node) = entries.get("outputs") else { return Vec::new() };
        let formulas = self.formulas(node, "`outputs`", &SEEN_BY_OUTPUTS);
        formulas.into_iter().map(|(name, formula)| (name.value, formula)).collect()
    }

    /// What has an effect is taken back, or it is said why not.
    fn undo(&mut self, entries: &Entries<Located<Node>>, node: &Located<Node>, kind: &str) -> Option<Undo> {
        if kind != "command" && kind != "http" {
            return Some(Undo::Nothing("it has no effect of its own".to_owned()));
        }
        let Some(undo) = entries.get("undo") else {
            let message = "`undo` is missing: a command or call that takes the step back, or `undo: { none: <why> }`";
            self.complain(node.place, message);
            return None;
        };
        let known = ["none", "command", "stream", "fields", "http", "body", "rate"];
        let entries = self.reading.mapping(undo, "`undo`", &known)?;
        let Some(none) = entries.get("none") else {
            return self.ask(entries, undo.place).map(Undo::By);
        };
        if entries.len() > 1 {
            self.complain(undo.place, "`undo` has `none` and something else");
        }
        let reason = self.reading.text(none, "`none`")?.trim().to_owned();
        if reason.is_empty() {
            self.complain(none.place, "`none` says why nothing has to be taken back");
        }
        Some(Undo::Nothing(reason))
    }
}

fn never(retry: Retry) -> Retry {
    Retry { timed_out: spina_core::saga::Policy { attempts: 1, ..retry.timed_out }, ..retry }
}
