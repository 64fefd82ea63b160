//! The only place of the alert-correlator that asks what time it is. It stamps records; decisions go by those.

use std::time::{SystemTime, UNIX_EPOCH};

use spina_core::Timestamp;

/// Now.
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_micros()).ok().and_then(Timestamp::from_micros).unwrap_or_default()
}
