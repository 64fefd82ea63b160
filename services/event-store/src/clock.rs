//! The only place of the event-store that asks what time it is, or waits for it to pass.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use spina_core::Timestamp;
use spina_runtime::failpoint;

/// Now. It stamps records and events without a time of their own, and ages requests; it never decides.
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let micros = i64::try_from(since_epoch.as_micros()).ok().map(|micros| micros + failpoint::clock_offset_us());
    micros.and_then(Timestamp::from_micros).unwrap_or_default()
}

/// Lets time pass between tries.
pub async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}
