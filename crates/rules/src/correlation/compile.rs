//! From `correlation.yaml` to rules. Everything that is wrong is told in one go, with file, line and column.

use std::collections::BTreeSet;

use spina_core::correlation::labels::is_label_name;

use super::duration::parse_span;
use super::{FileRules, Inhibit, Mapping, Matcher, Near, Rule, ServiceGraph, Span};
use crate::event_shape::EventShape;
use crate::expr::{Formula, Template};
use crate::known::Known;
use crate::node::{Node, Reading};
use crate::source::{Entries, Located, Place, Problem, Problems, Source, quote};

/// Most rules of a file.
pub const RULES_MAX: usize = 500;
/// Longest name of a rule, signal or receiver, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// Groups that a rule keeps unless it says otherwise.
const GROUPS_DEFAULT: usize = 10_000;
/// Most groups that a rule may ask for.
const GROUPS_MAX: i64 = 1_000_000;
/// Most dependencies between two services that a rule may look at.
const HOPS_MAX: i64 = 8;
const SECOND: Span = 1_000_000;

pub(super) type Map = Entries<Located<Node>>;

const FILE_KEYS: [&str; 11] = [
    "lateness",
    "idle",
    "resolve_after",
    "signals",
    "rules",
    "inhibit",
    "services",
    "receivers",
    "routes",
    "watch",
    "doc",
];
const RULE_KEYS: [&str; 14] = [
    "doc",
    "sources",
    "match",
    "when",
    "group_by",
    "near",
    "window",
    "open",
    "resolve",
    "span_max",
    "severity",
    "summary",
    "actions",
    "groups_max",
];

/// Compiles the file of a context against the shapes of all contexts. Without them nothing becomes a signal, and actions are
/// taken as they are: the text is one that was checked before, and events and commands may have changed since.
///
/// # Errors
/// Everything that is wrong, in the order of the lines.
pub fn compile(source: &Source, context: &str, known: Option<&Known>) -> Result<FileRules, Problems> {
    let (reading, root) = Reading::begin(source)?;
    let mut compiler = Compiler { source, reading, known, context, further: Vec::new() };
    let rules = compiler.file(&root);
    let Compiler { reading, further, .. } = compiler;
    let problems: Vec<Problem> = reading.end().into_iter().chain(further).collect();
    Problems(problems).none_or(rules)
}

pub(super) struct Compiler<'s> {
    source: &'s Source,
    pub(super) reading: Reading<'s>,
    pub(super) known: Option<&'s Known>,
    pub(super) context: &'s str,
    further: Vec<Problem>,
}

impl<'s> Compiler<'s> {
    fn file(&mut self, root: &Located<Node>) -> FileRules {
        let empty = Map::default();
        let entries = match &root.value {
            Node::Null => &empty,
            _ => self.reading.mapping(root, "a correlation file", &FILE_KEYS).unwrap_or(&empty),
        };
        let mut file = FileRules {
            context: self.context.to_owned(),
            file: self.source.file().to_owned(),
            lateness: self.span_or(entries, "lateness", 5 * SECOND),
            idle: self.span_or(entries, "idle", 30 * SECOND),
            resolve_after: self.span_or(entries, "resolve_after", 300 * SECOND),
            mappings: Vec::new(),
            rules: Vec::new(),
            inhibit: Vec::new(),
            services: ServiceGraph::default(),
            receivers: Vec::new(),
            routes: Vec::new(),
            watches: Vec::new(),
        };
        file.mappings = self.mappings(entries);
        file.rules = self.rules(entries);
        file.inhibit = self.inhibit(entries);
        file.services = self.services(entries);
        file.receivers = self.receivers(entries);
        file.routes = self.routes(entries, &file.receivers);
        file.watches = self.watches(entries);
        file
    }

    fn rules(&mut self, file: &Map) -> Vec<Rule> {
        let Some(node) = file.get("rules") else { return Vec::new() };
        let Some(entries) = self.reading.names(node, "rules") else { return Vec::new() };
        if entries.len() > RULES_MAX {
            self.reading.complain(node.place, format!("at most {RULES_MAX} rules are allowed in a file"));
        }
        entries.iter().filter_map(|(name, node)| self.rule(name, node)).collect()
    }

    fn rule(&mut self, name: &Located<String>, node: &Located<Node>) -> Option<Rule> {
        self.name("rule", name);
        let entries = self.reading.mapping(node, "a rule", &RULE_KEYS)?;
        let window = self.window(entries, name);
        let detect = self.detect(entries, name, window);
        let resolve = self.resolve(entries, &detect, window);
        let severity = self.text_of(entries, "severity").map_or_else(|| "warning".to_owned(), |text| text.value);
        let matchers = self.matchers_of(entries, "match");
        if matchers.is_empty() && !entries.iter().any(|(key, _)| key.value == "when" || key.value == "match") {
            let message = format!("{} would take every signal: say which with match or when", quote(name));
            self.reading.complain(name.place, message);
        }
        let (group_by, near) = (self.label_names(entries, "group_by"), self.near(entries));
        let labels: Vec<&str> =
            group_by.iter().chain(near.as_ref().map(|near| &near.label)).map(String::as_str).collect();
        let actions = self.actions(entries, &labels);
        Some(Rule {
            name: format!("{}/{}", self.context, name.value),
            doc: self.text_of(entries, "doc").map(|text| text.value).unwrap_or_default(),
            sources: self.sources(entries),
            matchers,
            when: self.formula_of(entries, "when", &["labels", "annotations"]),
            group_by,
            near,
            window,
            detect,
            resolve,
            span_max: entries.get("span_max").and_then(|node| self.span(node, "span_max")),
            severity,
            summary: self.template_of(entries, "summary"),
            actions,
            groups_max: self.groups_max(entries),
        })
    }

    fn groups_max(&mut self, entries: &Map) -> usize {
        let asked =
            entries.get("groups_max").and_then(|node| self.reading.whole_number(node, "groups_max", 1..=GROUPS_MAX));
        asked.and_then(|number| usize::try_from(number).ok()).unwrap_or(GROUPS_DEFAULT)
    }

    fn sources(&mut self, entries: &Map) -> Vec<Located<String>> {
        let ours = || vec![Located::new(self.context.to_owned(), Place::FILE)];
        let Some(node) = entries.get("sources") else { return ours() };
        let found = self.texts(node, "sources");
        if found.is_empty() {
            self.reading.complain(node.place, "sources names no context: leave it out to look at this one's signals");
        }
        found
    }

    fn near(&mut self, entries: &Map) -> Option<Near> {
        let node = entries.get("near")?;
        let near = self.reading.mapping(node, "near", &["label", "hops", "merge"])?;
        let label = self.text_of(near, "label").map_or_else(|| "service".to_owned(), |text| text.value);
        let Some(hops) = near.get("hops") else {
            self.reading.complain(node.place, "near needs hops: the most dependencies between two services");
            return None;
        };
        let hops = self.reading.whole_number(hops, "hops", 0..=HOPS_MAX)?;
        let merge = self.switch(near, "merge", false)?;
        Some(Near { label, hops: u32::try_from(hops).unwrap_or(0), merge })
    }

    fn inhibit(&mut self, file: &Map) -> Vec<Inhibit> {
        let Some(node) = file.get("inhibit") else { return Vec::new() };
        let items = self.reading.list(node, "inhibit").unwrap_or_default();
        items.iter().filter_map(|item| self.inhibition(item)).collect()
    }

    fn inhibition(&mut self, item: &Located<Node>) -> Option<Inhibit> {
        let entries = self.reading.mapping(item, "an inhibition", &["source", "target", "equal"])?;
        for side in ["source", "target"] {
            if entries.get(side).is_none() {
                self.reading.complain(item.place, format!("an inhibition needs {side}: matchers of the incidents"));
            }
        }
        Some(Inhibit {
            source: self.matchers_of(entries, "source"),
            target: self.matchers_of(entries, "target"),
            equal: self.label_names(entries, "equal"),
        })
    }

    fn services(&mut self, file: &Map) -> ServiceGraph {
        let mut graph = ServiceGraph::default();
        let Some(node) = file.get("services") else { return graph };
        let Some(entries) = self.reading.names(node, "services") else { return graph };
        for (service, needs) in entries.iter() {
            for needed in self.texts(needs, "what a service needs") {
                if needed.value == service.value {
                    self.reading.complain(needed.place, format!("{} cannot depend on itself", quote(service)));
                }
                graph.add(service, &needed);
            }
        }
        graph
    }

    fn mappings(&mut self, file: &Map) -> Vec<Mapping> {
        let (Some(node), Some(events)) = (file.get("signals"), self.events()) else { return Vec::new() };
        let Some(entries) = self.reading.names(node, "signals") else { return Vec::new() };
        let mut found = Vec::new();
        for (event, node) in entries.iter() {
            let Some(shape) = events.iter().find(|shape| shape.name == event.value) else {
                let known: Vec<&str> = events.iter().map(|shape| shape.name.as_str()).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                let message = format!("the context has no event {}; it has {known}", quote(event));
                self.reading.complain(event.place, message);
                continue;
            };
            match &node.value {
                Node::List(items) => found.extend(items.iter().filter_map(|item| self.mapping(event, shape, item))),
                _ => found.extend(self.mapping(event, shape, node)),
            }
        }
        found
    }

    /// The shapes of the context's own events, if any are known at all.
    fn events(&self) -> Option<&'s [EventShape]> {
        let ours = self.known?.iter().find(|(name, _)| name.as_str() == self.context);
        Some(ours.map_or(&[][..], |(_, shapes)| &shapes.events))
    }

    fn mapping(&mut self, event: &Located<String>, shape: &EventShape, node: &Located<Node>) -> Option<Mapping> {
        let entries = self.reading.mapping(node, "a signal", &["name", "when", "time", "labels"])?;
        let Some(name) = self.text_of(entries, "name") else {
            if entries.get("name").is_none() {
                self.reading.complain(node.place, "a signal needs a name: it becomes the label `signal`");
            }
            return None;
        };
        self.name("signal", &name);
        let mut labels = Vec::new();
        let named = entries.get("labels").and_then(|node| self.reading.names(node, "labels"));
        for (label, node) in named.into_iter().flat_map(Map::iter) {
            self.label_name(label);
            if label.value == "signal" {
                self.reading.complain(label.place, "the label `signal` is the signal's name: call this one otherwise");
            }
            let Some(text) = self.reading.text(node, "a label's expression") else { continue };
            let text = Located::new(text.to_owned(), node.place);
            labels.extend(self.formula_over(&text, shape).map(|formula| (label.value.clone(), formula)));
        }
        let mut over_event = |key: &str| self.text_of(entries, key).and_then(|text| self.formula_over(&text, shape));
        let (when, time) = (over_event("when"), over_event("time"));
        Some(Mapping { event: event.value.clone(), name: name.value, when, time, labels })
    }

    /// A formula over an event, whose fields must exist.
    fn formula_over(&mut self, text: &Located<String>, shape: &EventShape) -> Option<Formula> {
        let formula = self.formula(text, &["data", "event"])?;
        let data = formula.references().iter().filter(|reference| reference.value.0 == "data");
        let mut missing = Vec::new();
        for reference in data.filter(|reference| !reference.value.1.is_empty()) {
            if let Err(unknown) = shape.field(&reference.value.1) {
                let known = unknown.known.join(", ");
                missing.push((
                    reference.place,
                    format!("{} has no field {}, it has {known}", shape.name, quote(&unknown.name)),
                ));
            }
        }
        let whole = missing.is_empty();
        missing.into_iter().for_each(|(place, message)| self.reading.complain(place, message));
        whole.then_some(formula)
    }
}

/// What all parts of the file are read with.
impl Compiler<'_> {
    pub(super) fn name(&mut self, what: &str, name: &Located<String>) {
        let bytes = name.value.as_bytes();
        let letters = bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-' || *b == b'_');
        if !letters || !bytes.first().is_some_and(u8::is_ascii_lowercase) || bytes.len() > NAME_BYTES_MAX {
            let rule = format!(
                "lower-case letters, digits, hyphens and underscores, a letter first, at most {NAME_BYTES_MAX}"
            );
            self.reading.complain(name.place, format!("{} is not a {what} name: {rule}", quote(name)));
        }
    }

    pub(super) fn span(&mut self, node: &Located<Node>, what: &str) -> Option<Span> {
        if let Node::Text(text) = &node.value
            && let Some(span) = parse_span(text)
        {
            return Some(span);
        }
        let message = format!("{what} must be a span of time such as 90s, 10m, 1h30m or 2d, at most a year");
        self.reading.complain(node.place, message);
        None
    }

    pub(super) fn span_or(&mut self, entries: &Map, key: &str, otherwise: Span) -> Span {
        entries.get(key).and_then(|node| self.span(node, key)).unwrap_or(otherwise)
    }

    pub(super) fn switch(&mut self, entries: &Map, key: &str, otherwise: bool) -> Option<bool> {
        let Some(node) = entries.get(key) else { return Some(otherwise) };
        if let Node::Bool(answer) = node.value {
            return Some(answer);
        }
        self.reading.complain(node.place, format!("{key} must be true or false, not {}", node.value.kind()));
        None
    }

    pub(super) fn text_of(&mut self, entries: &Map, key: &str) -> Option<Located<String>> {
        let node = entries.get(key)?;
        self.reading.text(node, key).map(|text| Located::new(text.to_owned(), node.place))
    }

    pub(super) fn texts(&mut self, node: &Located<Node>, what: &str) -> Vec<Located<String>> {
        let items = self.reading.list(node, what).unwrap_or_default();
        let mut found: Vec<Located<String>> = Vec::new();
        for item in items {
            let Some(text) = self.reading.text(item, what) else { continue };
            if found.iter().any(|known| known.value == text) {
                self.reading.complain(item.place, format!("{} is named twice", quote(text)));
            }
            found.push(Located::new(text.to_owned(), item.place));
        }
        found
    }

    fn label_name(&mut self, name: &Located<String>) {
        if !is_label_name(name) {
            let message =
                format!("{} is not a label name: letters, digits and underscores, no digit first", quote(name));
            self.reading.complain(name.place, message);
        }
    }

    pub(super) fn label_names(&mut self, entries: &Map, key: &str) -> Vec<String> {
        let Some(node) = entries.get(key) else { return Vec::new() };
        let names = self.texts(node, key);
        names.iter().for_each(|name| self.label_name(name));
        let sorted: BTreeSet<String> = names.into_iter().map(|name| name.value).collect();
        sorted.into_iter().collect()
    }

    pub(super) fn matchers_of(&mut self, entries: &Map, key: &str) -> Vec<Matcher> {
        entries.get(key).map(|node| self.matchers(node, key)).unwrap_or_default()
    }

    pub(super) fn matchers(&mut self, node: &Located<Node>, what: &str) -> Vec<Matcher> {
        let texts = self.texts(node, what);
        if texts.is_empty() && matches!(node.value, Node::List(_)) {
            self.reading.complain(node.place, format!("{what} has no matcher, as in severity=\"page\""));
        }
        let parsed = texts.iter().map(|text| (text.place, Matcher::parse(text)));
        let (mut matchers, mut bad) = (Vec::new(), Vec::new());
        for (place, matcher) in parsed {
            match matcher {
                Ok(matcher) => matchers.push(matcher),
                Err(error) => bad.push((place, error.to_string())),
            }
        }
        bad.into_iter().for_each(|(place, message)| self.reading.complain(place, message));
        matchers
    }

    pub(super) fn formula(&mut self, text: &Located<String>, known: &[&str]) -> Option<Formula> {
        Formula::compile(self.source, text, known).map_err(|problem| self.further.push(problem)).ok()
    }

    fn formula_of(&mut self, entries: &Map, key: &str, known: &[&str]) -> Option<Formula> {
        let text = self.text_of(entries, key)?;
        self.formula(&text, known)
    }

    fn template_of(&mut self, entries: &Map, key: &str) -> Option<Template> {
        let text = self.text_of(entries, key)?;
        let compiled = Template::compile(self.source, &text, &["labels", "count", "rule"]);
        compiled.map_err(|problem| self.further.push(problem)).ok()
    }
}
