//! Long work that people ask for. What is kept here is for people and for whoever goes on with it; that nothing is done
//! twice does not rest on it.

mod notices;
mod read;
mod work;

use serde_json::Value;
use spina_core::Timestamp;
use uuid::Uuid;

pub use notices::JobNotice;

/// Most jobs of a list.
pub const JOBS_LIST_MAX: u32 = 1000;
/// Most jobs that have not ended.
pub const OPEN_MAX: i64 = 1000;

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// Somebody works on it, or will.
    Running,
    /// It rests until a person resumes it.
    Paused,
    /// It was given up by a person.
    Cancelled,
    /// It is done.
    Done,
    /// It cannot go on; a person may resume it once the cause is mended.
    Failed,
}

impl JobState {
    const ALL: [Self; 5] = [Self::Running, Self::Paused, Self::Cancelled, Self::Done, Self::Failed];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Cancelled => "cancelled",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }

    fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// What a person may do with a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Steering {
    /// Let it rest.
    Pause,
    /// Go on with it.
    Resume,
    /// Give it up.
    Cancel,
}

impl Steering {
    /// Its name, the states that it fits, and the one it leads to.
    fn meaning(self) -> (&'static str, &'static [&'static str], JobState) {
        match self {
            Self::Pause => ("pause", &["running"], JobState::Paused),
            Self::Resume => ("resume", &["paused", "failed"], JobState::Running),
            Self::Cancel => ("cancel", &["running", "paused", "failed"], JobState::Cancelled),
        }
    }
}

/// How far a job is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobProgress {
    /// Next offset to look at, by partition.
    pub next_offsets: Vec<i64>,
    /// Where the records begin that were written since, by partition of the target.
    pub target_next: Vec<i64>,
    /// Events that matched.
    pub matched: i64,
}

/// A job to be.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    /// Its id.
    pub id: Uuid,
    /// Bounded context.
    pub context: String,
    /// What is to be done.
    pub spec: Value,
    /// Who wants it.
    pub requested_by: String,
    /// Why.
    pub reason: String,
    /// First offset, by partition.
    pub starts: Vec<i64>,
    /// The offset to stop before, by partition.
    pub ends: Vec<i64>,
    /// The target's ends, by partition; empty if it is no topic.
    pub target_next: Vec<i64>,
}

/// A job.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Its id.
    pub id: Uuid,
    /// Bounded context.
    pub context: String,
    /// What is to be done.
    pub spec: Value,
    /// Where it stands.
    pub state: JobState,
    /// Who wanted it.
    pub requested_by: String,
    /// Why.
    pub reason: String,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it was last steered, or ended.
    pub changed_at: Timestamp,
    /// First offset, by partition.
    pub starts: Vec<i64>,
    /// The offset to stop before, by partition.
    pub ends: Vec<i64>,
    /// How far it is.
    pub progress: JobProgress,
    /// What went wrong last.
    pub error: Option<String>,
    /// Whether a process has it in hand, as far as is known.
    pub in_hand: bool,
    /// Number of the claim.
    pub epoch: i64,
}

/// What was done with a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobEntry {
    /// `ask`, `pause`, `resume`, `cancel`, `done`, `failed`.
    pub verb: String,
    /// Who; the service's name where it was no person.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}
