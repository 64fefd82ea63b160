//! Signals that belong together by one rule, and the incident they may be.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use spina_core::Timestamp;
use spina_core::correlation::incident::{EVIDENCE_MAX, Ending, Evidence};
use spina_core::correlation::{Kind, Labels, Signal};
use spina_rules::correlation::{Detect, Resolve, Rule, show_span};

use super::step::Progress;

/// What a signal, or the passing of time, did to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Nothing to tell.
    Nothing,
    /// The condition came true.
    Opens,
    /// The open incident has grown enough to tell.
    Grew,
    /// The open incident is over.
    Ends(Ending),
}

/// An incident that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// Its id.
    pub incident: String,
    /// Event time of the decision.
    pub opened_at: Timestamp,
    /// Signals so far.
    pub count: i64,
    /// Signals when last told.
    told: i64,
}

/// See the [module](self).
#[derive(Debug, Clone)]
pub struct Group {
    /// What its signals have in common.
    pub labels: Labels,
    /// Services that it touches, where the rule goes by their distance.
    pub services: BTreeSet<String>,
    /// The incident, while there is one.
    pub open: Option<Open>,
    /// The latest of its signals that may be evidence.
    pub evidence: VecDeque<Evidence>,
    /// When it is to be looked at again; a timer is set for then.
    pub timer: Option<Timestamp>,
    progress: Progress,
    /// Conditions that have begun and not ended: fingerprint, and when it began.
    active: BTreeMap<u64, Timestamp>,
    last: Option<Timestamp>,
    /// That no signal came after the last one was told.
    missed: bool,
}

impl Group {
    /// A group without signals.
    pub fn new(labels: Labels) -> Self {
        Self {
            labels,
            services: BTreeSet::new(),
            open: None,
            evidence: VecDeque::new(),
            timer: None,
            progress: Progress::default(),
            active: BTreeMap::new(),
            last: None,
            missed: false,
        }
    }

    /// Takes a signal at its place in event time.
    pub fn take(&mut self, rule: &Rule, signal: &Signal, time: Timestamp) -> Turn {
        match signal.kind {
            Kind::Resolved => return self.end_condition(rule, signal, time),
            Kind::Firing => _ = self.active.insert(signal.labels.fingerprint(), time),
            Kind::Occurrence => {}
        }
        self.keep(signal);
        let last = self.last.replace(time);
        self.missed = false;
        if let Some(open) = &mut self.open {
            if let Detect::Absence(_) = rule.detect {
                return Turn::Ends(Ending::Returned);
            }
            open.count += 1;
            if open.count >= 2 * open.told {
                open.told = open.count;
                return Turn::Grew;
            }
            return Turn::Nothing;
        }
        if self.progress.note(rule, signal, time, last) { Turn::Opens } else { Turn::Nothing }
    }

    /// The incident that has just opened.
    pub fn opened(&mut self, rule: &Rule, incident: String, at: Timestamp) {
        self.missed = matches!(rule.detect, Detect::Absence(_));
        let count = i64::try_from(self.evidence.len().max(self.progress.signals())).unwrap_or(i64::MAX);
        self.open = Some(Open { incident, opened_at: at, count, told: count.max(1) });
    }

    /// An incident of this group that was over is not.
    pub fn reopened(&mut self, rule: &Rule, incident: String, count: i64, at: Timestamp) {
        self.missed = matches!(rule.detect, Detect::Absence(_));
        self.last = self.last.max(Some(at));
        self.open = Some(Open { incident, opened_at: at, count, told: count.max(1) });
    }

    /// Takes over all of another group of the same rule, and returns the incident that is part of this one's now.
    pub fn absorb(&mut self, other: Self) -> Option<Open> {
        self.services.extend(other.services);
        self.active.extend(other.active);
        self.last = self.last.max(other.last);
        self.progress.absorb(other.progress);
        self.evidence.extend(other.evidence);
        self.evidence.make_contiguous().sort_by(|a, b| (a.time, &a.id).cmp(&(b.time, &b.id)));
        self.evidence.drain(..self.evidence.len().saturating_sub(EVIDENCE_MAX));
        let theirs = other.open?;
        let Some(ours) = &mut self.open else {
            self.open = Some(theirs);
            return None;
        };
        ours.count += theirs.count;
        ours.told = ours.count;
        Some(theirs)
    }

    /// The incident is over; the count towards the next begins anew.
    pub fn closed(&mut self) {
        self.open = None;
        self.progress.clear();
        self.evidence.clear();
    }

    /// When time alone changes something; `None` if it never does.
    pub fn due(&self, rule: &Rule) -> Option<Timestamp> {
        let last = self.last?;
        let after = |time: Timestamp, span: i64| Timestamp::from_micros(time.micros().saturating_add(span));
        let Some(open) = &self.open else {
            if self.missed {
                return None;
            }
            let idle = match rule.detect {
                Detect::Absence(within) => within,
                Detect::Count { .. } | Detect::AllOf(_) | Detect::Sequence(_) => rule.window.span(),
            };
            // Conditions that have not ended are still part of the group.
            let lasting = !self.active.is_empty() && !matches!(rule.detect, Detect::Absence(_));
            return if lasting { None } else { after(last, idle) };
        };
        let span = rule.span_max.and_then(|span| after(open.opened_at, span));
        let quiet = if matches!(rule.detect, Detect::Absence(_)) || !self.active.is_empty() {
            None
        } else {
            match rule.resolve {
                Resolve::Quiet(quiet) => after(last, quiet),
                // Nothing in it has an end to wait for.
                Resolve::All | Resolve::First | Resolve::Last => after(last, rule.window.span()),
            }
        };
        match (span, quiet) {
            (Some(span), Some(quiet)) => Some(span.min(quiet)),
            (span, quiet) => span.or(quiet),
        }
    }

    /// Time has come to [`Self::due`]. `None`: the group is of no use any more.
    pub fn pass(&mut self, rule: &Rule, time: Timestamp) -> Option<Turn> {
        let Some(open) = &self.open else {
            return if matches!(rule.detect, Detect::Absence(_)) { Some(Turn::Opens) } else { None };
        };
        let spanned = rule.span_max.is_some_and(|span| time.micros() >= open.opened_at.micros().saturating_add(span));
        Some(Turn::Ends(if spanned { Ending::Span } else { Ending::Quiet }))
    }

    /// Whether nothing can come of it before another signal: an absence that was told, and is told no longer.
    pub fn is_spent(&self) -> bool {
        self.missed && self.open.is_none()
    }

    /// Why the condition holds.
    pub fn reason(&self, rule: &Rule) -> String {
        match rule.detect {
            Detect::Absence(within) => format!("no signal for {}", show_span(within)),
            Detect::Count { .. } | Detect::AllOf(_) | Detect::Sequence(_) => {
                format!("{} within {}", self.progress.show(rule), show_span(rule.window.span()))
            }
        }
    }

    /// How far it has come without opening an incident, for people.
    pub fn verdict(&self, rule: &Rule) -> String {
        match &self.open {
            Some(open) => format!("incident {} is open", open.incident),
            None => self.progress.show(rule),
        }
    }

    /// Time of the last signal.
    pub fn last(&self) -> Timestamp {
        self.last.unwrap_or_default()
    }

    /// The rules changed: what was counted for another condition does not count for this one.
    pub fn restart(&mut self) {
        self.progress.clear();
        self.timer = None;
    }

    fn end_condition(&mut self, rule: &Rule, signal: &Signal, time: Timestamp) -> Turn {
        let newest = self.active.iter().max_by_key(|(_, began)| **began).map(|(fingerprint, _)| *fingerprint);
        let fingerprint = signal.labels.fingerprint();
        if self.active.remove(&fingerprint).is_none() {
            return Turn::Nothing;
        }
        // Silence is counted from the end of the last condition.
        self.last = self.last.max(Some(time));
        let over = match rule.resolve {
            Resolve::All => self.active.is_empty(),
            Resolve::First => true,
            Resolve::Last => newest == Some(fingerprint),
            Resolve::Quiet(_) => false,
        };
        if over && self.open.is_some() { Turn::Ends(Ending::Ended) } else { Turn::Nothing }
    }

    fn keep(&mut self, signal: &Signal) {
        if self.open.is_some() && self.evidence.len() >= EVIDENCE_MAX {
            return;
        }
        if self.evidence.len() >= EVIDENCE_MAX {
            self.evidence.pop_front();
        }
        self.evidence.push_back(Evidence::from(signal));
    }
}
