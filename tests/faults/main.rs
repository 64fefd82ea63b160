//! What happens to transactions when brokers, connections and single requests do what they can do.
//!
//! Real brokers behind a proxy that understands the protocol. Both writers go through the same; the one that speaks protocol
//! v1 also without its defences, which shows that these tests would see the harm.
//!
//! `SPINA_FAULTS=500` runs each experiment so often instead of a few times; figures go to `target/faults/`.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking and may talk")]

mod answers;
mod bench;
mod bounces;
mod cluster;
mod event_stores;
mod ledger;
mod report;
mod strays;
mod versions;
mod zombies;
