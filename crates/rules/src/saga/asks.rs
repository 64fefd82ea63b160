//! What a step asks of others: commands and calls.

use spina_core::event_shape::EventShape;
use spina_core::saga::Ask;
use spina_core::saga::plan::Formula;
use spina_core::target::Rate;

use super::compile::{Compiler, SEEN};
use crate::node::Node;
use crate::source::{Entries, Located, Place, quote};

/// Most calls per second that can be asked for, and at once.
const PER_SECOND_MAX: u32 = 10_000;

impl Compiler<'_> {
    /// A command or a call.
    pub fn ask(&mut self, entries: &Entries<Located<Node>>, place: Place) -> Option<Ask> {
        match (entries.get("command"), entries.get("http")) {
            (Some(command), None) => {
                if let Some(rate) = entries.get("rate") {
                    self.complain(rate.place, "only an `http` call has a `rate`");
                }
                self.command_ask(entries, place, command)
            }
            (None, Some(url)) => {
                let body = entries.get("body").map(|node| self.formulas(node, "`body`", &SEEN)).unwrap_or_default();
                let rate = entries.get("rate").map(|node| self.rate(node));
                let url = self.formula(url, "`http`", &SEEN)?;
                Some(Ask::Http { url, body: named(body), rate: rate.flatten() })
            }
            _ => {
                self.complain(place, "it takes a `command` or an `http` call");
                None
            }
        }
    }

    fn rate(&mut self, node: &Located<Node>) -> Option<Rate> {
        let entries = self.reading.mapping(node, "`rate`", &["per_second", "burst"])?;
        let most = i64::from(PER_SECOND_MAX);
        let per_second = self.required(entries, node.place, "per_second");
        let per_second = per_second.and_then(|node| self.reading.whole_number(node, "`per_second`", 1..=most));
        let burst = entries.get("burst").map_or(Some(1), |node| self.reading.whole_number(node, "`burst`", 1..=most));
        Some(Rate { per_second: u32::try_from(per_second?).ok()?, burst: u32::try_from(burst?).ok()? })
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
