//! Waiting until no transaction is open on a partition.
//!
//! Committed readers stop at the first open transaction. An owner that takes a partition over must not serve it before its
//! stable end is the log's end: acknowledged events behind a transaction that hangs would be invisible to everybody, the
//! owner included, and versions would be given twice.

use std::time::{Duration, Instant};

use crate::admin::PartitionEnds;
use crate::{Admin, LogError};

/// Pause between two looks. Settling takes a few milliseconds when nothing is wrong.
const PAUSE: Duration = Duration::from_millis(5);

/// Waits until the partition's stable end equals its end, and returns the ends.
///
/// # Errors
/// [`LogError::Hanging`] when it does not within `timeout`; otherwise as for [`Admin::ends`].
pub async fn wait(admin: &Admin, topic: &str, partition: i32, timeout: Duration) -> Result<PartitionEnds, LogError> {
    let begun = Instant::now();
    loop {
        let ends = admin.partition_ends(topic, partition).await?;
        if ends.stable == ends.high {
            return Ok(ends);
        }
        if begun.elapsed() >= timeout {
            return Err(LogError::Hanging { topic: topic.to_owned(), partition, stable: ends.stable, high: ends.high });
        }
        tokio::time::sleep(PAUSE).await;
    }
}
