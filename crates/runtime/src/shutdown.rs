//! Stopping in order: no new requests first, then no more work.
//!
//! ```text
//! SIGTERM or a failed task -> draining: not ready, HTTP closes, streams to clients end
//!                          -> stopping: tasks finish what they hold and end
//! ```
//!
//! Requests in flight need the tasks that answer them, hence the two phases. A second signal exits at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Says when the process has to stop, and records why. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    draining: CancellationToken,
    stopping: CancellationToken,
    failed: Arc<AtomicBool>,
}

impl Shutdown {
    /// Nothing is stopping yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancelled when no new requests are taken; long responses should end.
    #[must_use]
    pub fn draining(&self) -> CancellationToken {
        self.draining.child_token()
    }

    /// Cancelled when HTTP is closed and tasks have to end.
    #[must_use]
    pub fn stopping(&self) -> CancellationToken {
        self.stopping.child_token()
    }

    /// Starts an orderly stop.
    pub fn begin(&self, reason: &str) {
        if !self.draining.is_cancelled() {
            tracing::info!(reason, "stopping");
            self.draining.cancel();
        }
    }

    /// Starts an orderly stop that ends with exit status 1. The caller has logged the error.
    pub fn fail(&self, reason: &str) {
        self.failed.store(true, Ordering::Release);
        self.begin(reason);
    }

    /// Whether the process stops because something failed.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Tells the tasks to end; HTTP must be closed by then.
    pub(crate) fn stop_tasks(&self) {
        self.stopping.cancel();
    }
}

/// Waits for a while, but not longer than until the token is cancelled. Returns whether the full time has passed.
pub async fn sleep(token: &CancellationToken, time: Duration) -> bool {
    token.run_until_cancelled(tokio::time::sleep(time)).await.is_some()
}

/// The signals that ask a process to stop.
pub(crate) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Starts listening, so that from here on no signal kills the process unasked.
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// First signal: orderly stop. Second signal: exit at once, with the shell's status for that signal.
    pub(crate) async fn obey(mut self, shutdown: Shutdown) {
        let (name, _) = self.next().await;
        shutdown.begin(name);
        let (name, status) = self.next().await;
        tracing::warn!(signal = name, "second signal, exiting without drain");
        std::process::exit(status);
    }

    async fn next(&mut self) -> (&'static str, i32) {
        tokio::select! {
            _ = self.terminate.recv() => ("SIGTERM", 128 + 15),
            _ = self.interrupt.recv() => ("SIGINT", 128 + 2),
        }
    }
}
