//! Looks for jobs that nobody works on.

use std::sync::Arc;
use std::time::Duration;

use spina_codec::catalog::SchemaCache;
use spina_log::{Admin, LogConfig};
use spina_runtime::Tasks;
use spina_runtime::shutdown::sleep;
use spina_store::Store;
use spina_store::jobs::{Job, JobState};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Spec;
use super::runner::Runner;
use crate::project::Handles;

/// How often jobs are looked for.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// What working on jobs takes.
pub struct Works {
    /// The database.
    pub store: Store,
    /// Where the brokers are.
    pub log: LogConfig,
    /// Questions to them.
    pub admin: Arc<Admin>,
    /// Schemas by id.
    pub schemas: SchemaCache,
    /// Contexts whose jobs are worked on here.
    pub contexts: Vec<String>,
    /// The models that are filled here.
    pub handles: Handles,
}

/// Claims jobs and has them worked on.
pub struct Watch {
    works: Arc<Works>,
    places: Arc<Semaphore>,
    tasks: Tasks,
    stopping: CancellationToken,
}

impl Watch {
    /// Works on at most so many jobs at a time.
    pub fn new(works: Works, jobs_max: usize, tasks: Tasks, stopping: CancellationToken) -> Self {
        Self { works: Arc::new(works), places: Arc::new(Semaphore::new(jobs_max.max(1))), tasks, stopping }
    }

    /// Looks until the process stops.
    pub async fn run(self) -> anyhow::Result<()> {
        let runner = Uuid::now_v7();
        while !self.stopping.is_cancelled() {
            let waiting = Arc::clone(&self.places).acquire_owned();
            let Some(Ok(place)) = self.stopping.run_until_cancelled(waiting).await else { break };
            match self.works.store.claim_job(runner, &self.works.contexts).await {
                Ok(Some(job)) => {
                    let (works, stopping) = (Arc::clone(&self.works), self.stopping.clone());
                    self.tasks.spawn(format!("job {}", job.id), async move {
                        work(works, job, stopping).await;
                        drop(place);
                        Ok(())
                    });
                    continue;
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "could not look for jobs"),
            }
            drop(place);
            sleep(&self.stopping, LOOK_INTERVAL).await;
        }
        Ok(())
    }
}

async fn work(works: Arc<Works>, job: Job, stopping: CancellationToken) {
    tracing::info!(job = %job.id, context = job.context, "working on a job");
    match serde_json::from_value::<Spec>(job.spec.clone()) {
        Ok(spec) => Runner::new(works, job, spec, stopping).run().await,
        Err(error) => {
            let error = format!("this program does not know such jobs: {error}");
            let ended = works.store.end_job(job.id, job.epoch, JobState::Failed, "projector", &error).await;
            if let Err(error) = ended {
                tracing::warn!(job = %job.id, %error, "could not let go of a job");
                sleep(&stopping, LOOK_INTERVAL).await;
            }
        }
    }
}
