//! Supervised tasks: the only place that may start one.
//!
//! A task that ends with an error or panics stops the process in order, with one ERROR log and exit status 1: half a
//! service is worse than none. A task that ends well before the stop is simply done.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::shutdown::Shutdown;

/// Starts tasks and watches over them. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Tasks {
    shutdown: Shutdown,
    tracker: TaskTracker,
    running: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Tasks {
    /// No task yet; a failing one will stop the process through `shutdown`.
    #[must_use]
    pub fn new(shutdown: Shutdown) -> Self {
        Self { shutdown, tracker: TaskTracker::new(), running: Arc::default() }
    }

    /// Runs a future as a task of its own until it ends. It should end soon after [`Shutdown::stopping`].
    pub fn spawn<F>(&self, name: impl Into<String>, future: F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let running = self.enter(name.into());
        let tasks = self.clone();
        let future = future.in_current_span();
        // A task of its own inside the tracked one turns a panic into a value.
        #[expect(clippy::disallowed_methods, reason = "this is the supervised spawn")]
        let inner = tokio::spawn(future);
        self.tracker.spawn(async move {
            let ended = match inner.await {
                Ok(ended) => ended,
                Err(error) => Err(anyhow::anyhow!("task panicked: {}", join_error_text(error))),
            };
            tasks.leave(&running, ended);
        });
    }

    /// Runs blocking work on a thread of its own, such as a consumer's poll loop.
    ///
    /// # Errors
    /// If the operating system refuses a further thread.
    pub fn spawn_thread<F>(&self, name: impl Into<String>, work: F) -> std::io::Result<()>
    where
        F: FnOnce() -> anyhow::Result<()> + Send + 'static,
    {
        let name = name.into();
        let (report, reported) = oneshot::channel();
        let span = tracing::Span::current();
        std::thread::Builder::new().name(name.clone()).spawn(move || {
            let guarded = AssertUnwindSafe(|| span.in_scope(work));
            let ended = std::panic::catch_unwind(guarded)
                .unwrap_or_else(|panic| Err(anyhow::anyhow!("thread panicked: {}", panic_text(panic.as_ref()))));
            // Nobody listens any more once the drain limit has passed.
            let _ = report.send(ended);
        })?;
        let running = self.enter(name);
        let tasks = self.clone();
        self.tracker.spawn(async move {
            let ended = reported.await.unwrap_or_else(|_| Err(anyhow::anyhow!("thread vanished")));
            tasks.leave(&running, ended);
        });
        Ok(())
    }

    /// Waits for all tasks to end, at most for `limit`. Returns the names of those that still run.
    pub(crate) async fn drain(&self, limit: Duration) -> Vec<String> {
        self.tracker.close();
        let _ = tokio::time::timeout(limit, self.tracker.wait()).await;
        self.lock().keys().cloned().collect()
    }

    fn enter(&self, name: String) -> String {
        *self.lock().entry(name.clone()).or_default() += 1;
        name
    }

    fn leave(&self, name: &str, ended: anyhow::Result<()>) {
        {
            let mut running = self.lock();
            if let Some(count) = running.get_mut(name) {
                *count -= 1;
            }
            running.retain(|_, count| *count > 0);
        }
        if let Err(error) = ended {
            tracing::error!(task = name, error = format!("{error:#}"), "task failed, stopping the process");
            self.shutdown.fail("task failed");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, usize>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn join_error_text(error: tokio::task::JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => panic_text(panic.as_ref()).to_owned(),
        Err(error) => error.to_string(),
    }
}

/// The message of a panic, if it has one.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn a_task_that_ends_well_stops_nothing() {
        let shutdown = Shutdown::new();
        let tasks = Tasks::new(shutdown.clone());
        tasks.spawn("short", async { Ok(()) });
        assert!(tasks.drain(LIMIT).await.is_empty());
        assert!(!shutdown.draining().is_cancelled());
    }

    #[tokio::test]
    async fn a_failing_task_stops_the_process() {
        let shutdown = Shutdown::new();
        let tasks = Tasks::new(shutdown.clone());
        tasks.spawn("failing", async { anyhow::bail!("no broker") });
        shutdown.draining().cancelled().await;
        assert!(shutdown.has_failed());
    }

    #[tokio::test]
    async fn a_panic_in_task_or_thread_stops_the_process() {
        let first = Shutdown::new();
        Tasks::new(first.clone()).spawn("panicking", async { panic!("at the disco") });
        first.draining().cancelled().await;
        let second = Shutdown::new();
        Tasks::new(second.clone()).spawn_thread("panicking", || panic!("again")).expect("threads are to be had");
        second.draining().cancelled().await;
        assert!(first.has_failed() && second.has_failed());
    }

    #[tokio::test(start_paused = true)]
    async fn late_tasks_are_named() {
        let shutdown = Shutdown::new();
        let tasks = Tasks::new(shutdown.clone());
        tasks.spawn("stubborn", std::future::pending());
        let stopping = shutdown.stopping();
        tasks.spawn("obedient", async move {
            stopping.cancelled().await;
            Ok(())
        });
        shutdown.stop_tasks();
        assert_eq!(tasks.drain(LIMIT).await, ["stubborn"]);
    }
}
