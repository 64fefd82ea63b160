//! What a step asks of others: commands and calls.

use spina_core::event_shape::EventShape;
use spina_core::saga::Ask;
use spina_core::saga::plan::Formula;

use super::compile::{Compiler, SEEN};
use crate::node::Node;
use crate::source::{Entries, Located, Place, quote};

impl Compiler<'_> {
    /// A command or a call.
    pub fn ask(&mut self, entries: &Entries<Located<Node>>, place: Place) -> Option<Ask> {
        match (entries.get("command"), entries.get("http")) {
            (Some(command), None) => self.command_ask(entries, place, command),
            (None, Some(url)) => {
                let body = entries.get("body").map(|node| self.formulas(node, "`body`", &SEEN)).unwrap_or_default();
                let url = self.formula(url, "`http`", &SEEN)?;
                Some(Ask::Http { url, body: named(body) })
            }
            _ => {
                self.complain(place, "it takes a `command` or an `http` call");
                None
            }
        }
    }

    fn command_ask(&mut self, entries: &Entries<Located<Node>>, place: Place, command: &Located<Node>) -> Option<Ask> {
        let found = self.command(command, "`command`");
        let stream = self.required(entries, place, "stream").and_then(|node| self.formula(node, "`stream`", &SEEN));
        let fields = entries.get("fields").map(|node| self.formulas(node, "`fields`", &SEEN)).unwrap_or_default();
        let (text, shape) = found?;
        self.check_fields(&fields, shape, command.place);
        let (context, command) = text.split_once('.')?;
        Some(Ask::Command {
            context: context.to_owned(),
            command: command.to_owned(),
            stream: stream?,
            fields: named(fields),
        })
    }

    /// A command gets the fields that it has, and all that it needs.
    fn check_fields(&mut self, fields: &[(Located<String>, Formula)], shape: &EventShape, place: Place) {
        let command = &shape.name;
        for (name, _) in fields.iter().filter(|(name, _)| !shape.fields.iter().any(|field| field.name == name.value)) {
            let known = shape.fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>().join(", ");
            self.complain(name.place, format!("{command} has no field {}, it has: {known}", quote(name)));
        }
        for field in shape.fields.iter().filter(|field| !field.has_default) {
            if !fields.iter().any(|(name, _)| name.value == field.name) {
                self.complain(place, format!("{command} needs the field {}", quote(&field.name)));
            }
        }
    }
}

fn named(fields: Vec<(Located<String>, Formula)>) -> Vec<(String, Formula)> {
    fields.into_iter().map(|(name, formula)| (name.value, formula)).collect()
}
