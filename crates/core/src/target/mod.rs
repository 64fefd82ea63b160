//! What may be asked of a target, and when: a pace that gives way to failures, and a breaker.
//!
//! Pure: time enters as an argument, and whoever asks waits by itself.

mod breaker;
mod bucket;

pub use breaker::{Breaker, Pass, Position};
pub use bucket::{Bucket, Rate};
