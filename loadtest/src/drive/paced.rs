//! Open loop: requests are due at a fixed rate, whatever the answers do. Latency counts from when a request was due, so a
//! stall is seen by every request that it held up.
//!
//! ```text
//! pacer (thread) ─ n is due ─▶ first idle client ─▶ answer; latency = now - due(n)
//! ```

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use super::{Done, Driven, Part, gather, nanos};
use crate::client::Client;
use crate::script::Script;

/// Due requests that wait for a client. The pacer stops when there are more; they are late all the same.
const DUE_MAX: usize = 10_000;

/// Drives the clients at `rate` requests a second for that long.
pub async fn paced<C: Client>(
    clients: Vec<C>,
    script: &Arc<Script>,
    rate: u32,
    duration: Duration,
) -> anyhow::Result<Driven> {
    let (due, turns) = mpsc::channel(DUE_MAX);
    let turns = Arc::new(Mutex::new(turns));
    let count = duration.as_secs() * u64::from(rate);
    let began = Instant::now();
    let mut running = JoinSet::new();
    for mut client in clients {
        let (script, turns) = (Arc::clone(script), Arc::clone(&turns));
        running.spawn(async move {
            let mut part = Part::new();
            loop {
                let turn = turns.lock().await.recv().await;
                let Some(n) = turn else { return Ok(part) };
                let invoked = nanos(began);
                let outcome = client.append(&script, n).await?;
                let latency = began.elapsed().saturating_sub(due_after(n, rate));
                part.add(Done { n, invoked, completed: nanos(began), outcome }, latency);
            }
        });
    }
    let pacer = thread::Builder::new().name("pacer".to_owned()).spawn(move || pace(began, rate, count, &due));
    let pacer = pacer.context("start the pacer")?;
    let driven = gather(running, began).await;
    // With the clients gone, it has ended or ends at its next turn.
    let paced = pacer.join().is_ok();
    anyhow::ensure!(paced, "the pacer panicked");
    driven
}

/// When request `n` is due, from the beginning on.
pub fn due_after(n: u64, rate: u32) -> Duration {
    Duration::from_nanos(n * 1_000_000_000 / u64::from(rate))
}

/// Says of each request that it is due. A thread of its own sleeps to about 60 us; the runtime's timers would to a millisecond.
pub fn pace(began: Instant, rate: u32, count: u64, due: &mpsc::Sender<u64>) {
    for n in 0..count {
        thread::sleep(due_after(n, rate).saturating_sub(began.elapsed()));
        if due.blocking_send(n).is_err() {
            return;
        }
    }
}
