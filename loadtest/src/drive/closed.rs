//! Closed loop: every client sends its next request when the last one was answered. For throughput; its latencies leave
//! out what waiting clients would have seen.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::{Done, Driven, Part, gather, nanos};
use crate::client::Client;
use crate::script::Script;

/// Drives the clients for that long.
pub async fn closed<C: Client>(clients: Vec<C>, script: &Arc<Script>, duration: Duration) -> anyhow::Result<Driven> {
    let next = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let mut running = JoinSet::new();
    for mut client in clients {
        let (script, next) = (Arc::clone(script), Arc::clone(&next));
        running.spawn(async move {
            let mut part = Part::new();
            while began.elapsed() < duration {
                let n = next.fetch_add(1, Ordering::Relaxed);
                let (invoked, sent) = (nanos(began), Instant::now());
                let outcome = client.append(&script, n).await?;
                part.add(Done { n, invoked, completed: nanos(began), outcome }, sent.elapsed());
            }
            Ok(part)
        });
    }
    gather(running, began).await
}
