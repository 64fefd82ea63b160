//! An aggregate that rules decide for.

use std::collections::HashMap;

use serde_json::{Map, Value};
use spina_core::aggregate::{Aggregate, Decided, Merged, Refused, Request, Unfit};
use spina_core::decider::Rejection;
use spina_core::{Recorded, State};

use crate::expr::{EvalError, Formula, Scope, Template, Variable};

/// Most events that one command may lead to by rules: each entry of `emit` gives at most one.
pub const EVENTS_MAX: usize = 50;

/// See the [module](self).
#[derive(Debug)]
pub struct RuleDecider {
    pub(super) initial: Map<String, Value>,
    pub(super) commands: HashMap<String, CommandRules>,
    pub(super) evolve: HashMap<String, Vec<(String, Formula)>>,
    pub(super) fingerprint: String,
}

#[derive(Debug, Default)]
pub(super) struct CommandRules {
    pub require: Vec<Requirement>,
    pub emit: Vec<Emission>,
}

#[derive(Debug)]
pub(super) struct Requirement {
    pub rule: Formula,
    pub code: String,
    pub message: Option<Template>,
}

#[derive(Debug)]
pub(super) struct Emission {
    pub event: String,
    pub when: Option<Formula>,
    pub fields: Vec<(String, Formula)>,
    /// Fields taken from the command, which has them under the same name.
    pub taken: Vec<String>,
}

impl Aggregate for RuleDecider {
    fn initial(&self) -> Map<String, Value> {
        self.initial.clone()
    }

    fn decide(&self, state: &State, request: Request<'_>) -> Result<Vec<Decided>, Refused> {
        let Some(rules) = self.commands.get(request.name) else { return Merged.decide(state, request) };
        let scope = [
            ("state", Variable::Document(&state.data)),
            ("command", Variable::Document(request.data)),
            ("stream", Variable::Text(request.stream.as_str())),
            ("key", Variable::Text(request.stream.key())),
            ("version", Variable::Number(state.version.0)),
        ];
        for requirement in &rules.require {
            requirement.check(&scope)?;
        }
        let mut events = Vec::new();
        for emission in &rules.emit {
            events.extend(emission.emit(&scope, request.data)?);
        }
        Ok(events)
    }

    /// A formula that fails leaves null: the fold cannot fail, and a rule that meets a null says so.
    fn evolve(&self, fields: Map<String, Value>, event: &Recorded) -> Result<Map<String, Value>, Unfit> {
        let name = event.headers.event_name();
        let Some(set) = self.evolve.get(name) else { return Merged.evolve(fields, event) };
        let scope = [
            ("state", Variable::Document(&fields)),
            ("data", Variable::Document(&event.data)),
            ("event", Variable::Event(event)),
        ];
        let values: Vec<Value> = set.iter().map(|(_, formula)| formula.eval(&scope).unwrap_or_default()).collect();
        let mut fields = fields;
        for ((field, _), value) in set.iter().zip(values) {
            fields.insert(field.clone(), value);
        }
        fields.insert("status".to_owned(), Value::from(name));
        Ok(fields)
    }

    fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }
}

impl Requirement {
    fn check(&self, scope: &Scope<'_>) -> Result<(), Refused> {
        if self.rule.holds(scope).map_err(unfit)? {
            return Ok(());
        }
        let message = match &self.message {
            Some(message) => message.fill(scope),
            None => format!("required: {}", self.rule.text()),
        };
        Err(Refused::Rejected(Rejection { code: self.code.clone(), message }))
    }
}

impl Emission {
    fn emit(&self, scope: &Scope<'_>, command: &Map<String, Value>) -> Result<Option<Decided>, Refused> {
        if let Some(when) = &self.when
            && !when.holds(scope).map_err(unfit)?
        {
            return Ok(None);
        }
        let taken = self.taken.iter().filter_map(|name| command.get_key_value(name));
        let mut data: Map<String, Value> = taken.map(|(name, value)| (name.clone(), value.clone())).collect();
        for (name, formula) in &self.fields {
            data.insert(name.clone(), formula.eval(scope).map_err(unfit)?);
        }
        Ok(Some(Decided { event: self.event.clone(), data }))
    }
}

fn unfit(error: EvalError) -> Refused {
    Refused::Unfit(Unfit { what: format!("the rule {}", error.expression), cause: error.cause })
}
