//! Reading when an incident opens and when it is over, and who is told.

use super::compile::{Compiler, Map};
use super::{DAYS, Detect, Format, Matcher, MuteTime, Receiver, Resolve, Route, Span, Window};
use crate::node::Node;
use crate::source::{Located, quote};

/// Most signals that a rule may count to.
const COUNT_MAX: i64 = 100_000;
/// Most steps of a sequence.
const STEPS_MAX: usize = 20;
const MINUTE: Span = 60_000_000;

impl Compiler<'_> {
    pub(super) fn window(&mut self, entries: &Map, rule: &Located<String>) -> Window {
        const KINDS: [&str; 3] = ["sliding", "tumbling", "session"];
        let default = Window::Sliding(5 * MINUTE);
        let Some(node) = entries.get("window") else { return default };
        let Some(window) = self.reading.mapping(node, "a window", &KINDS) else { return default };
        let mut given = window.iter();
        let (Some((kind, span)), None) = (given.next(), given.next()) else {
            let message = format!("the window of {} is one of sliding, tumbling, session, with its span", quote(rule));
            self.reading.complain(node.place, message);
            return default;
        };
        let Some(span) = self.span(span, &kind.value) else { return default };
        match kind.value.as_str() {
            "tumbling" => Window::Tumbling(span),
            "session" => Window::Session(span),
            _ => Window::Sliding(span),
        }
    }

    pub(super) fn detect(&mut self, entries: &Map, rule: &Located<String>, window: Window) -> Detect {
        let first = || Detect::Count { count: 1, distinct: None };
        let Some(node) = entries.get("open") else { return first() };
        if let Node::Text(text) = &node.value {
            if text != "first" {
                let message = format!("{} is not when an incident opens: write first, or a mapping", quote(text));
                self.reading.complain(node.place, message);
            }
            return first();
        }
        const KINDS: [&str; 6] = ["count", "distinct", "rate", "all_of", "sequence", "absence"];
        let Some(open) = self.reading.mapping(node, "open", &KINDS) else { return first() };
        let kinds: Vec<&str> =
            open.iter().map(|(key, _)| key.value.as_str()).filter(|key| *key != "distinct").collect();
        if kinds.len() != 1 {
            let message = format!("{} opens by exactly one of count, rate, all_of, sequence, absence", quote(rule));
            self.reading.complain(node.place, message);
            return first();
        }
        let distinct = self.text_of(open, "distinct");
        if let Some(distinct) = distinct.as_ref().filter(|_| kinds != ["count"]) {
            self.reading.complain(distinct.place, "distinct goes with count and nothing else");
        }
        self.condition(open, window, distinct.map(|text| text.value)).unwrap_or_else(first)
    }

    fn condition(&mut self, open: &Map, window: Window, distinct: Option<String>) -> Option<Detect> {
        if let Some(node) = open.get("count") {
            let count = self.reading.whole_number(node, "count", 1..=COUNT_MAX)?;
            return Some(Detect::Count { count: usize::try_from(count).ok()?, distinct });
        }
        if let Some(node) = open.get("rate") {
            return self.rate(node, window);
        }
        if let Some(node) = open.get("all_of") {
            return Some(Detect::AllOf(self.steps(node, "all_of")));
        }
        if let Some(node) = open.get("sequence") {
            return Some(Detect::Sequence(self.steps(node, "sequence")));
        }
        let node = open.get("absence")?;
        Some(Detect::Absence(self.span(node, "absence")?))
    }

    /// A rate over the window is a count in it.
    fn rate(&mut self, node: &Located<Node>, window: Window) -> Option<Detect> {
        if let Window::Session(_) = window {
            self.reading.complain(node.place, "a rate needs a window of fixed length: sliding or tumbling");
            return None;
        }
        let rate = self.reading.mapping(node, "a rate", &["signals", "per"])?;
        let (Some(signals), Some(per)) = (rate.get("signals"), rate.get("per")) else {
            self.reading.complain(node.place, "a rate is { signals: N, per: SPAN }");
            return None;
        };
        let signals = self.reading.whole_number(signals, "signals", 1..=COUNT_MAX)?;
        let per = self.span(per, "per")?;
        let count = (i128::from(signals) * i128::from(window.span()) + i128::from(per) - 1) / i128::from(per);
        if count > i128::from(COUNT_MAX) {
            let message = format!("this rate is {count} signals in the window; at most {COUNT_MAX} are counted");
            self.reading.complain(node.place, message);
            return None;
        }
        Some(Detect::Count { count: usize::try_from(count).ok()?.max(1), distinct: None })
    }

    fn steps(&mut self, node: &Located<Node>, what: &str) -> Vec<Vec<Matcher>> {
        let items = self.reading.list(node, what).unwrap_or_default();
        if !(2..=STEPS_MAX).contains(&items.len()) && matches!(node.value, Node::List(_)) {
            self.reading.complain(node.place, format!("{what} has 2 to {STEPS_MAX} steps, each a list of matchers"));
        }
        items.iter().map(|item| self.matchers(item, "a step")).collect()
    }

    pub(super) fn resolve(&mut self, entries: &Map, detect: &Detect, window: Window) -> Resolve {
        let otherwise = Resolve::Quiet(window.span());
        let Some(node) = entries.get("resolve") else { return otherwise };
        if let Detect::Absence(_) = detect {
            let message = "an absence is over when the signal comes again: leave resolve out";
            self.reading.complain(node.place, message);
        }
        if let Node::Text(text) = &node.value {
            let named = [("all", Resolve::All), ("first", Resolve::First), ("last", Resolve::Last)];
            if let Some((_, resolve)) = named.into_iter().find(|(name, _)| name == text) {
                return resolve;
            }
            let message =
                format!("{} is not when an incident is over: all, first, last or {{ quiet: SPAN }}", quote(text));
            self.reading.complain(node.place, message);
            return otherwise;
        }
        let Some(resolve) = self.reading.mapping(node, "resolve", &["quiet"]) else { return otherwise };
        let Some(quiet) = resolve.get("quiet") else {
            self.reading.complain(node.place, "resolve is all, first, last or { quiet: SPAN }");
            return otherwise;
        };
        self.span(quiet, "quiet").map_or(otherwise, Resolve::Quiet)
    }

    pub(super) fn receivers(&mut self, file: &Map) -> Vec<Receiver> {
        let Some(node) = file.get("receivers") else { return Vec::new() };
        let Some(entries) = self.reading.names(node, "receivers") else { return Vec::new() };
        entries.iter().filter_map(|(name, node)| self.receiver(name, node)).collect()
    }

    fn receiver(&mut self, name: &Located<String>, node: &Located<Node>) -> Option<Receiver> {
        self.name("receiver", name);
        let entries = self.reading.mapping(node, "a receiver", &["webhook", "format", "send_resolved"])?;
        let webhook = self.text_of(entries, "webhook");
        if let Some(url) = webhook.as_ref().filter(|url| !url.starts_with("http://") && !url.starts_with("https://")) {
            self.reading
                .complain(url.place, format!("{} is not a URL: it must begin with http:// or https://", quote(url)));
        }
        let format = match self.text_of(entries, "format") {
            None => Format::Alertmanager,
            Some(text) if text.value == "alertmanager" => Format::Alertmanager,
            Some(text) if text.value == "generic" => Format::Generic,
            Some(text) => {
                self.reading.complain(text.place, format!("unknown format {}: alertmanager or generic", quote(&text)));
                return None;
            }
        };
        let send_resolved = self.switch(entries, "send_resolved", true)?;
        Some(Receiver { name: name.value.clone(), webhook: webhook.map(|url| url.value), format, send_resolved })
    }

    pub(super) fn routes(&mut self, file: &Map, receivers: &[Receiver]) -> Vec<Route> {
        let Some(node) = file.get("routes") else { return Vec::new() };
        let items = self.reading.list(node, "routes").unwrap_or_default();
        items.iter().filter_map(|item| self.route(item, receivers)).collect()
    }

    fn route(&mut self, item: &Located<Node>, receivers: &[Receiver]) -> Option<Route> {
        const KEYS: [&str; 7] = ["match", "receiver", "group_by", "wait", "interval", "repeat", "mute"];
        let entries = self.reading.mapping(item, "a route", &KEYS)?;
        let Some(receiver) = self.text_of(entries, "receiver") else {
            if entries.get("receiver").is_none() {
                self.reading.complain(item.place, "a route needs a receiver");
            }
            return None;
        };
        if !receivers.iter().any(|known| known.name == receiver.value) {
            let message = format!("there is no receiver {}: declare it under receivers", quote(&receiver));
            self.reading.complain(receiver.place, message);
        }
        Some(Route {
            matchers: self.matchers_of(entries, "match"),
            receiver: receiver.value,
            group_by: self.label_names(entries, "group_by"),
            wait: self.span_or(entries, "wait", MINUTE / 2),
            interval: self.span_or(entries, "interval", 5 * MINUTE),
            repeat: self.span_or(entries, "repeat", 240 * MINUTE),
            mute: self.mute_times(entries),
        })
    }

    fn mute_times(&mut self, route: &Map) -> Vec<MuteTime> {
        let Some(node) = route.get("mute") else { return Vec::new() };
        let items = self.reading.list(node, "mute").unwrap_or_default();
        items.iter().filter_map(|item| self.mute_time(item)).collect()
    }

    fn mute_time(&mut self, item: &Located<Node>) -> Option<MuteTime> {
        let entries = self.reading.mapping(item, "a mute time", &["days", "from", "to"])?;
        let mut days = [entries.get("days").is_none(); 7];
        let named = entries.get("days").map(|node| self.texts(node, "days")).unwrap_or_default();
        for day in named {
            match DAYS.iter().position(|known| *known == day.value) {
                Some(at) => days[at] = true,
                None => {
                    let message = format!("unknown day {}: {}", quote(&day), DAYS.join(", "));
                    self.reading.complain(day.place, message);
                }
            }
        }
        let from = self.minute_of_day(entries, "from", 0)?;
        let to = self.minute_of_day(entries, "to", 24 * 60)?;
        if from == to {
            self.reading.complain(item.place, "a mute time that ends when it begins is none: leave both out for a day");
        }
        Some(MuteTime { days, from, to })
    }

    /// `HH:MM`, in UTC.
    fn minute_of_day(&mut self, entries: &Map, key: &str, otherwise: i64) -> Option<i64> {
        let Some(text) = self.text_of(entries, key) else {
            return entries.get(key).is_none().then_some(otherwise);
        };
        let parts = text.value.split_once(':').filter(|(hour, minute)| hour.len() == 2 && minute.len() == 2);
        let numbers = parts.and_then(|(hour, minute)| Some((hour.parse::<u8>().ok()?, minute.parse::<u8>().ok()?)));
        let minutes = numbers.map(|(hour, minute)| (i64::from(hour) * 60 + i64::from(minute), minute));
        let found = minutes.filter(|(all, minute)| *all <= 24 * 60 && *minute < 60).map(|(all, _)| all);
        if found.is_none() {
            let message = format!("{key} must be a time of the day in UTC, from 00:00 to 24:00, not {}", quote(&text));
            self.reading.complain(text.place, message);
        }
        found
    }
}
