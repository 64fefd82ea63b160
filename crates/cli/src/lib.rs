//! The `spina` command: every verb in a module of its own, and what they share.
//!
//! - [`args`]: the command line. [`failure`]: errors and exit codes. [`output`], [`table`]: what is printed.
//! - [`reach`]: where Spina runs. [`client`]: calls to the services.
//! - one module per verb: `up` and `down` in [`stack`], the others under their own names.

pub mod args;
pub mod client;
pub mod demo;
pub mod doctor;
pub mod event;
pub mod failure;
pub mod import;
pub mod model;
pub mod observe;
pub mod output;
pub mod projection;
pub mod publish;
pub mod reach;
pub mod read;
pub mod replay;
pub mod stack;
pub mod state;
pub mod status;
pub mod table;
pub mod tail;
pub mod topology;
