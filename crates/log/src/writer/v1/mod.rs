//! The second writer: rdkafka, which speaks transaction protocol v1. For comparison, and for brokers without v2.
//!
//! With v1 a producer keeps its epoch from transaction to transaction. A request that was thought lost, and was sent again
//! with success, can arrive late and act on a *later* transaction: commit what is to be aborted, abort or tear what is to be
//! committed. The client tells nobody. So this writer defends itself:
//!
//! - A lane is retired after any disturbance: a connection lost, a request timed out, an abort with records on their way,
//!   a commit or abort slower than [`SLOW`]. The call in question still gets its own answer; the next one hears that the
//!   lane is broken. Opening the id again gives a new epoch, which fences whatever is still in the network.
//! - It is the owner who opens it again, not the lane: a lane that did so by itself could take the id back from a new owner
//!   without reading what that has written.
//! - Every record's delivery is awaited before the commit, consumed offsets are part of the transaction, and a commit that
//!   fails after a disturbance is in doubt, whatever the client says of it.
//! - Calls block, so each lane has a thread.

mod lane;
mod outcome;
mod producer;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{Lane, Lanes};
use crate::{LogConfig, LogError};

/// A commit or abort that took longer is taken for a disturbance. They take milliseconds; what takes a second has met a lost
/// request or a broker in trouble.
const SLOW: Duration = Duration::from_secs(1);

/// Whether lanes defend themselves against late requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Defences {
    On,
    /// For the test that proves that late requests do harm, and that it would see it.
    Off,
}

/// Opens lanes that speak transaction protocol v1, each with a connection and a thread of its own.
#[derive(Debug, Clone)]
pub struct LaneFactoryV1 {
    config: LogConfig,
    defences: Defences,
}

impl LaneFactoryV1 {
    /// For those brokers; it does not ask whether they are there.
    pub fn new(config: &LogConfig) -> Self {
        Self { config: config.clone(), defences: Defences::On }
    }

    /// The same without its defences, as the client comes: it loses and invents data when the network misbehaves.
    #[doc(hidden)]
    pub fn without_defences(config: &LogConfig) -> Self {
        Self { config: config.clone(), defences: Defences::Off }
    }
}

#[async_trait]
impl Lanes for LaneFactoryV1 {
    async fn open(&self, transactional_id: &str) -> Result<Arc<dyn Lane>, LogError> {
        Ok(Arc::new(lane::LaneV1::open(&self.config, transactional_id, self.defences).await?))
    }
}
