//! Spina as its users meet it: real binaries on real Kafka, registry and PostgreSQL.
//!
//! Run by `make test-integration`, or `dev/with-servers cargo test -p spina-tests --test system`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod appending;
mod binaries;
mod command_line;
mod idempotency;
mod samples;
mod validation;
