//! Deciding: the one writer of each partition.
//!
//! ```text
//! HTTP, import ──┐                       lanes (transactional ids)
//!                ├─▶ queue ─▶ partition ─┬▶ stage n+1 ─┐ gate ┌▶ commit ─▶ answer
//! commands topic ┘      judge, version   └▶ stage n ───┴──────┘      └───▶ tail ─▶ archive
//! ```

pub mod append;
pub mod lanes;
pub mod partition;
pub mod recover;
pub mod reply;
pub mod tail;
pub mod takeover;
pub mod window;

#[cfg(test)]
pub mod samples;
