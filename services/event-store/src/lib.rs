//! event-store: the one writer of a context's events.
//!
//! Appends come over HTTP and through the commands topic. Each partition has one owner, which gives versions, writes in
//! transactions and answers after the commit. PostgreSQL is an archive behind the log, never on the way of an append.

mod archive;
mod clock;
mod commands;
mod config;
mod context;
mod contexts;
mod decide;
mod deciders;
mod forward;
mod http;
mod import;
mod metrics;
mod own;
mod prepare;
mod read;
mod readback;
mod service;
mod serving;
mod submit;
mod topics;
mod unique;
mod wiring;

pub use service::Service;
