//! Spina as its users meet it: real binaries on real Kafka, registry and PostgreSQL.
//!
//! Run by `make test-integration`, or `dev/with-servers cargo test -p spina-tests --test system -- --test-threads=1`.
//! Tests run one after the other, by name: [`alerting`], its like and [`booking`] come before [`demo`], which leaves services
//! of its own running, and [`demo`] looks at the flights before [`readme`] may add to them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod alerting;
mod alerting_itself;
mod alerting_kills;
mod alertmanager;
mod appending;
mod auditing;
mod auditing_models;
mod binaries;
mod booking;
mod booking_nasty;
mod booking_steered;
mod command_line;
mod connecting;
mod deciding;
mod demo;
mod doctor;
mod evolving;
mod example;
mod following;
mod forwarding;
mod fresh;
mod idempotency;
mod imports;
mod jobs;
mod kafka_clients;
mod kept;
mod killing;
mod models;
mod moving;
mod nasty_05;
mod nasty_13;
mod nasty_14;
mod nasty_16;
mod nasty_21;
mod nasty_appends;
mod nasty_database;
mod nasty_kills;
mod nasty_lost_log;
mod nasty_projector;
mod nasty_repeats;
mod nasty_writers;
mod noticing;
mod outbox;
mod parcels;
mod parking;
mod poisoning;
mod publishing;
mod readback;
mod reading;
mod readme;
mod rebuilding;
mod relaying;
mod remaking;
mod replaying;
mod replies;
mod samples;
mod shadowing;
mod sinking;
mod steering;
mod subscribers;
mod subscribing;
mod taking_in;
mod telling;
mod unarchived;
mod undecodable;
mod unique;
mod validation;
