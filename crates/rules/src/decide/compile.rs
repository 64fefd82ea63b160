//! From definitions to deciders: names, fields and types are checked here, and every problem is told with its place.

use std::collections::{BTreeSet, HashMap};

use spina_core::event_shape::EventShape;

use super::decider::{CommandRules, Emission, Requirement, RuleDecider};
use super::{fields, unique};
use crate::context::{AggregateDef, CommandDef, ContextDef, EmitDef, RequireDef};
use crate::expr::{Formula, Template};
use crate::source::{Located, Place, Problem, Problems, Source, quote};

/// What rules of a command see.
const DECIDING: [&str; 5] = ["state", "command", "stream", "key", "version"];
/// What the fold sees.
const EVOLVING: [&str; 3] = ["state", "data", "event"];

/// The schemas of a context, as rules see them.
#[derive(Debug, Clone, Default)]
pub struct Shapes {
    /// Of its events.
    pub events: Vec<EventShape>,
    /// Of its commands.
    pub commands: Vec<EventShape>,
}

/// Compiles what decides for each aggregate of the context, by its name. A command or event without a shape is passed
/// over: that it has no schema is told elsewhere.
pub fn compile(
    source: &Source,
    context: &ContextDef,
    shapes: &Shapes,
) -> Result<HashMap<String, RuleDecider>, Problems> {
    let mut problems = Problems::default();
    let compiled = context.aggregates.iter().map(|aggregate| {
        let mut compiler = Compiler::new(source, aggregate, shapes);
        let decider = compiler.aggregate();
        problems.0.append(&mut compiler.problems.0);
        (aggregate.name.clone(), decider)
    });
    let compiled = compiled.collect();
    problems.0.extend(unique::ambiguous(context).into_iter().map(|(place, message)| source.problem(place, message)));
    problems.none_or(compiled)
}

struct Compiler<'s> {
    source: &'s Source,
    aggregate: &'s AggregateDef,
    shapes: &'s Shapes,
    /// Every field that the state can have.
    state: BTreeSet<&'s str>,
    problems: Problems,
}

impl<'s> Compiler<'s> {
    fn new(source: &'s Source, aggregate: &'s AggregateDef, shapes: &'s Shapes) -> Self {
        let own = |shape: &&EventShape| aggregate.events.iter().any(|event| event.value == shape.name);
        let merged = shapes.events.iter().filter(own);
        let evolved = aggregate.evolve.iter().flat_map(|evolve| &evolve.set).map(|(name, _)| name.value.as_str());
        let state = (merged.flat_map(|shape| &shape.fields).map(|field| field.name.as_str()))
            .chain(evolved)
            .chain(aggregate.initial.keys().map(String::as_str))
            .chain(["status"])
            .collect();
        Self { source, aggregate, shapes, state, problems: Problems::default() }
    }

    fn aggregate(&mut self) -> RuleDecider {
        let aggregate = self.aggregate;
        let mut commands = HashMap::new();
        for def in &aggregate.commands {
            if let Some(shape) = self.shapes.commands.iter().find(|shape| shape.name == def.name.value) {
                commands.insert(def.name.value.clone(), self.command(def, shape));
            }
        }
        let mut evolve = HashMap::new();
        for def in &aggregate.evolve {
            let Some(shape) = self.event(&def.event) else { continue };
            let set = def.set.iter().filter_map(|(name, text)| {
                let formula = self.formula(text, &EVOLVING, None, Some(shape))?;
                Some((name.value.clone(), formula))
            });
            evolve.insert(def.event.value.clone(), set.collect());
        }
        for (place, message) in unique::check(aggregate, &self.shapes.events) {
            self.note(place, message);
        }
        let fingerprint = fingerprint(aggregate);
        RuleDecider { initial: aggregate.initial.clone(), commands, evolve, fingerprint }
    }

    fn command(&mut self, def: &CommandDef, shape: &EventShape) -> CommandRules {
        let require = def.require.iter().filter_map(|def| self.require(def, shape)).collect();
        let emit = def.emit.iter().filter_map(|def| self.emit(def, shape)).collect();
        CommandRules { require, emit }
    }

    fn require(&mut self, def: &RequireDef, command: &EventShape) -> Option<Requirement> {
        let rule = self.formula(&def.rule, &DECIDING, Some(command), None);
        let message = def.message.as_ref().map(|text| {
            let template = Template::compile(self.source, text, &DECIDING);
            let template = self.keep(template)?;
            let all = template.formulas().all(|formula| self.known(formula, Some(command), None));
            all.then_some(template)
        });
        Some(Requirement { rule: rule?, code: def.code.value.clone(), message: message.unwrap_or(None) })
    }

    fn emit(&mut self, def: &EmitDef, command: &EventShape) -> Option<Emission> {
        let event = self.event(&def.event)?;
        let when = match &def.when {
            Some(text) => Some(self.formula(text, &DECIDING, Some(command), None)?),
            None => None,
        };
        let mut fields = Vec::new();
        for (name, text) in &def.fields {
            let Some(field) = event.fields.iter().find(|field| field.name == name.value) else {
                self.note(name.place, fields::unknown(event, &name.value));
                continue;
            };
            let Some(formula) = self.formula(text, &DECIDING, Some(command), None) else { continue };
            if let Err(message) = fields::fits(&formula, command, event, field) {
                self.note(text.place, message);
            }
            fields.push((name.value.clone(), formula));
        }
        let mut taken = Vec::new();
        for field in event.fields.iter().filter(|field| !def.fields.iter().any(|(name, _)| name.value == field.name)) {
            match fields::taken(field, event, command) {
                Ok(true) => taken.push(field.name.clone()),
                Ok(false) => {}
                Err(message) => self.note(def.event.place, message),
            }
        }
        Some(Emission { event: event.name.clone(), when, fields, taken })
    }

    /// An event of this aggregate.
    fn event(&mut self, name: &Located<String>) -> Option<&'s EventShape> {
        if !self.aggregate.events.iter().any(|event| event.value == name.value) {
            let known: Vec<_> = self.aggregate.events.iter().map(|event| event.value.as_str()).collect();
            let message = format!(
                "aggregate {} has no event {}, it has {}",
                quote(&self.aggregate.name),
                quote(name),
                known.join(", ")
            );
            self.note(name.place, message);
            return None;
        }
        self.shapes.events.iter().find(|shape| shape.name == name.value)
    }

    fn formula(
        &mut self,
        text: &Located<String>,
        known: &[&str],
        command: Option<&EventShape>,
        data: Option<&EventShape>,
    ) -> Option<Formula> {
        let formula = Formula::compile(self.source, text, known);
        let formula = self.keep(formula)?;
        self.known(&formula, command, data).then_some(formula)
    }

    /// Complains about fields that command, event or state cannot have. Returns whether there is none.
    fn known(&mut self, formula: &Formula, command: Option<&EventShape>, data: Option<&EventShape>) -> bool {
        let mut all = true;
        for reference in formula.references() {
            let (root, path) = &reference.value;
            let shape = match root.as_str() {
                "command" => command,
                "data" => data,
                _ => None,
            };
            let fault = match (root.as_str(), path.first(), shape) {
                (_, None, _) => None,
                ("state", Some(field), _) if !self.state.contains(field.as_str()) => {
                    let known: Vec<&str> = self.state.iter().copied().collect();
                    Some(format!("no event sets `{field}` in the state, it has {}", known.join(", ")))
                }
                (_, Some(_), Some(shape)) => {
                    shape.field(path).err().map(|missing| fields::unknown(shape, &missing.name))
                }
                (_, Some(_), None) => None,
            };
            if let Some(message) = fault {
                self.note(reference.place, message);
                all = false;
            }
        }
        all
    }

    fn keep<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.problems.push(problem)).ok()
    }

    fn note(&mut self, place: Place, message: impl Into<String>) {
        self.problems.push(self.source.problem(place, message));
    }
}

/// What the fold rests on, as text: the state before the first event and the formulas of `evolve`.
fn fingerprint(aggregate: &AggregateDef) -> String {
    if aggregate.initial.is_empty() && aggregate.evolve.is_empty() {
        return String::new();
    }
    let mut text = serde_json::Value::Object(aggregate.initial.clone()).to_string();
    for def in &aggregate.evolve {
        for (name, formula) in &def.set {
            text.push_str(&format!(";{}.{}={}", def.event.value, name.value, formula.value));
        }
    }
    format!("fold={:032x}", spina_core::StreamKey::of(&text).0)
}
