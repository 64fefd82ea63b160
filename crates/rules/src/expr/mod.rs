//! Expressions over one event, in CEL (the Common Expression Language), compiled when a definition is loaded.
//!
//! Two variables are known: `data`, the event's fields, and `event`, what it says about itself. A plain path
//! (`data.carrier`, `event.stream`) or a literal is compiled to direct access; everything else runs through CEL.
//!
//! ```text
//! text -> parse -> check names and functions -> Path | Literal | Program
//! ```
//!
//! What an expression may cost is bounded: its text, its nesting, and no comprehension inside another, so that one
//! evaluation is linear in the size of the event.

mod check;
mod formula;
mod nesting;
mod scope;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use cel::common::ast::{Expr as Ast, LiteralValue};
use cel::{Context, Env, Program};
use serde_json::{Map, Value};
use spina_core::Recorded;

pub use check::DataPath;
use check::{Fault, Reference};
pub use formula::{Formula, Scope, Template, Variable};
pub use scope::EventField;

use crate::source::{Located, Place, Problem, Source, quote};

/// Longest expression, in bytes.
pub const EXPR_BYTES_MAX: usize = 4096;

static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// A compiled expression.
#[derive(Debug)]
pub struct Expr {
    text: String,
    place: Place,
    plan: Plan,
    uses: Uses,
}

#[derive(Debug)]
enum Plan {
    Data(Vec<String>),
    Event(EventField),
    Literal(Value),
    Cel(Box<Program>),
}

/// What an expression looks at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Uses {
    /// The paths into `data`, each with its place in the file.
    pub data: Vec<Located<DataPath>>,
    /// Whether `data` is used as a whole.
    pub whole_data: bool,
    /// The fields of `event`.
    pub event: BTreeSet<EventField>,
}

/// An expression failed on an event that it was compiled for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expression {expression} failed: {cause}")]
pub struct EvalError {
    /// The expression's text, shortened.
    pub expression: String,
    /// Why, in CEL's words, shortened.
    pub cause: String,
}

/// Longest cause that is kept, in characters.
const CAUSE_CHARS_MAX: usize = 300;

impl Expr {
    /// Compiles the text; a problem points into it.
    pub fn compile(source: &Source, text: &Located<String>) -> Result<Self, Problem> {
        let refuse =
            |offset: u32, message: String| source.problem(source.inside(text.place, &text.value, offset), message);
        let program = parse(&text.value).map_err(|fault| refuse(fault.offset, fault.message))?;
        let found = check::check(&program).map_err(|fault| refuse(fault.offset, fault.message))?;
        let mut uses = Uses::default();
        for reference in found {
            let place = source.inside(text.place, &text.value, reference.offset);
            uses.note(reference, place).map_err(|message| source.problem(place, message))?;
        }
        let plan = Plan::of(program);
        Ok(Self { text: text.value.clone(), place: text.place, plan, uses })
    }

    /// The value for an event.
    pub fn eval<'a>(&'a self, event: &'a Recorded) -> Result<Cow<'a, Value>, EvalError> {
        match &self.plan {
            Plan::Data(path) => Ok(walk(&event.data, path)),
            Plan::Event(field) => Ok(Cow::Owned(field.of(event))),
            Plan::Literal(value) => Ok(Cow::Borrowed(value)),
            Plan::Cel(program) => self.run(program, &event.data, Some(event)).map(Cow::Owned),
        }
    }

    /// The value for fields that are no event yet, of an expression that does not look at `event`.
    pub fn eval_fields<'a>(&'a self, data: &'a Map<String, Value>) -> Result<Cow<'a, Value>, EvalError> {
        match &self.plan {
            Plan::Data(path) => Ok(walk(data, path)),
            Plan::Event(_) => Err(self.failed("there is no event here")),
            Plan::Literal(value) => Ok(Cow::Borrowed(value)),
            Plan::Cel(program) => self.run(program, data, None).map(Cow::Owned),
        }
    }

    /// The value as a condition; anything but true and false is an error.
    pub fn holds(&self, event: &Recorded) -> Result<bool, EvalError> {
        match self.eval(event)?.as_ref() {
            Value::Bool(answer) => Ok(*answer),
            other => Err(self.failed(&format!("a condition must be true or false, this gave {other}"))),
        }
    }

    /// The path into `data`, if the expression is nothing else.
    pub fn data_path(&self) -> Option<&[String]> {
        match &self.plan {
            Plan::Data(path) => Some(path),
            Plan::Event(_) | Plan::Literal(_) | Plan::Cel(_) => None,
        }
    }

    /// The field of `event`, if the expression is nothing else.
    pub fn event_field(&self) -> Option<EventField> {
        match &self.plan {
            Plan::Event(field) => Some(*field),
            Plan::Data(_) | Plan::Literal(_) | Plan::Cel(_) => None,
        }
    }

    /// The literal, if the expression is nothing else.
    pub fn literal(&self) -> Option<&Value> {
        match &self.plan {
            Plan::Literal(value) => Some(value),
            Plan::Data(_) | Plan::Event(_) | Plan::Cel(_) => None,
        }
    }

    /// What it looks at.
    pub fn uses(&self) -> &Uses {
        &self.uses
    }

    /// Its text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where it was written.
    pub fn place(&self) -> Place {
        self.place
    }

    /// An error of this expression.
    pub fn failed(&self, cause: &str) -> EvalError {
        EvalError { expression: quote(&self.text), cause: cause.chars().take(CAUSE_CHARS_MAX).collect() }
    }

    fn run(&self, program: &Program, data: &Map<String, Value>, event: Option<&Recorded>) -> Result<Value, EvalError> {
        let mut context = Context::with_env(Arc::clone(&ENV));
        scope::bind(&mut context, &self.uses, data, event);
        let value = program.execute(&context).map_err(|error| self.failed(&error.to_string()))?;
        value.json().map_err(|_| self.failed("the result is not a plain value"))
    }
}

/// Parses an expression that stays within the limits.
fn parse(text: &str) -> Result<Program, Fault> {
    if text.len() > EXPR_BYTES_MAX {
        return Err(Fault { offset: 0, message: format!("the expression is longer than {EXPR_BYTES_MAX} bytes") });
    }
    if let Some((at, message)) = nesting::excess(text) {
        return Err(Fault { offset: u32::try_from(at).unwrap_or(0), message });
    }
    ENV.compile(text).map_err(|errors| {
        let (column, message) = errors.errors.first().map_or((1, "not CEL"), |e| (e.pos.1, e.msg.as_str()));
        let offset = u32::try_from(column - 1).unwrap_or(0);
        Fault { offset, message: format!("{} is not a CEL expression: {message}", quote(text)) }
    })
}

impl Uses {
    /// One more variable, if it is one that an expression over an event knows.
    fn note(&mut self, reference: Reference, place: Place) -> Result<(), String> {
        match (reference.root.as_str(), reference.path.first()) {
            ("data", None) => self.whole_data = true,
            ("data", Some(_)) => self.data.push(Located::new(reference.path, place)),
            ("event", Some(field)) => {
                let known = EventField::named(field).filter(|_| reference.path.len() == 1);
                self.event.insert(known.ok_or_else(|| EventField::unknown(&reference.path.join(".")))?);
            }
            ("event", None) => return Err("name a field of `event`, such as event.stream".to_owned()),
            (name, _) => return Err(unknown_name(name, "`data` and `event`")),
        }
        Ok(())
    }
}

fn unknown_name(name: &str, known: &str) -> String {
    format!("unknown name {}: expressions know {known}; text is written in quotes, as in \"'text'\"", quote(name))
}

impl Plan {
    fn of(program: Program) -> Self {
        let plain = match &program.expression().expr {
            Ast::Literal(literal) => literal_json(literal).map(Self::Literal),
            Ast::Select(_) => check::path_of(&program.expression().expr).and_then(|(root, path)| match root {
                "data" => Some(Self::Data(path)),
                _ => EventField::named(path.first()?).map(Self::Event),
            }),
            _ => None,
        };
        plain.unwrap_or_else(|| Self::Cel(Box::new(program)))
    }
}

fn literal_json(literal: &LiteralValue) -> Option<Value> {
    match literal {
        LiteralValue::Boolean(value) => Some(Value::from(*value.inner())),
        LiteralValue::Double(value) => Some(Value::from(*value.inner())),
        LiteralValue::Int(value) => Some(Value::from(*value.inner())),
        LiteralValue::UInt(value) => Some(Value::from(*value.inner())),
        LiteralValue::String(value) => Some(Value::from(value.inner())),
        LiteralValue::Null => Some(Value::Null),
        LiteralValue::Bytes(_) => None,
    }
}

/// The value at the path; null where a record on the way is null, as SQL would have it.
fn walk<'a>(data: &'a Map<String, Value>, path: &[String]) -> Cow<'a, Value> {
    let mut names = path.iter();
    let mut at = names.next().and_then(|name| data.get(name));
    for name in names {
        at = at.and_then(|value| value.get(name));
    }
    at.map_or(Cow::Owned(Value::Null), Cow::Borrowed)
}

#[cfg(test)]
mod tests;
