//! What a step asks of others: commands and calls.

use spina_core::saga::Ask;
use spina_core::saga::plan::Formula;
use spina_core::target::Rate;

use super::compile::{Compiler, SEEN};
use super::steps::TIMEOUT_MS;
use crate::node::Node;
use crate::source::{Entries, Located, Place};

/// Most calls per second that can be asked for, and at once.
const PER_SECOND_MAX: u32 = 10_000;
/// Shortest and longest time between heartbeats, in milliseconds: each is a record of the log. The longest is a day.
const HEARTBEAT_MS_MIN: i64 = 100;
const HEARTBEAT_MS_MAX: i64 = 86_400_000;

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
                let heartbeat = entries.get("heartbeat_ms");
                let heartbeat_us = heartbeat.and_then(|node| self.heartbeat_us(node, entries.get("timeout_ms")));
                Some(Ask::Http { url, body: named(body), rate: rate.flatten(), heartbeat_us })
            }
            _ => {
                self.complain(place, "it takes a `command` or an `http` call");
                None
            }
        }
    }

    /// Shorter than the step's time-out, or it would never be missed.
    fn heartbeat_us(&mut self, node: &Located<Node>, timeout: Option<&Located<Node>>) -> Option<i64> {
        let ms = self.reading.whole_number(node, "`heartbeat_ms`", HEARTBEAT_MS_MIN..=HEARTBEAT_MS_MAX)?;
        let timeout_ms = match timeout.map(|node| &node.value) {
            Some(Node::Int(ms)) => *ms,
            Some(_) | None => TIMEOUT_MS,
        };
        if ms >= timeout_ms {
            self.complain(node.place, format!("`heartbeat_ms` is shorter than `timeout_ms`, which is {timeout_ms}"));
        }
        Some(ms * 1_000)
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
        self.reading.check_fields(&fields, shape, command.place);
        let (context, command) = text.split_once('.')?;
        Some(Ask::Command {
            context: context.to_owned(),
            command: command.to_owned(),
            stream: stream?,
            fields: named(fields),
        })
    }
}

fn named(fields: Vec<(Located<String>, Formula)>) -> Vec<(String, Formula)> {
    fields.into_iter().map(|(name, formula)| (name.value, formula)).collect()
}
