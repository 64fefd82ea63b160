//! What Spina relies on of the log, on a real broker: windows are whole or not there, an owner that lost its claim writes
//! nothing, readers see committed records only, members get their partitions in order.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking and may talk")]

mod killed;
mod membership;
mod reading;
mod support;
mod topics;
mod writing;
