//! Expressions over several documents at once: what deciding needs, where a state and a command are looked at together.
//!
//! A field that a document does not have is null, so that a rule can speak of a state before its first event.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cel::common::ast::Expr as Ast;
use cel::objects::{Key, Map as CelMap, Value as CelValue};
use cel::{Context, Program};
use serde_json::{Map, Value};
use spina_core::Recorded;

use super::check::{self, DataPath};
use super::scope::{EventField, cel_value};
use super::{CAUSE_CHARS_MAX, ENV, EvalError, literal_json, parse, unknown_name};
use crate::source::{Located, Problem, Source, quote};

/// A variable and what it stands for while a formula is evaluated.
#[derive(Debug, Clone, Copy)]
pub enum Variable<'a> {
    /// A document with fields.
    Document(&'a Map<String, Value>),
    /// What an event says about itself; the same fields as in every other expression.
    Event(&'a Recorded),
    /// A plain value.
    Text(&'a str),
    /// A whole number.
    Number(u64),
}

/// The variables of one evaluation.
pub type Scope<'a> = [(&'static str, Variable<'a>)];

/// A compiled expression over several variables.
#[derive(Debug)]
pub struct Formula {
    text: String,
    plan: Plan,
    /// The fields used of each variable; `None` where it is used as a whole.
    uses: BTreeMap<String, Option<BTreeSet<String>>>,
    references: Vec<Located<(String, DataPath)>>,
}

#[derive(Debug)]
enum Plan {
    Path(String, DataPath),
    Literal(Value),
    Cel(Box<Program>),
}

impl Formula {
    /// Compiles the text, which may look at the known variables and nothing else.
    pub fn compile(source: &Source, text: &Located<String>, known: &[&str]) -> Result<Self, Problem> {
        let place = |offset: u32| source.inside(text.place, &text.value, offset);
        let refuse = |fault: check::Fault| source.problem(place(fault.offset), fault.message);
        let program = parse(&text.value).map_err(refuse)?;
        let (mut uses, mut references) = (BTreeMap::new(), Vec::new());
        for reference in check::check(&program).map_err(refuse)? {
            let place = place(reference.offset);
            check_reference(&reference, known).map_err(|message| source.problem(place, message))?;
            let fields = uses.entry(reference.root.clone()).or_insert_with(|| Some(BTreeSet::new()));
            match (reference.path.first(), fields) {
                (Some(field), Some(fields)) => _ = fields.insert(field.clone()),
                (Some(_), None) => {}
                (None, fields) => *fields = None,
            }
            references.push(Located::new((reference.root, reference.path), place));
        }
        Ok(Self { text: text.value.clone(), plan: Plan::of(program), uses, references })
    }

    /// The value.
    pub fn eval(&self, scope: &Scope<'_>) -> Result<Value, EvalError> {
        match &self.plan {
            Plan::Path(root, path) => Ok(variable(scope, root).map_or(Value::Null, |of| of.at(path))),
            Plan::Literal(value) => Ok(value.clone()),
            Plan::Cel(program) => self.run(program, scope),
        }
    }

    /// The value as a condition; anything but true and false is an error.
    pub fn holds(&self, scope: &Scope<'_>) -> Result<bool, EvalError> {
        match self.eval(scope)? {
            Value::Bool(answer) => Ok(answer),
            other => Err(self.failed(&format!("a condition must be true or false, this gave {other}"))),
        }
    }

    /// Every variable and path that it looks at, with its place.
    pub fn references(&self) -> &[Located<(String, DataPath)>] {
        &self.references
    }

    /// The variable and path, if the expression is nothing else.
    pub fn path(&self) -> Option<(&str, &[String])> {
        match &self.plan {
            Plan::Path(root, path) => Some((root, path)),
            Plan::Literal(_) | Plan::Cel(_) => None,
        }
    }

    /// The literal, if the expression is nothing else.
    pub fn literal(&self) -> Option<&Value> {
        match &self.plan {
            Plan::Literal(value) => Some(value),
            Plan::Path(..) | Plan::Cel(_) => None,
        }
    }

    /// Its text.
    pub fn text(&self) -> &str {
        &self.text
    }

    fn failed(&self, cause: &str) -> EvalError {
        EvalError { expression: quote(&self.text), cause: cause.chars().take(CAUSE_CHARS_MAX).collect() }
    }

    fn run(&self, program: &Program, scope: &Scope<'_>) -> Result<Value, EvalError> {
        let mut context = Context::with_env(Arc::clone(&ENV));
        for (root, fields) in &self.uses {
            if let Some(of) = variable(scope, root) {
                context.add_variable_from_value(root.as_str(), of.bound(fields.as_ref()));
            }
        }
        let value = program.execute(&context).map_err(|error| self.failed(&error.to_string()))?;
        value.json().map_err(|_| self.failed("the result is not a plain value"))
    }
}

fn check_reference(reference: &check::Reference, known: &[&str]) -> Result<(), String> {
    let (root, path) = (reference.root.as_str(), &reference.path);
    if !known.contains(&root) {
        return Err(unknown_name(root, &known.join(", ")));
    }
    if reference.presence && path.len() == 1 {
        return Err(format!("write {root}.{} != null: a field that is not there is null", path[0]));
    }
    if root == "event" && (path.len() != 1 || EventField::named(&path[0]).is_none()) {
        return Err(EventField::unknown(&path.join(".")));
    }
    Ok(())
}

fn variable<'a>(scope: &Scope<'a>, name: &str) -> Option<Variable<'a>> {
    scope.iter().find(|(known, _)| *known == name).map(|(_, variable)| *variable)
}

impl Variable<'_> {
    /// The value at a path; null where there is none.
    fn at(self, path: &[String]) -> Value {
        match (self, path.split_first()) {
            (Self::Document(document), None) => Value::Object(document.clone()),
            (Self::Document(document), Some((first, rest))) => {
                let found = rest.iter().try_fold(document.get(first), |value, name| Some(value?.get(name)));
                found.flatten().cloned().unwrap_or_default()
            }
            (Self::Event(event), Some((name, _))) => {
                EventField::named(name).map(|field| field.of(event)).unwrap_or_default()
            }
            (Self::Event(_), None) => Value::Null,
            (Self::Text(text), _) => Value::from(text),
            (Self::Number(number), _) => Value::from(number),
        }
    }

    /// As CEL sees it: the fields that are used, or all of them.
    fn bound(self, fields: Option<&BTreeSet<String>>) -> CelValue {
        match (self, fields) {
            (Self::Document(document), Some(fields)) => {
                let value = |name: &String| document.get(name).map_or(CelValue::Null, cel_value);
                cel_map(fields.iter().map(|name| (name.as_str(), value(name))))
            }
            (Self::Document(document), None) => {
                cel_map(document.iter().map(|(name, value)| (name.as_str(), cel_value(value))))
            }
            (Self::Event(event), fields) => {
                let named = fields.into_iter().flatten().filter_map(|name| EventField::named(name));
                cel_map(named.map(|field| (field.name(), cel_value(&field.of(event)))))
            }
            (Self::Text(text), _) => CelValue::from(text),
            (Self::Number(number), _) => cel_value(&Value::from(number)),
        }
    }
}

fn cel_map<'a>(fields: impl Iterator<Item = (&'a str, CelValue)>) -> CelValue {
    let fields: std::collections::HashMap<Key, CelValue> =
        fields.map(|(name, value)| (Key::from(name), value)).collect();
    CelValue::Map(CelMap::from(fields))
}

impl Plan {
    fn of(program: Program) -> Self {
        let plain = match &program.expression().expr {
            Ast::Literal(literal) => literal_json(literal).map(Self::Literal),
            ast @ (Ast::Select(_) | Ast::Ident(_)) => {
                check::path_of(ast).map(|(root, path)| Self::Path(root.to_owned(), path))
            }
            _ => None,
        };
        plain.unwrap_or_else(|| Self::Cel(Box::new(program)))
    }
}

/// Text with formulas in braces: `only {state.seats_left} seats are left`. Braces cannot be written otherwise.
#[derive(Debug)]
pub struct Template(Vec<Part>);

#[derive(Debug)]
enum Part {
    Text(String),
    Formula(Box<Formula>),
}

impl Template {
    /// Compiles the text.
    pub fn compile(source: &Source, text: &Located<String>, known: &[&str]) -> Result<Self, Problem> {
        let mut parts = Vec::new();
        let mut rest = text.value.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            let Some((inside, next)) = after.split_once('}') else {
                return Err(source.problem(text.place, "a brace is not closed: formulas stand in {...}"));
            };
            let offset = text.value.chars().count() - after.chars().count();
            let place = source.inside(text.place, &text.value, u32::try_from(offset).unwrap_or(0));
            parts.push(Part::Text(before.to_owned()));
            let formula = Formula::compile(source, &Located::new(inside.to_owned(), place), known)?;
            parts.push(Part::Formula(Box::new(formula)));
            rest = next;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self(parts))
    }

    /// The formulas in it.
    pub fn formulas(&self) -> impl Iterator<Item = &Formula> {
        self.0.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Formula(formula) => Some(&**formula),
        })
    }

    /// The text; a formula that fails leaves a question mark, because a message must not hide its cause.
    pub fn fill(&self, scope: &Scope<'_>) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Formula(formula) => match formula.eval(scope) {
                Ok(Value::String(text)) => text,
                Ok(value) => value.to_string(),
                Err(_) => "?".to_owned(),
            },
        };
        self.0.iter().map(part).collect()
    }
}
