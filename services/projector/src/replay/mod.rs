//! Replay jobs: events of the log once more, to a topic, an HTTP endpoint or a read model.
//!
//! ```text
//! POST /v1/jobs ─▶ spina.jobs ─▶ Watch claims ─▶ Runner: log ─▶ selection ─▶ pace ─▶ Outlet (topic, HTTP, model, or only counted)
//!                                                 │ fence, read back what was written, go on (ADR 0028)
//! ```
//!
//! A job reads the log by itself: no consumer group is touched. What it is to do and how far it is lies in the database;
//! any process may go on with it.

mod notices;
mod outlet;
mod post;
mod remake;
mod runner;
mod topic;
mod watch;

use serde::{Deserialize, Serialize};
use spina_core::Selection;

pub use notices::Notices;
pub use watch::{Watch, Works};

/// What a replay job is to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// Which events.
    pub selection: Selection,
    /// Where to.
    pub target: Target,
    /// Only count what matches.
    pub dry_run: bool,
    /// Most events a second.
    pub rate: Option<u32>,
}

/// Where events are replayed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// A topic: each event exactly once.
    Topic(String),
    /// An HTTP endpoint: each event at least once, in order.
    Http(String),
    /// A read model of the context: the rows that the events touch are made anew.
    Projection(String),
}

/// Why a run ended early.
#[derive(Debug)]
enum Trouble {
    /// It may pass: the job is begun again where it was.
    Passing(String),
    /// It will not pass.
    Final(String),
    /// Another process has the job.
    Lost,
}
