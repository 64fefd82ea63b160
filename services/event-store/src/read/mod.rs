//! Reading: streams, states, subscriptions.

pub mod decode;
pub mod snapshots;
pub mod state;
pub mod stream;
pub mod subscription;
