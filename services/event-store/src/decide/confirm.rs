//! Proof that nobody else writes the partition, for answers that would rest on memory alone.
//!
//! An owner that was frozen or cut off may have a successor and not know it. What it *writes* then is fenced; a conflict
//! writes nothing. Most conflicts are true for ever, since versions never fall. The one exception is a writer who is ahead
//! of what this owner knows: it is wrong, or it has heard of a successor's events. A window that commits proves that there
//! was no successor when it committed. A window with nothing to commit looks into the log instead, while nothing of this
//! owner is open in it: any event there that it does not know is a successor's.

use std::sync::Arc;

use spina_log::WriteError;
use tracing::warn;

use super::settled_log::SettledLog;

/// What a look into the log has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// One past the last event that is in it; 0 if there is none from where the look began.
    UpTo(i64),
    /// It could not be read.
    Failed,
}

impl Look {
    /// Looks at what is committed from an offset on.
    pub async fn at(log: Arc<dyn SettledLog>, topic: Arc<str>, partition: i32, from: i64) -> Self {
        match log.read_settled(&topic, partition, from).await {
            Ok(read) => Self::UpTo(read.records.last().map_or(0, |record| record.offset + 1)),
            Err(error) => {
                warn!(partition, %error, "cannot confirm a conflict");
                Self::Failed
            }
        }
    }

    /// Whether there are events beyond what the owner knows.
    pub fn shows_successor(self, next_offset: i64) -> bool {
        matches!(self, Self::UpTo(end) if end > next_offset)
    }
}

/// What becomes of the windows of an owner that has learned of its successor.
pub fn succeeded() -> WriteError {
    WriteError::Fenced { in_doubt: false, reason: "the log has events of another owner".to_owned() }
}
