//! The `spina` command: every verb in a module of its own, and what they share.
//!
//! - [`args`]: the command line. [`failure`]: errors and exit codes. [`output`], [`table`]: what is printed.
//! - [`reach`]: where Spina runs. [`client`]: calls to the services.
//! - one module per verb: `up` and `down` in [`stack`], the others under their own names.

pub mod args;
pub mod audit;
pub mod client;
pub mod command;
pub mod connect;
pub mod dead_letter;
pub mod demo;
pub mod doctor;
pub mod event;
pub mod export;
pub mod failure;
pub mod import;
pub mod incident;
pub mod job;
pub mod model;
pub mod observe;
pub mod outbox;
pub mod output;
pub mod projection;
pub mod publish;
pub mod reach;
pub mod read;
pub mod replay;
pub mod rules;
pub mod saga;
pub mod sending;
pub mod snapshot;
pub mod stack;
pub mod state;
pub mod status;
pub mod table;
pub mod tail;
pub mod topology;
