//! Spina as its users meet it: real binaries on real Kafka, registry and PostgreSQL.
//!
//! Run by `make test-integration`, or `dev/with-servers cargo test -p spina-tests --test system -- --test-threads=1`.
//! Tests run one after the other, by name: [`demo`] looks at the flights before [`readme`] may add to them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod appending;
mod binaries;
mod command_line;
mod demo;
mod idempotency;
mod imports;
mod kafka_clients;
mod killing;
mod models;
mod readme;
mod rebuilding;
mod replaying;
mod samples;
mod subscribing;
mod validation;
