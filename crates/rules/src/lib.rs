//! Declarative contexts: YAML and CEL compiled once into the core's types, so that adding a context, a read model or
//! a rule needs no Rust.
//!
//! Everything is checked when it is loaded, and every complaint names file, line and column. What comes out is pure:
//! no clock, no randomness, no I/O besides reading the definition files.
//!
//! - [`source`]: definition files and located problems.
//! - [`node`]: a definition as a tree, read by hand so that all its problems are found at once.
//! - [`context`]: bounded contexts, their aggregates and events.
//! - [`expr`]: expressions in CEL.
//! - [`decide`]: what aggregates decide.
//! - [`projection`]: read models.
//! - [`publish`]: flat topics for everybody. [`intake`]: topics of plain JSON.
//! - [`correlation`]: what makes incidents of signals.
//! - [`saga`]: long transactions over several contexts.
//! - [`known`]: events and commands of all contexts, which both of these name.
//! - [`upcast`]: how events of older schemas are read today.

pub mod connectors;
pub mod context;
pub mod correlation;
pub mod decide;
pub mod expr;
pub mod intake;
pub mod known;
pub mod node;
pub mod projection;
pub mod publish;
pub mod saga;
pub mod source;
pub mod upcast;

pub use spina_core::event_shape;
