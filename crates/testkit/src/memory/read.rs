//! Reading a partition once nothing is open in it.

use spina_core::planted::{self, Bug};
use spina_log::{Fetched, LogError};
use tokio::time::{Duration, sleep};

use super::{Journey, MemoryLog, Request, unreachable_log};

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(5);
/// Looks before the partition is said to hang: 15 s, as on brokers.
const LOOKS_MAX: u32 = 3_000;

impl MemoryLog {
    /// Waits until the partition's stable end is its end; then that end, and the committed records from `from` on.
    ///
    /// # Errors
    /// [`LogError::Hanging`] when a transaction stays open, [`LogError::Client`] when the network fails.
    pub async fn settled(&self, topic: &str, partition: i32, from: i64) -> Result<(i64, Vec<Fetched>), LogError> {
        if let Some(passage) = self.passage(Request::Read) {
            sleep(Duration::from_millis(passage.request_ms + passage.answer_ms)).await;
            if passage.journey != Journey::Through {
                return Err(unreachable_log(&format!("read {topic}")));
            }
        }
        for _ in 0..LOOKS_MAX {
            let (stable, high) = (self.stable_end(topic, partition), self.end(topic, partition));
            if stable == high || planted::is(Bug::ReadUnsettled) {
                let mut records = self.committed(topic, partition);
                records.retain(|record| record.offset >= from);
                return Ok((high, records));
            }
            sleep(PAUSE).await;
        }
        let (stable, high) = (self.stable_end(topic, partition), self.end(topic, partition));
        Err(LogError::Hanging { topic: topic.to_owned(), partition, stable, high })
    }
}
