//! Actions: which command is asked when something happens to a rule's incidents.

use serde_json::{Map, Value};
use spina_core::StreamId;
use spina_core::correlation::{Action, Incident, Occasion};

use super::Rule;
use super::compile::{Compiler, Map as Entries};
use super::rule::document;
use crate::expr::{Formula, Scope, Variable};
use crate::known::Kind;
use crate::node::Node;
use crate::source::{Located, quote};

/// Most actions of a rule.
const ACTIONS_MAX: usize = 20;
/// What formulas of actions see.
const SEEN: [&str; 6] = ["labels", "count", "rule", "severity", "summary", "incident"];

/// A command that is asked on an occasion.
#[derive(Debug)]
pub struct ActionRule {
    /// The occasion.
    pub on: Occasion,
    /// The command's context.
    pub context: String,
    /// Its name there.
    pub command: String,
    /// The stream that it is for.
    pub stream: Formula,
    /// Its fields.
    pub fields: Vec<(String, Formula)>,
}

impl ActionRule {
    fn of(&self, scope: &Scope<'_>) -> Action {
        let (mut fields, mut withheld) = (Map::new(), None);
        let stream = match self.stream.eval(scope) {
            Ok(Value::String(stream)) => stream,
            Ok(other) => {
                withheld = Some(format!("`stream` is a stream's id, this gave {other}"));
                String::new()
            }
            Err(error) => {
                withheld = Some(error.to_string());
                String::new()
            }
        };
        if withheld.is_none() {
            withheld = stream.parse::<StreamId>().err().map(|error| error.to_string());
        }
        for (name, formula) in &self.fields {
            match formula.eval(scope) {
                Ok(value) => _ = fields.insert(name.clone(), value),
                Err(error) => withheld = withheld.or_else(|| Some(format!("{}: {error}", quote(name)))),
            }
        }
        let command = format!("{}.{}", self.context, self.command);
        Action { on: self.on, command, stream, fields, withheld }
    }
}

impl Rule {
    /// What is asked on an occasion of one of its incidents. What cannot be asked is withheld and says why.
    pub fn actions(&self, on: Occasion, incident: &Incident) -> Vec<Action> {
        let labels = document(&incident.group);
        let scope = [
            ("labels", Variable::Document(&labels)),
            ("count", Variable::Number(u64::try_from(incident.count).unwrap_or(0))),
            ("rule", Variable::Text(&self.name)),
            ("severity", Variable::Text(&incident.severity)),
            ("summary", Variable::Text(&incident.summary)),
            ("incident", Variable::Text(&incident.id)),
        ];
        self.actions.iter().filter(|action| action.on == on).map(|action| action.of(&scope)).collect()
    }
}

impl Compiler<'_> {
    /// The actions of a rule whose incidents have these labels.
    pub(super) fn actions(&mut self, rule: &Entries, labels: &[&str]) -> Vec<ActionRule> {
        let Some(node) = rule.get("actions") else { return Vec::new() };
        let items = self.reading.list(node, "actions").unwrap_or_default();
        if items.len() > ACTIONS_MAX {
            self.reading.complain(node.place, format!("at most {ACTIONS_MAX} actions are allowed of a rule"));
        }
        items.iter().filter_map(|item| self.action(item, labels)).collect()
    }

    fn action(&mut self, item: &Located<Node>, labels: &[&str]) -> Option<ActionRule> {
        let entries = self.reading.mapping(item, "an action", &["on", "command", "stream", "fields"])?;
        for key in ["on", "command", "stream"].into_iter().filter(|key| entries.get(key).is_none()) {
            self.reading.complain(item.place, format!("an action needs {key}"));
        }
        let on = self.occasion(entries);
        let stream = entries.get("stream").and_then(|node| self.over_incident(node, "stream", labels));
        let fields = self.action_fields(entries, labels);
        let command = self.command(entries, &fields)?;
        let (context, command) = command.split_once('.')?;
        Some(ActionRule {
            on: on?,
            context: context.to_owned(),
            command: command.to_owned(),
            stream: stream?,
            fields: fields.into_iter().filter_map(|(name, formula)| Some((name.value, formula?))).collect(),
        })
    }

    fn occasion(&mut self, action: &Entries) -> Option<Occasion> {
        let on = self.text_of(action, "on")?;
        let found = Occasion::ALL.into_iter().find(|occasion| occasion.name() == on.value);
        if found.is_none() {
            let known = Occasion::ALL.map(Occasion::name).join(", ");
            self.reading.complain(on.place, format!("{} is not when an action is asked: {known}", quote(&on)));
        }
        found
    }

    /// The command, which must take those fields.
    fn command(&mut self, action: &Entries, fields: &[(Located<String>, Option<Formula>)]) -> Option<String> {
        let node = action.get("command")?;
        let Some(known) = self.known else { return self.text_of(action, "command").map(|text| text.value) };
        let (command, shape) = self.reading.named(node, "command", Kind::Command, known)?;
        self.reading.check_fields(fields, shape, node.place);
        Some(command)
    }

    /// One that cannot be used was complained of, and is not missing.
    fn action_fields(&mut self, action: &Entries, labels: &[&str]) -> Vec<(Located<String>, Option<Formula>)> {
        let entries = action.get("fields").and_then(|node| self.reading.names(node, "fields"));
        let named = entries.into_iter().flat_map(Entries::iter);
        named.map(|(name, node)| (name.clone(), self.over_incident(node, "a field", labels))).collect()
    }

    /// A formula over an incident, whose labels are those that its signals have in common.
    fn over_incident(&mut self, node: &Located<Node>, what: &str, labels: &[&str]) -> Option<Formula> {
        let text = self.reading.expression(node, what)?;
        let formula = self.formula(&text, &SEEN)?;
        let of_labels = formula.references().iter().filter(|reference| reference.value.0 == "labels");
        for reference in of_labels {
            let Some(label) = reference.value.1.first().filter(|label| !labels.contains(&label.as_str())) else {
                continue;
            };
            let known = if labels.is_empty() { "none".to_owned() } else { labels.join(", ") };
            let message = format!("the rule's incidents have no label {}: group_by gives {known}", quote(label));
            self.reading.complain(reference.place, message);
        }
        Some(formula)
    }
}
