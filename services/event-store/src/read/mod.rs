//! Reading: streams, states, subscriptions.

mod catch_up;
pub mod decode;
pub mod entry;
pub mod filter;
mod gapless;
pub mod hub;
pub mod page;
mod places;
#[cfg(test)]
mod samples;
pub mod scan;
pub mod snapshots;
pub mod state;
pub mod stream;
pub mod subscription;
