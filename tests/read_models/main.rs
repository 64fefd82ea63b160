//! What the projector relies on of its tables, on a real PostgreSQL: batches are whole or not there, a writer that lost
//! its lease writes nothing, a swap is one step, and queries find what a naive filter finds.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod children;
mod filters;
mod joins;
mod leases;
mod queries;
mod rows;
mod sagas;
mod support;
