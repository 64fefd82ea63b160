//! From the schema that events were written with to what is done with each of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};
use spina_core::upcast::{Upcast, UpcastError, Upcaster, Written};

use super::{Action, Filling, Step, Upcasters, When};
use crate::expr::{EvalError, Expr};

/// A field's name as it was written, if it was, and its name now.
pub type Renamed = (Option<String>, String);

/// A plan while its steps are gathered: it follows what each of them does to the names of the fields.
pub(super) struct Draft {
    plan: Plan,
    fields: Vec<Renamed>,
}

/// What is done with the events of one schema.
#[derive(Debug)]
struct Plan {
    record: String,
    version: Option<u32>,
    name: String,
    needs: Option<BTreeSet<String>>,
    actions: Vec<Arc<Action>>,
    in_rust: Option<Arc<dyn Upcaster>>,
}

impl Draft {
    /// The draft for a schema; `None` if it is of another context.
    pub fn of(upcasters: &Upcasters, written: &Written<'_>) -> Option<Self> {
        let short = written.record.strip_prefix(&upcasters.prefix).filter(|name| !name.contains('.'))?;
        let plan = Plan {
            record: written.record.to_owned(),
            version: written.version,
            name: upcasters.name_today(short).to_owned(),
            needs: Some(BTreeSet::new()),
            actions: Vec::new(),
            in_rust: upcasters.in_rust.get(short).cloned(),
        };
        let fields = written.fields.iter().map(|field| (Some((*field).to_owned()), (*field).to_owned())).collect();
        let mut draft = Self { plan, fields };
        let mut at = short;
        while let Some(entry) = upcasters.by_record.get(at) {
            // Versions are those of the record as it was written.
            let version = written.version.filter(|_| at == short);
            entry.steps.iter().for_each(|step| draft.step(step, version));
            let Some(next) = &entry.becomes else { break };
            at = next;
        }
        Some(draft)
    }

    /// The plan, unless there is nothing to do.
    pub fn finish(mut self) -> Option<Arc<dyn Upcast>> {
        if self.plan.in_rust.is_some() {
            self.plan.needs = None;
        }
        let short = self.plan.record.rsplit('.').next().unwrap_or_default();
        let idle = self.plan.name == short && self.plan.actions.is_empty() && self.plan.in_rust.is_none();
        (!idle).then(|| Arc::new(self.plan) as Arc<dyn Upcast>)
    }

    /// The fields at the end.
    pub fn fields(self) -> Vec<Renamed> {
        self.fields
    }

    fn step(&mut self, step: &Step, version: Option<u32>) {
        if self.holds(&step.when, version) {
            step.actions.iter().for_each(|action| self.action(action));
        }
    }

    fn holds(&self, when: &When, version: Option<u32>) -> bool {
        when.versions.as_ref().is_none_or(|versions| version.is_some_and(|version| versions.contains(&version)))
            && when.has.as_ref().is_none_or(|field| self.has(field))
            && when.lacks.as_ref().is_none_or(|field| !self.has(field))
    }

    /// Takes the action into the plan if the schema has need of it.
    fn action(&mut self, action: &Arc<Action>) {
        match &**action {
            Action::Rename(old, new) if self.has(old) && !self.has(new) => {
                self.need(old);
                self.fields.iter_mut().filter(|(_, name)| name == old).for_each(|field| field.1.clone_from(new));
            }
            Action::Default(field, filling) if !self.has(field) => {
                self.need_of(filling.expr());
                self.fields.push((None, field.clone()));
            }
            Action::Split(from, into)
                if self.has(from) && !into.iter().any(|(name, _)| name != from && self.has(name)) =>
            {
                into.iter().for_each(|(_, expr)| self.need_of(Some(expr)));
                self.fields.retain(|(_, name)| name != from);
                self.fields.extend(into.iter().map(|(name, _)| (None, name.clone())));
            }
            Action::Drop(field) if self.has(field) => self.fields.retain(|(_, name)| name != field),
            Action::Rename(..) | Action::Default(..) | Action::Split(..) | Action::Drop(_) => return,
        }
        self.plan.actions.push(Arc::clone(action));
    }

    fn has(&self, field: &str) -> bool {
        self.fields.iter().any(|(_, name)| name == field)
    }

    /// The written field behind the name is looked at.
    fn need(&mut self, name: &str) {
        let written = self.fields.iter().find(|(_, now)| now == name).and_then(|(written, _)| written.clone());
        if let Some(needs) = &mut self.plan.needs {
            needs.extend(written);
        }
    }

    fn need_of(&mut self, expr: Option<&Expr>) {
        let Some(expr) = expr else { return };
        if expr.uses().whole_data {
            self.plan.needs = None;
        }
        expr.uses().data.iter().filter_map(|path| path.first()).for_each(|name| self.need(name));
    }
}

impl Filling {
    fn expr(&self) -> Option<&Expr> {
        match self {
            Self::Literal(_) => None,
            Self::Cel(expr) => Some(expr),
        }
    }

    fn value(&self, fields: &Map<String, Value>) -> Result<Value, EvalError> {
        match self {
            Self::Literal(value) => Ok(value.clone()),
            Self::Cel(expr) => Ok(expr.eval_fields(fields)?.into_owned()),
        }
    }
}

impl Upcast for Plan {
    fn name(&self) -> &str {
        &self.name
    }

    fn needs(&self) -> Option<&BTreeSet<String>> {
        self.needs.as_ref()
    }

    fn apply(&self, fields: &mut Map<String, Value>) -> Result<(), UpcastError> {
        let failed = |cause: String| UpcastError { record: self.record.clone(), cause };
        for action in &self.actions {
            action.apply(fields).map_err(|error| failed(error.to_string()))?;
        }
        match &self.in_rust {
            Some(upcaster) => upcaster.upcast(self.version, fields).map_err(failed),
            None => Ok(()),
        }
    }
}

impl Action {
    /// Does it. That there is need of it follows from the schema; a field that was not read is not wanted either.
    fn apply(&self, fields: &mut Map<String, Value>) -> Result<(), EvalError> {
        match self {
            Self::Rename(old, new) => {
                if let Some(value) = fields.remove(old) {
                    fields.insert(new.clone(), value);
                }
            }
            Self::Default(field, filling) => {
                let value = filling.value(fields)?;
                fields.insert(field.clone(), value);
            }
            Self::Split(from, into) => {
                let mut parts = Vec::with_capacity(into.len());
                for (name, expr) in into {
                    parts.push((name.clone(), expr.eval_fields(fields)?.into_owned()));
                }
                fields.remove(from);
                fields.extend(parts);
            }
            Self::Drop(field) => drop(fields.remove(field)),
        }
        Ok(())
    }
}
