//! Where the log ends, for lag and progress.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::future::join_all;
use spina_log::Admin;
use spina_runtime::shutdown::sleep;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How often the brokers are asked without anybody asking us.
const INTERVAL: Duration = Duration::from_secs(2);
/// How long a caller waits for a fresh answer before the last one has to do.
const FRESH_TIMEOUT: Duration = Duration::from_secs(1);

/// The stable ends of a topic's partitions: where committed readers stop.
#[derive(Debug, Clone)]
pub struct Ends {
    admin: Arc<OnceLock<Arc<Admin>>>,
    topic: String,
    stable: watch::Sender<Arc<Vec<i64>>>,
}

impl Ends {
    /// Nothing known yet, and nobody to ask.
    pub fn new(topic: String) -> Self {
        Self { admin: Arc::default(), topic, stable: watch::Sender::new(Arc::default()) }
    }

    /// From now on the brokers can be asked.
    pub fn connected(&self, admin: Arc<Admin>) {
        self.admin.get_or_init(|| admin);
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// As they were known last; empty before the first answer.
    pub fn last(&self) -> Arc<Vec<i64>> {
        self.stable.borrow().clone()
    }

    /// As they are now, if the brokers answer within a second.
    pub async fn fresh(&self) -> Arc<Vec<i64>> {
        if let Some(admin) = self.admin.get()
            && let Ok(Ok(mut ends)) = tokio::time::timeout(FRESH_TIMEOUT, admin.ends(&self.topic)).await
        {
            ends.sort_by_key(|ends| ends.partition);
            self.stable.send_replace(Arc::new(ends.iter().map(|ends| ends.stable).collect()));
        }
        self.last()
    }
}

/// The ends of several topics as they are now, in their order.
pub async fn fresh(all: &[Ends]) -> Vec<Arc<Vec<i64>>> {
    join_all(all.iter().map(Ends::fresh)).await
}

/// Keeps the ends of topics known, and calls `then` each time.
pub async fn watch(all: Vec<Ends>, stopping: CancellationToken, then: impl Fn()) -> anyhow::Result<()> {
    loop {
        fresh(&all).await;
        then();
        if !sleep(&stopping, INTERVAL).await {
            return Ok(());
        }
    }
}

/// Offsets between a checkpoint and the stable end. Markers of transactions are among them as long as the end was not
/// reached; at the end the checkpoint has passed them and nothing is left, which "end minus offset of the last record"
/// never says.
pub fn behind(next_offsets: &[i64], stable: &[i64]) -> i64 {
    next_offsets.iter().zip(stable).map(|(next, stable)| (stable - next).max(0)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_that_are_ahead_do_not_make_up_for_others() {
        assert_eq!(behind(&[10, 5], &[10, 7]), 2);
        assert_eq!(behind(&[12, 5], &[10, 7]), 2, "an end that was asked for earlier");
        assert_eq!(behind(&[0, 0], &[]), 0);
    }
}
