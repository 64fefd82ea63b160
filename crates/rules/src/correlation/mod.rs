//! Correlation rules, declared in `topology/<context>/correlation.yaml`.
//!
//! ```yaml
//! lateness: 2h                       # how far behind its newest signal a source may still tell
//! signals:                           # which of the context's events are signals
//!   FlightCancelled:
//!     name: cancellation             # becomes the label `signal`
//!     labels: { airport: data.origin, carrier: data.carrier }
//! rules:
//!   storm:
//!     match: ['signal="cancellation"']
//!     group_by: [airport]
//!     window: { sliding: 6h }
//!     open: { count: 30 }            # or first, all_of, sequence, absence, rate
//!     resolve: { quiet: 12h }        # or all, first, last (of firing alerts)
//!     actions:                       # commands that are asked when something happens to an incident of the rule
//!       - on: opened                 # or reopened, acknowledged, mitigated, resolved
//!         command: ops.CloseAirport  # of any context
//!         stream: "'airport-' + labels.airport"
//!         fields: { reason: summary }  # formulas see labels (of group_by), count, rule, severity, summary, incident
//! inhibit:
//!   - { source: ['rule="flights/storm"'], target: ['rule="flights/delays"'], equal: [airport] }
//! ```
//!
//! [`compile`] reads one file and tells everything that is wrong with it; [`RuleSet::of`] puts the files together.

mod action;
mod compile;
mod detect;
mod duration;
mod graph;
mod mapping;
mod matcher;
mod notify;
mod rule;
mod set;
mod watch;

pub use action::ActionRule;
pub use compile::compile;
pub use duration::{SPAN_MAX, Span, parse_span, show_span};
pub use graph::ServiceGraph;
pub use mapping::Mapping;
pub use matcher::{BadMatcher, Matcher, matches_all};
pub use notify::{DAYS, Format, MuteTime, Receiver, Route};
pub use rule::{Detect, FileRules, Inhibit, Near, Resolve, Rule, Window};
pub use set::{CORRELATION_FILE, RuleSet};
pub use watch::{Reading, Watch};

#[cfg(test)]
mod tests;
