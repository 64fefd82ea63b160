//! spina-runtime: the shell that every Spina process shares.
//!
//! A service is a pure function over a log; this crate is what surrounds it. It reads the configuration whole before
//! anything starts, sets up logs, traces and metrics, serves HTTP with one error format, tells the world whether the
//! process is ready and why not, and brings it down in order.
//!
//! ```text
//! config -> logging -> build (the service's own wiring) -> serve -> drain
//! ```
//!
//! [`run`] ties the five together, so that a service's `main` is one call.

pub mod commands;
pub mod config;
pub mod failpoint;
pub mod health;
pub mod http;
pub mod known;
pub mod metrics;
pub mod openapi;
pub mod processor;
pub mod readings;
pub mod retry;
mod service;
pub mod shutdown;
pub mod tasks;
pub mod telemetry;
pub mod written;

pub use commands::Commands;
pub use config::{CommonConfig, ServiceConfig};
pub use health::{Condition, Readiness};
pub use http::{Api, ApiError, ApiJson, ApiPath, ApiQuery, ApiResult, REQUEST_ID, current_request_id};
pub use metrics::Metrics;
pub use service::{Context, run};
pub use shutdown::Shutdown;
pub use tasks::Tasks;
pub use written::Written;

/// Decoding and batching allocate much and free in other threads: glibc's allocator took 45 % of the event-store's time
/// in an import.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
