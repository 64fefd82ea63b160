//! Deciding by rules: the commands of `context.yaml`, compiled once against the schemas of commands and events.
//!
//! ```text
//! state, command ─▶ require ─▶ emit ─▶ events ─▶ evolve ─▶ state
//!                      └─ the first rule that does not hold: its code and message
//! ```
//!
//! Rules see `state` (the fold of the stream's events), `command` (its fields), and of the stream `stream`, `key` and
//! `version`. The fold sees `state`, `data` and `event`, as projections do. Nothing sees a clock: time that matters to a
//! decision is a field of the command.

mod compile;
mod decider;
mod fields;
mod unique;

pub use compile::{Shapes, compile};
pub use decider::{EVENTS_MAX, RuleDecider};

#[cfg(test)]
mod tests;
