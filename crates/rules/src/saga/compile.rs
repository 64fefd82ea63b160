//! From a saga's file to a plan. All problems are found in one go.

use std::collections::BTreeSet;

use spina_core::event_shape::EventShape;
use spina_core::saga::plan::Formula as Shared;
use spina_core::saga::{Plan, Retry};

use super::{Awaited, Saga, Start, StepFormula};
use crate::expr::{Expr, Formula};
use crate::known::{Kind, Known};
use crate::node::{Node, Reading};
use crate::source::{Entries, Located, Place, Problem, Problems, Source, quote};

/// Longest name of a saga or step, in bytes: it is part of ids and record keys.
const NAME_BYTES_MAX: usize = 48;
/// Most fields of an input, a command or a body, and most outputs.
const FIELDS_MAX: usize = 200;
/// What formulas of steps see.
pub(super) const SEEN: [&str; 4] = ["input", "steps", "key", "id"];
/// What outputs see.
pub(super) const SEEN_BY_OUTPUTS: [&str; 5] = ["input", "steps", "key", "id", "reply"];

/// Compiles a definition against the contexts it reaches into.
///
/// # Errors
/// Everything that is wrong with it, in the order of the lines.
pub fn compile(source: &Source, known: &Known) -> Result<Saga, Problems> {
    let (reading, root) = Reading::begin(source).map_err(|problem| Problems(vec![problem]))?;
    let mut compiler = Compiler::new(source, known, reading);
    let saga = compiler.saga(&root);
    let mut problems = Problems(compiler.reading.end());
    problems.0.extend(compiler.found);
    match saga {
        Some(saga) => problems.none_or(saga),
        None => Err(problems.none_or(()).err().unwrap_or_default()),
    }
}

/// Definitions while they are read.
pub(super) struct Compiler<'s> {
    source: &'s Source,
    pub known: &'s Known,
    pub reading: Reading<'s>,
    found: Vec<Problem>,
    /// Names of the input; unknown if a saga is started by hand only.
    input: Option<BTreeSet<String>>,
    /// Every step's name.
    pub names: BTreeSet<String>,
    /// Outputs of the steps that are done before the one that is read.
    pub before: Vec<(String, BTreeSet<String>)>,
    pub awaits: Vec<Awaited>,
}

impl<'s> Compiler<'s> {
    fn new(source: &'s Source, known: &'s Known, reading: Reading<'s>) -> Self {
        let names = BTreeSet::new();
        Self { source, known, reading, found: Vec::new(), input: None, names, before: Vec::new(), awaits: Vec::new() }
    }

    fn saga(&mut self, root: &Located<Node>) -> Option<Saga> {
        let entries = self.reading.mapping(root, "a saga", &["saga", "version", "start", "steps"])?;
        let name = self.required(entries, root.place, "saga").and_then(|node| self.name(node, "`saga`"));
        let version = self.required(entries, root.place, "version");
        let version = version.and_then(|node| self.reading.whole_number(node, "`version`", 1..=i64::from(u32::MAX)));
        let start = entries.get("start").map(|node| self.start(node));
        let steps = self.required(entries, root.place, "steps").and_then(|node| self.steps(node));
        let start = match start {
            Some(start) => Some(start?),
            None => None,
        };
        let plan = Plan { name: name?, version: u32::try_from(version?).ok()?, steps: steps? };
        Some(Saga { plan, start, awaits: std::mem::take(&mut self.awaits) })
    }

    fn start(&mut self, node: &Located<Node>) -> Option<Start> {
        let entries = self.reading.mapping(node, "`start`", &["on", "when", "key", "input"])?;
        let on = self.required(entries, node.place, "on");
        let event = on.and_then(|node| self.event(node, "`on`"));
        let shape = event.as_ref().map(|(_, shape)| *shape);
        let when = entries.get("when").map(|node| self.over_event(node, "`when`", shape));
        let key = self.required(entries, node.place, "key").and_then(|node| self.over_event(node, "`key`", shape));
        let mut input = Vec::new();
        let fields = entries.get("input").and_then(|node| self.reading.names(node, "`input`"));
        for (name, node) in fields.into_iter().flat_map(Entries::iter) {
            input.extend(self.over_event(node, "an input", shape).map(|expr| (name.value.clone(), expr)));
        }
        self.input = Some(fields.into_iter().flat_map(Entries::iter).map(|(name, _)| name.value.clone()).collect());
        let when = match when {
            Some(when) => Some(when?),
            None => None,
        };
        Some(Start { event: event?.0, when, key: key?, input })
    }

    /// What must be there.
    pub fn required<'n>(
        &mut self,
        entries: &'n Entries<Located<Node>>,
        place: Place,
        key: &str,
    ) -> Option<&'n Located<Node>> {
        let found = entries.get(key);
        if found.is_none() {
            self.complain(place, format!("`{key}` is missing"));
        }
        found
    }

    pub fn complain(&mut self, place: Place, message: impl Into<String>) {
        self.reading.complain(place, message);
    }

    /// A name of a saga or step.
    pub fn name(&mut self, node: &Located<Node>, what: &str) -> Option<String> {
        let name = self.reading.text(node, what)?.to_owned();
        let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
        if !name.bytes().all(letter)
            || !name.starts_with(|c: char| c.is_ascii_lowercase())
            || name.len() > NAME_BYTES_MAX
        {
            let rule = format!("lower-case letters, digits, hyphens and underscores, at most {NAME_BYTES_MAX}");
            self.complain(node.place, format!("{} is not a name: {rule}", quote(&name)));
            return None;
        }
        Some(name)
    }

    /// An event's type, such as `flights.FlightCancelled`.
    pub fn event(&mut self, node: &Located<Node>, what: &str) -> Option<(String, &'s EventShape)> {
        self.reading.named(node, what, Kind::Event, self.known)
    }

    /// A command's type, such as `booking.HoldSeats`.
    pub fn command(&mut self, node: &Located<Node>, what: &str) -> Option<(String, &'s EventShape)> {
        self.reading.named(node, what, Kind::Command, self.known)
    }

    /// An expression over an event.
    pub fn over_event(&mut self, node: &Located<Node>, what: &str, shape: Option<&EventShape>) -> Option<Expr> {
        let text = self.reading.expression(node, what)?;
        let expr = match Expr::compile(self.source, &text) {
            Ok(expr) => expr,
            Err(problem) => {
                self.found.push(problem);
                return None;
            }
        };
        for path in &expr.uses().data {
            if let Some(Err(missing)) = shape.map(|shape| shape.field(path)) {
                let message =
                    format!("the event has no field {}, it has {}", quote(&missing.name), missing.known.join(", "));
                self.complain(path.place, message);
            }
        }
        Some(expr)
    }

    /// A formula over the saga.
    pub fn formula(&mut self, node: &Located<Node>, what: &str, seen: &[&str]) -> Option<Shared> {
        let text = self.reading.expression(node, what)?;
        let formula = match Formula::compile(self.source, &text, seen) {
            Ok(formula) => formula,
            Err(problem) => {
                self.found.push(problem);
                return None;
            }
        };
        for reference in formula.references() {
            let (root, path) = &reference.value;
            if let Err(message) = self.check_reference(root, path) {
                self.complain(reference.place, message);
            }
        }
        Some(std::sync::Arc::new(StepFormula(formula)))
    }

    fn check_reference(&self, root: &str, path: &[String]) -> Result<(), String> {
        match (root, path) {
            ("input", [name, ..]) => match &self.input {
                Some(input) if !input.contains(name) => {
                    let known = input.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
                    Err(format!("the input has no {}, it has {known}", quote(name)))
                }
                Some(_) | None => Ok(()),
            },
            ("steps", [step, rest @ ..]) => {
                let Some((_, outputs)) = self.before.iter().find(|(name, _)| name == step) else {
                    let later =
                        if self.names.contains(step) { "is not done before this one" } else { "does not exist" };
                    return Err(format!("step {} {later}", quote(step)));
                };
                match rest.first() {
                    Some(output) if !outputs.contains(output) => {
                        let known = outputs.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
                        Err(format!("step {step} has no output {}, it has: {known}", quote(output)))
                    }
                    Some(_) | None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// Formulas by name.
    pub fn formulas(&mut self, node: &Located<Node>, what: &str, seen: &[&str]) -> Vec<(Located<String>, Shared)> {
        let Some(entries) = self.reading.names(node, what) else { return Vec::new() };
        if entries.len() > FIELDS_MAX {
            self.complain(node.place, format!("{what} has at most {FIELDS_MAX} entries"));
        }
        let each = entries.iter().filter_map(|(name, node)| Some((name.clone(), self.formula(node, what, seen)?)));
        each.collect()
    }

    pub fn retry(&mut self, node: &Located<Node>) -> Option<Retry> {
        let entries = self.reading.mapping(node, "`retry`", &["rejected", "unavailable", "timed_out"])?;
        let mut retry = Retry::default();
        let policies = [&mut retry.rejected, &mut retry.unavailable, &mut retry.timed_out];
        for (class, policy) in ["rejected", "unavailable", "timed_out"].into_iter().zip(policies) {
            let Some(node) = entries.get(class) else { continue };
            let Some(entries) = self.reading.mapping(node, "a retry policy", &["attempts", "first_ms", "most_ms"])
            else {
                continue;
            };
            let mut number = |key: &str, least: i64, most: i64| {
                let node = entries.get(key)?;
                self.reading.whole_number(node, &format!("`{key}`"), least..=most)
            };
            let (attempts, first, most) =
                (number("attempts", 1, 10_000), number("first_ms", 1, 86_400_000), number("most_ms", 1, 86_400_000));
            policy.attempts = attempts.and_then(|n| u32::try_from(n).ok()).unwrap_or(policy.attempts);
            policy.first_us = first.map_or(policy.first_us.max(100_000), |ms| ms * 1_000);
            policy.most_us = most.map_or(policy.most_us.max(policy.first_us), |ms| ms * 1_000);
            if policy.most_us < policy.first_us {
                self.complain(node.place, "`most_ms` is less than `first_ms`");
            }
        }
        Some(retry)
    }
}
