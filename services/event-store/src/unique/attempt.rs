//! An append of unique values on its way: the [`Course`] with everything around it.

use std::sync::Arc;

use spina_core::{StreamKey, Version};
use spina_runtime::{Tasks, failpoint};
use tokio::sync::{OwnedMutexGuard, oneshot};

use super::answer::Question;
use super::ask;
use super::course::{Claim, Course, End, Heard, Step};
use super::draft::{Draft, Undrafted, Work};
use super::term::Running;
use crate::context::{Context, Owned};
use crate::decide::append::{Append, Outcome, Submission, ValueTaken};
use crate::decide::command::Intent;

/// An attempt that has its stream's line: nobody else appends to the stream until it is dropped.
pub struct Attempt {
    context: Arc<Context>,
    owned: Owned,
    _line: OwnedMutexGuard<()>,
    /// The lineage that everything was judged in.
    lineage: u64,
    version: Version,
    course: Course,
    running: Running,
    main: Main,
}

/// What is submitted in the end. It is judged once more, in its window.
#[derive(Debug)]
enum Main {
    /// As it came: it is refused, or leads to no events.
    AsIs(Work),
    /// Events at an exact version.
    Exact(Box<Append>),
}

impl Attempt {
    /// Waits for the stream's line, and judges the work on its state.
    pub async fn begin(context: &Arc<Context>, owned: &Owned, work: Work) -> Result<Self, Undrafted> {
        let line = owned.term.line(StreamKey::of(work.stream().as_str())).await;
        let lineage = owned.term.lineage();
        let Draft { version, before, mut after, append } = work.draft(context).await?;
        let running = owned.term.begin(lineage);
        let own = Claim { holder: work.stream().clone(), attempt: running.name.clone() };
        let brings = after.keys().any(|claim| !before.contains_key(claim));
        let known = if brings { known(owned, lineage, &work, version).await } else { Ok(false) };
        let main = match (known, append) {
            (Err(why), _) => {
                running.ended();
                return Err(why);
            }
            (Ok(true), _) => Main::Exact(Box::new(work.recalled(past(version)))),
            // What the writer expects is not so, and will not come to be while this has the line.
            (Ok(false), _) if work.expected().check(version).is_err() => Main::AsIs(work),
            (Ok(false), Some(append)) => Main::Exact(Box::new(append)),
            (Ok(false), None) => Main::AsIs(work.at(version)),
        };
        if brings && !matches!(&main, Main::Exact(append) if append.ask().expected.check(version).is_ok()) {
            after.clone_from(&before);
        }
        let course = Course::new(own, &before, &after);
        let (context, owned) = (Arc::clone(context), owned.clone());
        Ok(Self { context, owned, _line: line, lineage, version, course, running, main })
    }

    /// Claims what is wanted. `None` when the events may be appended now.
    pub async fn claim(&mut self) -> Option<End> {
        loop {
            match self.course.step() {
                Step::Append => {
                    failpoint::reach("unique_claimed");
                    return None;
                }
                Step::End(end) => return Some(end),
                step @ (Step::Look(_) | Step::Write(..) | Step::Ask(..)) => self.take(step).await,
            }
        }
    }

    /// The submission, and where its outcome will arrive.
    pub fn submission(&mut self) -> (Submission, oneshot::Receiver<Vec<Outcome>>) {
        let (appends, intent): (Vec<Append>, Option<Box<Intent>>) = match &self.main {
            Main::Exact(append) | Main::AsIs(Work::Append(append)) => (vec![Append::clone(append)], None),
            Main::AsIs(Work::Command(intent)) => (Vec::new(), Some(intent.clone())),
        };
        let (submission, outcome) = Submission::direct(appends, false);
        (Submission { intent, only_in: Some(self.lineage), ..submission }, outcome)
    }

    /// Waits for the outcome and gives back or releases what is to be.
    pub async fn finish(self, outcome: oneshot::Receiver<Vec<Outcome>>) -> Outcome {
        let outcome = first(outcome).await;
        self.settle(outcome).await
    }

    /// This has become of it.
    pub async fn settle(mut self, outcome: Outcome) -> Outcome {
        let read_back = self.owned.term.lineage() != self.lineage;
        self.course.hear(became(&outcome, self.version, read_back));
        failpoint::reach("unique_appended");
        while let step @ (Step::Look(_) | Step::Write(..) | Step::Ask(..)) = self.course.step() {
            self.take(step).await;
        }
        let unknown = self.course.step() == Step::End(End::Unknown);
        // When the log was read back it is known: what was submitted before is in what was read, or nowhere.
        if !unknown || self.owned.term.lineage() != self.lineage {
            self.running.ended();
        }
        match (outcome, &self.main) {
            // It is our version that was expected, not the writer's.
            (Outcome::Conflict(_), Main::Exact(_)) => {
                Outcome::Unavailable("the stream has moved on; nothing was stored")
            }
            (outcome, Main::Exact(_) | Main::AsIs(_)) => outcome,
        }
    }

    /// Runs what outlives a caller.
    pub fn tasks(&self) -> Tasks {
        self.context.shared.tasks.clone()
    }

    /// It was not submitted.
    pub fn give_up(self) {
        self.running.ended();
    }

    async fn take(&mut self, step: Step) {
        let heard = match step {
            Step::Look(claim) => ask::owner(&self.context, &claim, &Question::Look).await,
            Step::Write(stream, at, claim) => ask::owner(&self.context, &stream, &Question::Write { at, claim }).await,
            Step::Ask(value, Claim { holder, attempt }) => {
                ask::owner(&self.context, &holder, &Question::Holds { value, attempt }).await
            }
            Step::Append | Step::End(_) => return,
        };
        self.course.hear(heard);
    }
}

/// What the outcome says of events that were judged at a version. A repeat is of these very events if it stands where they
/// would: their window was lost, and had committed. Once the log was read back, who is sent away may have had such a window.
pub fn became(outcome: &Outcome, version: Version, read_back: bool) -> Heard {
    match outcome {
        Outcome::Unavailable(_) if read_back => Heard::Nothing,
        Outcome::Appended(_) => Heard::In,
        Outcome::Repeated(place) if place.first == version.plus(1) => Heard::In,
        Outcome::Repeated(_)
        | Outcome::Conflict(_)
        | Outcome::KeyReused
        | Outcome::Rejected(_)
        | Outcome::ValueTaken(_)
        | Outcome::Nothing(_)
        | Outcome::Unavailable(_) => Heard::NotIn,
        Outcome::Unknown => Heard::Nothing,
    }
}

/// What an end before the append is for the writer.
pub fn outcome_of(end: End) -> Outcome {
    match end {
        End::Taken { field, holder } => Outcome::ValueTaken(ValueTaken { field, holder }),
        End::Unknown => Outcome::Unknown,
        End::In | End::NotIn | End::Hindered => {
            Outcome::Unavailable("the owner of a unique value cannot be asked at the moment; nothing was stored")
        }
    }
}

/// A version that the stream is not at and will not be again. No stream of version 0 has had a request.
fn past(version: Version) -> Version {
    Version(version.0.saturating_sub(1))
}

/// Whether the ledger knows the request: then it has the answer, whatever became of the stream since.
async fn known(owned: &Owned, lineage: u64, work: &Work, version: Version) -> Result<bool, Undrafted> {
    if version == Version::NONE {
        return Ok(false);
    }
    let (submission, outcome) = Submission::direct(vec![work.recalled(past(version))], false);
    let submission = Submission { only_in: Some(lineage), ..submission };
    if owned.queue.try_submit(submission).is_err() {
        return Err(Undrafted::NotNow("the partition's queue is full"));
    }
    match first(outcome).await {
        Outcome::Repeated(_) | Outcome::KeyReused => Ok(true),
        Outcome::Conflict(_) => Ok(false),
        Outcome::Appended(_)
        | Outcome::Rejected(_)
        | Outcome::ValueTaken(_)
        | Outcome::Nothing(_)
        | Outcome::Unavailable(_)
        | Outcome::Unknown => Err(Undrafted::NotNow("the partition is in disorder; nothing was stored")),
    }
}

async fn first(outcome: oneshot::Receiver<Vec<Outcome>>) -> Outcome {
    outcome.await.ok().and_then(|outcomes| outcomes.into_iter().next()).unwrap_or(Outcome::Unknown)
}
