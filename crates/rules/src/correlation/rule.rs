//! Rules as values: what a correlation file says, compiled.

use serde_json::{Map, Value};
use spina_core::correlation::{Labels, Signal};

use super::{ActionRule, Mapping, Matcher, Receiver, Route, ServiceGraph, Span, Watch, matches_all};
use crate::expr::{EvalError, Formula, Template, Variable};
use crate::source::Located;

/// What one file declares.
#[derive(Debug)]
pub struct FileRules {
    /// The context, which is the name of its source of signals.
    pub context: String,
    /// The file, as the user named it.
    pub file: String,
    /// How far behind its newest signal the source may still tell.
    pub lateness: Span,
    /// After this long a part of the source that never spoke is no longer waited for.
    pub idle: Span,
    /// When a firing condition without an end is over, unless it is told again.
    pub resolve_after: Span,
    /// Which events are signals.
    pub mappings: Vec<Mapping>,
    /// The rules, in the order of the file.
    pub rules: Vec<Rule>,
    /// What mutes what.
    pub inhibit: Vec<Inhibit>,
    /// Which service depends on which.
    pub services: ServiceGraph,
    /// Where notifications can go.
    pub receivers: Vec<Receiver>,
    /// Which go where; the first that matches.
    pub routes: Vec<Route>,
    /// The platform's own conditions.
    pub watches: Vec<Watch>,
}

/// One rule: which signals belong together, and when they are an incident.
#[derive(Debug)]
pub struct Rule {
    /// `<context>/<rule>`.
    pub name: String,
    /// For people.
    pub doc: String,
    /// The sources whose signals it looks at, each with its place in the file.
    pub sources: Vec<Located<String>>,
    /// Conditions on labels.
    pub matchers: Vec<Matcher>,
    /// A further condition in CEL, over `labels` and `annotations`.
    pub when: Option<Formula>,
    /// Signals with the same values of these labels belong together.
    pub group_by: Vec<String>,
    /// Signals whose services are near each other belong together too.
    pub near: Option<Near>,
    /// In which signals count together.
    pub window: Window,
    /// When an incident opens.
    pub detect: Detect,
    /// When it is over.
    pub resolve: Resolve,
    /// The longest that one incident lasts.
    pub span_max: Option<Span>,
    /// How bad it is.
    pub severity: String,
    /// What people are told, from `labels`, `count` and `rule`.
    pub summary: Option<Template>,
    /// What is asked when something happens to one of its incidents.
    pub actions: Vec<ActionRule>,
    /// Most groups that it keeps at once; signals beyond are shed, and that is told.
    pub groups_max: usize,
}

/// Grouping by distance in the graph of services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Near {
    /// The label that names the service.
    pub label: String,
    /// The most dependencies between two of them.
    pub hops: u32,
    /// Whether groups that a signal connects become one, and their incidents with them.
    pub merge: bool,
}

/// A span of event time in which signals count together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// From each signal back.
    Sliding(Span),
    /// From one multiple of the span (since 1970, UTC) to the next.
    Tumbling(Span),
    /// For as long as every gap between two signals is shorter.
    Session(Span),
}

/// When an incident opens.
#[derive(Debug)]
pub enum Detect {
    /// At the n-th signal in the window; with a label, at the n-th value of it.
    Count {
        /// How many.
        count: usize,
        /// Whose different values are counted.
        distinct: Option<String>,
    },
    /// When every one of these was seen in the window, in any order.
    AllOf(Vec<Vec<Matcher>>),
    /// When these were seen one after the other in the window.
    Sequence(Vec<Vec<Matcher>>),
    /// When no further signal came for that long after one.
    Absence(Span),
}

/// When an incident is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolve {
    /// When no signal came for that long.
    Quiet(Span),
    /// When all of its conditions have ended.
    All,
    /// When the first has.
    First,
    /// When the one that began last has.
    Last,
}

/// While an incident that matches `source` is open, those that match `target` are not notified.
#[derive(Debug)]
pub struct Inhibit {
    /// Conditions on the labels of what mutes.
    pub source: Vec<Matcher>,
    /// Conditions on the labels of what is muted.
    pub target: Vec<Matcher>,
    /// Labels that both must have the same values of.
    pub equal: Vec<String>,
}

impl Window {
    /// Its length.
    pub fn span(self) -> Span {
        match self {
            Self::Sliding(span) | Self::Tumbling(span) | Self::Session(span) => span,
        }
    }
}

impl Detect {
    /// How many signals it remembers at most to know that it holds.
    pub fn needs(&self) -> usize {
        match self {
            Self::Count { count, .. } => *count,
            Self::AllOf(steps) | Self::Sequence(steps) => steps.len(),
            Self::Absence(_) => 1,
        }
    }
}

impl Rule {
    /// Whether the signal is one of the rule's.
    ///
    /// # Errors
    /// When the condition in CEL fails on it.
    pub fn matches(&self, signal: &Signal) -> Result<bool, EvalError> {
        if !self.sources.iter().any(|source| source.value == signal.source)
            || !matches_all(&self.matchers, &signal.labels)
        {
            return Ok(false);
        }
        let Some(when) = &self.when else { return Ok(true) };
        let (labels, annotations) = (document(&signal.labels), document(&signal.annotations));
        when.holds(&[("labels", Variable::Document(&labels)), ("annotations", Variable::Document(&annotations))])
    }

    /// What people are told.
    pub fn summary(&self, group: &Labels, count: usize) -> String {
        let Some(template) = &self.summary else {
            let labels: Vec<String> = group.iter().map(|(name, value)| format!("{name}={value}")).collect();
            return format!("{} ({})", self.name, labels.join(", "));
        };
        let labels = document(group);
        template.fill(&[
            ("labels", Variable::Document(&labels)),
            ("count", Variable::Number(count as u64)),
            ("rule", Variable::Text(&self.name)),
        ])
    }
}

impl Inhibit {
    /// Whether the one mutes the other. Nothing mutes itself.
    pub fn mutes(&self, source: &Labels, target: &Labels) -> bool {
        matches_all(&self.source, source)
            && matches_all(&self.target, target)
            && source != target
            && self.equal.iter().all(|name| source.get(name) == target.get(name))
    }
}

pub(super) fn document(labels: &Labels) -> Map<String, Value> {
    labels.iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect()
}
