//! The gate: a mixed load through faults of every kind, and the question whether anything was lost, doubled or torn.
//!
//! ```text
//! schedule (seeded) ─▶ nemesis ─▶ kills, freezes, restarts ─▶ event-stores, projector, broker, PostgreSQL
//! swarm ─▶ HTTP, commands topic, imports, server-sent events ─▶ journals ─┐
//!                                                      log read back ─────┴─▶ verdict ─▶ report
//! ```
//!
//! - [`arena`]: what everybody shares: addresses, the clock, who was acknowledged when. [`event`]: what is appended.
//! - [`swarm`]: the clients, each with a [`journal`] of what it sent and was answered.
//! - [`nemesis`]: faults, their schedule, and how long it took to recover from each.
//! - [`verdict`]: the invariants, checked on journals, log, states and read model. [`report`]: for people and programs.

pub mod arena;
pub mod event;
pub mod journal;
pub mod nemesis;
pub mod nodes;
pub mod report;
pub mod rng;
pub mod run;
pub mod send;
pub mod swarm;
pub mod verdict;
