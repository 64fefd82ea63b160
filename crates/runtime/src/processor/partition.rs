//! Serving one partition: whatever has queued is one batch, one batch is one transaction.

use std::sync::Arc;
use std::time::Duration;

use spina_log::{Consumed, Fetched, GroupMember, Lane, NewRecord, Window, WriteError};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::requests::Waiting;
use super::restore::Taken;
use super::{Clock, Input, Output, Place, Processor, Stage};
use crate::shutdown::sleep;

/// How often an aborted batch is written before the partition is given up.
const WRITES_MAX: u32 = 5;
/// Pause before it is written again.
const WRITE_PAUSE: Duration = Duration::from_millis(50);
/// How often it is looked who we are in the group before the partition is given up: 3 s.
const MEMBER_LOOKS_MAX: u32 = 60;
/// Longest sleep towards a tick, so that a clock that is set is noticed.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// Says who we are in the group, as of now.
pub(super) type WhoWeAre = Box<dyn Fn() -> Option<GroupMember> + Send + Sync>;

/// How serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// It was told to stop, and nothing is under way.
    Drained,
    /// The state in memory may be wrong, or the partition is somebody else's.
    Lost,
}

/// The decoded inputs of one stage's processor.
type Inputs<S> =
    Vec<Input<<<S as Stage>::Processor as Processor>::Input, <<S as Stage>::Processor as Processor>::Request>>;

/// See the [module](self).
pub(super) struct Partition<S: Stage> {
    pub stage: Arc<S>,
    pub place: Place,
    pub partition: i32,
    pub taken: Taken<S::Processor>,
    pub queue: mpsc::Receiver<Waiting<<S::Processor as Processor>::Request>>,
    pub who: WhoWeAre,
    pub clock: Clock,
    pub turn: usize,
}

impl<S: Stage> Partition<S> {
    /// Serves until `drain` is cancelled or the partition is lost.
    pub async fn run(mut self, drain: CancellationToken) -> Ended {
        let mut waiting = Vec::new();
        loop {
            let wait = self.wait();
            tokio::select! {
                biased;
                () = drain.cancelled() => return Ended::Drained,
                taken = self.queue.recv_many(&mut waiting, self.place.batch_inputs_max) => if taken == 0 {
                    return Ended::Drained;
                },
                () = until(wait) => {}
            }
            let (inputs, next_offset) = self.inputs(std::mem::take(&mut waiting)).await;
            if inputs.is_empty() {
                continue;
            }
            let Output { records, effects } = self.taken.processor.apply(inputs, (self.clock)());
            let written = match self.write(records, next_offset, &drain).await {
                Ok(written) => written,
                Err(error) => {
                    warn!(group = self.place.group, partition = self.partition, %error, "a batch is lost");
                    return Ended::Lost;
                }
            };
            if !effects.is_empty() {
                self.stage.after(self.partition, effects).await;
            }
            if let Some(written) = written {
                self.stage.written(self.partition, &mut self.taken.processor, written).await;
            }
        }
    }

    /// How long until the next tick.
    fn wait(&self) -> Option<Duration> {
        let due = self.taken.processor.due()?;
        let micros = due.micros().saturating_sub((self.clock)().micros());
        Some(Duration::from_micros(u64::try_from(micros).unwrap_or(0)).min(SLEEP_MAX))
    }

    /// What waited, decoded, in its order; a tick comes last. And the offset behind the last record.
    async fn inputs(&self, waiting: Vec<Waiting<<S::Processor as Processor>::Request>>) -> (Inputs<S>, Option<i64>) {
        let mut inputs = Vec::with_capacity(waiting.len() + 1);
        let mut records: Vec<Fetched> = Vec::new();
        let mut next_offset = None;
        for waiting in waiting {
            match waiting {
                Waiting::Record(record) => {
                    next_offset = Some(record.offset + 1);
                    records.push(record);
                }
                Waiting::Request(request) => {
                    self.read_into(&mut inputs, std::mem::take(&mut records)).await;
                    inputs.push(Input::Request(request));
                }
            }
        }
        self.read_into(&mut inputs, records).await;
        if self.taken.processor.due().is_some_and(|due| due <= (self.clock)()) {
            inputs.push(Input::Tick);
        }
        (inputs, next_offset)
    }

    async fn read_into(&self, inputs: &mut Inputs<S>, records: Vec<Fetched>) {
        if !records.is_empty() {
            inputs.extend(self.stage.read(records).await.into_iter().map(Input::Record));
        }
    }

    /// Writes a batch in one transaction, again if it was aborted: then nobody has seen anything of it. Tells the offset
    /// behind what it wrote to the state topic.
    async fn write(
        &mut self,
        records: Vec<NewRecord>,
        next_offset: Option<i64>,
        drain: &CancellationToken,
    ) -> Result<Option<i64>, WriteError> {
        let mut tries = 0;
        loop {
            let consumed = match next_offset {
                Some(next_offset) => Some(self.consumed(next_offset, drain).await?),
                None => None,
            };
            let lane = Arc::clone(&self.taken.lanes[self.turn]);
            tries += 1;
            match write_once(&*lane, Window { records: records.clone(), consumed }).await {
                Ok(offsets) => {
                    self.turn = (self.turn + 1) % self.taken.lanes.len();
                    let of_state = |record: &NewRecord| Some(&record.topic) == self.place.state_topic.as_ref();
                    let state = records.iter().zip(offsets).filter(|(record, _)| of_state(record));
                    return Ok(state.map(|(_, offset)| offset + 1).max());
                }
                Err(WriteError::Aborted { reason }) if tries < WRITES_MAX => {
                    warn!(group = self.place.group, partition = self.partition, reason, "a batch is written again");
                    sleep(drain, WRITE_PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The inputs of a batch as whoever we are in the group. Between two generations there may be no member to say it.
    async fn consumed(&self, next_offset: i64, drain: &CancellationToken) -> Result<Consumed, WriteError> {
        for _ in 0..MEMBER_LOOKS_MAX {
            if let Some(member) = (self.who)() {
                let offsets = vec![(Arc::clone(&self.place.input_topic), self.partition, next_offset)];
                return Ok(Consumed { member, offsets });
            }
            sleep(drain, WRITE_PAUSE).await;
        }
        Err(WriteError::Aborted { reason: "we are no member of the group, whose offset belongs into it".to_owned() })
    }
}

async fn write_once(lane: &dyn Lane, window: Window) -> Result<Vec<i64>, WriteError> {
    let offsets = lane.stage(window).await?;
    lane.commit().await?;
    Ok(offsets)
}

async fn until(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}
