//! Read models: `projections.yaml` compiled into pure functions from events to row changes.
//!
//! ```text
//! projections.yaml + event shapes -> compile -> Model
//! Model::project(event)           -> changes of rows
//! ```
//!
//! A model whose key is exactly `event.stream` sees its events in order, so every operation is allowed. Any other key
//! is fed from several partitions at once and has no order: only operations that commute are allowed, and the others
//! are refused when the definition is loaded. The same holds for the rows of its child tables, which belong to its rows.
//!
//! A rule may name an event of another context. Between contexts there is no order at all, so what would depend on one is
//! refused: deleting rows that several contexts write, and setting a column from two of them (ADR 0046).

mod cell;
mod children;
mod compile;
mod definition;
mod fingerprint;
mod input;
mod join;
mod key;
mod model;
mod rule;
mod table;

#[cfg(test)]
mod tests;

pub use compile::compile;
pub use input::{ContextEvents, Input, contexts_named};
pub use model::{Model, ProjectError, WantedFields};
