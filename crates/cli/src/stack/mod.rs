//! The development stack: real Kafka, schema registry and PostgreSQL without
//! Docker, and the four services on top.
//!
//! ```text
//!   spina up --> artifacts (Maven, cached) --> PostgreSQL --> registry --+
//!                                        \---> Kafka --------------------+--> four services
//!                                                                        v
//!   spina down <------------------- <dir>/stack.json: who runs, which ports, which URLs
//! ```
//!
//! Everything lives below one folder (`.spina`), and every process outlives the
//! command that started it. `stack.json` is written the moment a process exists,
//! so whatever happens to `spina up`, `spina down` knows what to stop.

mod artifacts;
#[cfg(test)]
mod compose;
mod connect;
mod down;
mod endpoints;
mod identity;
mod kafka;
mod launch;
mod leftover;
mod part;
mod ports;
mod postgres;
mod progress;
mod readiness;
mod registry;
mod services;
mod state;
mod template;
mod up;
mod versions;

pub use down::{DownArgs, Keep, down};
pub use endpoints::Endpoints;
pub use identity::Identity;
pub use part::Part;
pub use ports::PortChoice;
pub use state::Stack;
pub use up::{UpArgs, servers_up, service_up, services_up};

/// Where the stack lives unless told otherwise.
pub const DEFAULT_DIR: &str = ".spina";
