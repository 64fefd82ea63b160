//! projector: fills read models from the event log, exactly once, and serves them.
//!
//! ```text
//! <ctx>.events.v1 --LogReader--> decode --> project --> coalesce --> one PostgreSQL transaction: rows + checkpoint
//!                               (only the fields a model uses)
//! ```
//!
//! A model is the unit of progress: each has its own readers (one for each context that it reads), checkpoint and pace, so a slow or failed one holds up no
//! other. Nothing is kept here that PostgreSQL and the log do not have; the process may die on any line.

mod config;
mod http;
mod intake;
mod metrics;
mod passing;
mod project;
mod publish;
mod replay;
mod service;
mod wiring;

pub use service::Service;
