//! One job from where it stands to its end, or until somebody wants it otherwise.

use std::sync::Arc;
use std::time::Duration;

use spina_codec::headers::read_event_headers;
use spina_core::Token;
use spina_log::{Fetched, LaneFactory, LogReader, ReaderOptions, Start, names};
use spina_runtime::shutdown::sleep;
use spina_store::jobs::{Job, JobState};
use spina_store::read_model::ModelName;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::outlet::Outlet;
use super::post::Post;
use super::remake::Remaking;
use super::topic::{Copying, from_log};
use super::{Spec, Target, Trouble, Works};
use crate::project::{Handle, State};

/// How often progress is noted, and how late a person's word is heard.
const SAVE_INTERVAL: Duration = Duration::from_millis(500);
/// Pause after trouble that may pass.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Most events of one transaction.
const WINDOW_MAX: usize = 500;
/// Most bytes of their values.
const WINDOW_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Under a rate limit a window has what a tenth of a second may have.
const WINDOWS_PER_SECOND: u32 = 10;

/// How a run ended well.
enum Ended {
    /// With what there is to say about it.
    Done(String),
    /// A person wants it to rest or to end, or the process stops.
    LetGo,
}

/// Works on one job.
pub struct Runner {
    works: Arc<Works>,
    job: Job,
    spec: Spec,
    stopping: CancellationToken,
    last_save: Instant,
}

/// What was read and not written yet.
struct Pending {
    events: Vec<Fetched>,
    bytes: usize,
    next_offsets: Vec<i64>,
}

impl Runner {
    /// Works on a job that was claimed.
    pub fn new(works: Arc<Works>, job: Job, spec: Spec, stopping: CancellationToken) -> Self {
        Self { works, job, spec, stopping, last_save: Instant::now() }
    }

    /// Works until the job is done, failed, steered away or lost to another process.
    pub async fn run(mut self) {
        let (id, epoch) = (self.job.id, self.job.epoch);
        let by = "projector";
        let ended = loop {
            let trouble = match self.attempt().await {
                Ok(Ended::Done(said)) => break self.works.store.end_job(id, epoch, JobState::Done, by, &said).await,
                Ok(Ended::LetGo) => break self.works.store.release_job(id, epoch).await,
                Err(trouble) => trouble,
            };
            match trouble {
                Trouble::Lost => return tracing::info!(job = %id, "another process has taken the job over"),
                Trouble::Final(error) => {
                    tracing::warn!(job = %id, error, "the job has failed");
                    break self.works.store.end_job(id, epoch, JobState::Failed, by, &error).await;
                }
                Trouble::Passing(error) => {
                    tracing::warn!(job = %id, error, "the job is begun again where it was");
                    self.job.error = Some(error);
                }
            }
            if !sleep(&self.stopping, RETRY_PAUSE).await {
                break self.works.store.release_job(id, epoch).await;
            }
        };
        // Its claim runs out by itself, and whoever takes it next finds it as it is.
        if let Err(error) = ended {
            tracing::warn!(job = %id, %error, "could not let go of a job");
        }
    }

    async fn attempt(&mut self) -> Result<Ended, Trouble> {
        // Asked first: whoever has lost the job must not fence its successor.
        if !self.save().await? {
            return Ok(Ended::LetGo);
        }
        if self.is_elsewhere() {
            sleep(&self.stopping, RETRY_PAUSE).await;
            return Ok(Ended::LetGo);
        }
        let mut outlet = self.outlet().await?;
        let context = self.job.context.parse().map_err(|_| Trouble::Final("its context has no name".to_owned()))?;
        let progress = &self.job.progress;
        let ranges = (0..).zip(progress.next_offsets.iter().zip(&self.job.ends));
        let starts: Vec<_> = ranges.filter(|(_, (next, end))| next < end).map(|(p, (next, _))| (p, *next)).collect();
        let mut pending = Pending { events: Vec::new(), bytes: 0, next_offsets: progress.next_offsets.clone() };
        if starts.is_empty() {
            return self.done(&mut outlet).await;
        }
        let starts = starts.into_iter().map(|(partition, next)| (partition, Start::At(next))).collect();
        let topic = names::events_topic(&context);
        let mut reader =
            LogReader::open(&self.works.log, &topic, starts, ReaderOptions::default()).map_err(from_log)?;
        loop {
            tokio::select! {
                batch = reader.next() => {
                    let batch = batch.ok_or_else(|| Trouble::Passing("the reader has stopped".to_owned()))?;
                    let batch = batch.map_err(from_log)?;
                    for record in batch.records {
                        self.look_at(record, &mut pending)?;
                        if pending.is_full(self.window_max()) && !self.flush(&mut outlet, &mut pending).await? {
                            return Ok(Ended::LetGo);
                        }
                    }
                    for (partition, next) in batch.ends {
                        self.pass(partition, next, &mut pending);
                    }
                    if !self.flush(&mut outlet, &mut pending).await? {
                        return Ok(Ended::LetGo);
                    }
                }
                () = tokio::time::sleep(SAVE_INTERVAL) => {}
                () = self.stopping.cancelled() => {}
            }
            if self.job.progress.next_offsets.iter().zip(&self.job.ends).all(|(next, end)| next >= end) {
                return self.done(&mut outlet).await;
            }
            if !self.goes_on().await? {
                return Ok(Ended::LetGo);
            }
        }
    }

    async fn done(&mut self, outlet: &mut Outlet) -> Result<Ended, Trouble> {
        let said = outlet.finish().await?;
        self.save().await?;
        Ok(Ended::Done(said))
    }

    /// The model that the job is for.
    fn model(&self, model: &str) -> Option<Arc<Handle>> {
        let name = ModelName { context: self.job.context.parse().ok()?, model: model.to_owned() };
        self.works.handles.get(&name).map(|(handle, _)| handle)
    }

    /// Whether the job is for a model that another process fills: that one should have it.
    fn is_elsewhere(&self) -> bool {
        let Target::Projection(model) = &self.spec.target else { return false };
        self.model(model).is_some_and(|handle| handle.status().state == State::Superseded)
    }

    async fn outlet(&mut self) -> Result<Outlet, Trouble> {
        let job = self.job.id.to_string();
        Ok(match &self.spec.target {
            Target::Projection(model) => {
                let unknown = || Trouble::Final(format!("there is no model {model}"));
                let (handle, replaces) = (self.model(model).ok_or_else(unknown)?, !self.spec.dry_run);
                let Job { starts, progress, .. } = &mut self.job;
                Outlet::Projection(Box::new(Remaking::begin(handle, replaces, starts, progress).await?))
            }
            _ if self.spec.dry_run => Outlet::Nowhere,
            Target::Http(url) => Outlet::Http(Post::new(url, job, self.works.schemas.clone())?),
            Target::Topic(topic) => {
                let Works { log, admin, .. } = &*self.works;
                let lanes = LaneFactory::connect(log).await.map_err(from_log)?;
                let copying = Copying::begin(&lanes, admin, log, (job, topic), &mut self.job.progress).await?;
                Outlet::Topic(copying)
            }
        })
    }

    /// Notes a record, and keeps it if it is wanted.
    fn look_at(&self, record: Fetched, pending: &mut Pending) -> Result<(), Trouble> {
        let (partition, offset) = (record.partition, record.offset);
        if !self.pass(partition, offset + 1, pending) {
            return Ok(());
        }
        let headers = read_event_headers(&record.headers, record.key.as_deref().unwrap_or_default());
        let headers = headers.map_err(|error| {
            let place = Token::at(record.topic.to_string(), partition, offset);
            Trouble::Final(format!("the record at {place} is no event: {error}"))
        })?;
        if self.spec.selection.wants(&headers) {
            pending.bytes += record.value.as_ref().map_or(0, bytes::Bytes::len);
            pending.events.push(record);
        }
        Ok(())
    }

    /// Notes that the partition was read up to there; `false` if that is beyond what the job is about, or was before.
    fn pass(&self, partition: i32, next: i64, pending: &mut Pending) -> bool {
        let Some(index) = usize::try_from(partition).ok() else { return false };
        let (Some(reached), Some(end)) = (pending.next_offsets.get_mut(index), self.job.ends.get(index)) else {
            return false;
        };
        let within = next <= *end && next > *reached;
        *reached = next.min(*end).max(*reached);
        within
    }

    fn window_max(&self) -> usize {
        let paced = self.spec.rate.map(|rate| (rate / WINDOWS_PER_SECOND).max(1));
        paced.and_then(|paced| usize::try_from(paced).ok()).unwrap_or(WINDOW_MAX).min(WINDOW_MAX)
    }

    /// Writes what is pending, then waits as the rate demands; `false` if the job is to be let go of.
    async fn flush(&mut self, outlet: &mut Outlet, pending: &mut Pending) -> Result<bool, Trouble> {
        let begun = Instant::now();
        let events = std::mem::take(&mut pending.events);
        pending.bytes = 0;
        let count = u32::try_from(events.len()).unwrap_or(u32::MAX);
        if events.is_empty() {
            self.job.progress.next_offsets.clone_from(&pending.next_offsets);
            return Ok(true);
        }
        outlet.take(events, &pending.next_offsets, &mut self.job.progress).await?;
        self.job.error = None;
        let due = self.spec.rate.map(|rate| begun + Duration::from_secs(1) * count / rate.max(1));
        loop {
            if !self.goes_on().await? {
                return Ok(false);
            }
            let left = due.map(|due| due.saturating_duration_since(Instant::now())).unwrap_or_default();
            if left.is_zero() {
                return Ok(true);
            }
            sleep(&self.stopping, left.min(SAVE_INTERVAL)).await;
        }
    }

    /// Whether to go on; asks the database now and then.
    async fn goes_on(&mut self) -> Result<bool, Trouble> {
        if self.stopping.is_cancelled() {
            self.save().await?;
            return Ok(false);
        }
        if self.last_save.elapsed() < SAVE_INTERVAL {
            return Ok(true);
        }
        self.save().await
    }

    /// Notes progress; `false` if a person wants the job to rest or to end.
    async fn save(&mut self) -> Result<bool, Trouble> {
        let Job { id, epoch, progress, error, .. } = &self.job;
        let saved = self.works.store.save_job(*id, *epoch, progress, error.as_deref()).await;
        self.last_save = Instant::now();
        match saved {
            Ok(Some(state)) => Ok(state == JobState::Running),
            Ok(None) => Err(Trouble::Lost),
            Err(error) => Err(Trouble::Passing(error.to_string())),
        }
    }
}

impl Pending {
    fn is_full(&self, events_max: usize) -> bool {
        self.events.len() >= events_max || self.bytes >= WINDOW_BYTES_MAX
    }
}
