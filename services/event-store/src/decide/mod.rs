//! Deciding: the one writer of each partition.
//!
//! ```text
//! HTTP, import ──┐                       lanes (transactional ids)
//!                ├─▶ queue ─▶ partition ─┬▶ stage n+1 ─┐ gate ┌▶ commit ─▶ answer
//! commands topic ┘      judge, version   └▶ stage n ───┴──────┘      └───▶ tail ─▶ archive
//! ```

pub mod append;
pub mod command;
pub mod confirm;
pub mod deciding;
pub mod equipment;
pub mod heal;
pub mod lanes;
mod pace;
pub mod partition;
pub mod queue;
pub mod recognise;
pub mod recollection;
pub mod recover;
pub mod reply;
pub mod same_log;
pub mod settled_log;
mod states;
pub mod tail;
pub mod takeover;
pub mod window;

#[cfg(test)]
pub mod samples;
#[cfg(test)]
pub mod simulation;
