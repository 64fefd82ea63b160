//! What a person asks to be done with dead letters, carried out between two batches.
//!
//! The letters of a key are tried in the order in which they came, for those of one topic that of the log. The first that is refused again stays, and those behind it too.

use std::collections::HashSet;

use spina_core::Batch;
use spina_log::NewRecord;
use spina_store::dead_letters::{Decision, Letter, LetterChanges, Refusal, Verdict};
use spina_store::read_model::{Applied, RowBatch};
use tokio::sync::oneshot;

use super::parking::{Parking, record_of};
use super::trouble::{Trouble, lease_lost, told};
use super::undecodable::dead_letter;
use super::{Fill, with_verdict};
use crate::project::decode::NotDecoded;
use crate::project::failure::Poison;
use crate::project::handle::CommandError;

/// Most letters that are tried in one transaction.
const LETTERS_MAX: usize = 1000;

/// What is to be done with the letters of some keys of a model.
#[derive(Debug)]
pub struct Order {
    /// What was decided about letters, by id. All of them must be there, or nothing is done. Those whose events are left
    /// out go away untried.
    pub decided: Vec<(i64, Decision)>,
    /// Keys whose letters are then tried in order.
    pub keys: Vec<Vec<u8>>,
    /// Where the outcome goes.
    pub answer: oneshot::Sender<Result<Settled, CommandError>>,
}

/// What became of the letters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settled {
    /// Letters that are applied.
    pub applied: usize,
    /// Letters that were left out.
    pub left_out: usize,
    /// Keys whose first letter was refused again.
    pub refused: usize,
    /// What the last of those was refused for.
    pub error: Option<String>,
}

/// What trying some letters would change.
struct Tried {
    batch: Batch,
    changes: LetterChanges,
    refused_keys: HashSet<Vec<u8>>,
    /// Of letters that only waited until now and cannot be decoded.
    dead: Vec<NewRecord>,
}

impl Fill {
    /// Carries the order out and answers it.
    pub(super) async fn carry_out(&mut self, order: Order, parking: &mut Parking) -> Result<(), Trouble> {
        let Order { decided, keys, answer } = order;
        let done = match self.decide(decided, parking).await {
            Ok(Some(left_out)) => self.retry(keys, parking).await.map(|settled| Ok(Settled { left_out, ..settled })),
            Ok(None) => Ok(Err(CommandError::Conflict("the letter was settled meanwhile: list them again".to_owned()))),
            Err(trouble) => Err(trouble),
        };
        let reloaded = self.parking().await.map(|now| *parking = now);
        let (outcome, trouble) = match (done, reloaded) {
            (Ok(outcome), Ok(())) => (outcome, None),
            (Err(trouble), _) | (_, Err(trouble)) => {
                let gone = "it is not known how far this went: list the letters again".to_owned();
                (Err(CommandError::Unavailable(gone)), Some(trouble))
            }
        };
        // Whoever asked may have gone.
        let _ = answer.send(outcome);
        trouble.map_or(Ok(()), Err)
    }

    /// Notes what was decided, and how many events are left out; `None` when a letter is not there any more.
    async fn decide(&mut self, decided: Vec<(i64, Decision)>, parking: &mut Parking) -> Result<Option<usize>, Trouble> {
        if decided.is_empty() {
            return Ok(Some(0));
        }
        let ids: Vec<i64> = decided.iter().map(|(id, _)| *id).collect();
        if self.parts.store.letters_there(&self.parts.name, self.slot, &ids).await? != ids.len() {
            return Ok(None);
        }
        let left_out = decided.iter().filter(|(_, made)| made.verdict == Verdict::LeaveOut);
        let settled: Vec<i64> = left_out.map(|(id, _)| *id).collect();
        let decisions: Vec<Decision> = decided.into_iter().map(|(_, made)| made).collect();
        let (count, verdicts) = (settled.len(), decisions.clone());
        self.store(Batch::default(), LetterChanges { settled, decisions, ..LetterChanges::default() }).await?;
        parking.verdicts.extend(verdicts.into_iter().map(|made| (made.place, made.verdict)));
        Ok(Some(count))
    }

    async fn retry(&mut self, mut keys: Vec<Vec<u8>>, parking: &Parking) -> Result<Settled, Trouble> {
        let mut done = Settled::default();
        let mut most = LETTERS_MAX;
        while !keys.is_empty() {
            let letters = self.parts.store.queues(&self.parts.name, self.slot, &keys, most).await?;
            if letters.is_empty() {
                break;
            }
            let Some(tried) = self.try_letters(&letters, parking).await? else {
                most = (letters.len() / 2).max(1);
                continue;
            };
            let Tried { batch, changes, refused_keys, dead } = tried;
            self.parts.tell_dead_letters(dead).await?;
            let (applied, refused) = (changes.settled.len(), changes.refused.clone());
            match self.store(batch, changes).await {
                Ok(()) => {}
                Err(Refused::Value(_)) if letters.len() > 1 => {
                    most = letters.len() / 2;
                    continue;
                }
                Err(Refused::Value(error)) => {
                    keys.retain(|key| *key != letters[0].record.key);
                    let refusal = Refusal { class: "refused", error };
                    done.refused += 1;
                    done.error = Some(refusal.error.clone());
                    let refused = vec![(letters[0].id, refusal)];
                    self.store(Batch::default(), LetterChanges { refused, ..LetterChanges::default() }).await?;
                    continue;
                }
                Err(Refused::Trouble(trouble)) => return Err(trouble),
            }
            done.applied += applied;
            done.refused += refused.len();
            done.error = refused.into_iter().last().map(|(_, refusal)| refusal.error).or(done.error);
            if letters.len() < most {
                break;
            }
            keys.retain(|key| !refused_keys.contains(key));
        }
        Ok(done)
    }

    /// What the letters change; `None` when they are too many to be put together.
    async fn try_letters(&mut self, letters: &[Letter], parking: &Parking) -> Result<Option<Tried>, Trouble> {
        let (batch, changes) = (Batch::default(), LetterChanges::default());
        let mut tried = Tried { batch, changes, refused_keys: HashSet::new(), dead: Vec::new() };
        for letter in letters.iter() {
            if tried.refused_keys.contains(&letter.record.key) {
                continue;
            }
            let refusal = match self.changes_of(letter, parking).await? {
                Ok(changes) => match changes.into_iter().try_for_each(|change| tried.batch.add(change)) {
                    Ok(()) => {
                        tried.changes.settled.push(letter.id);
                        continue;
                    }
                    Err(_) if letters.len() > 1 => return Ok(None),
                    Err(error) => {
                        tried.batch = Batch::default();
                        Poison::from(error).refusal()
                    }
                },
                Err(poison) => poison.refusal(),
            };
            if letter.class.is_none() {
                tried.dead.extend(dead_letter(&self.parts.name, &letter.record, &refusal));
            }
            tried.changes.refused.push((letter.id, refusal));
            tried.refused_keys.insert(letter.record.key.clone());
        }
        Ok(Some(tried))
    }

    async fn changes_of(
        &mut self,
        letter: &Letter,
        parking: &Parking,
    ) -> Result<Result<Vec<spina_core::Change>, Poison>, Trouble> {
        let verdict = parking.verdicts.get(&letter.record.place);
        if verdict == Some(&Verdict::LeaveOut) {
            return Ok(Ok(Vec::new()));
        }
        // The table is filled by the definition of now, so its letters are of the inputs of now.
        let Some(input) = self.parts.inputs.position(&letter.record.place.topic) else { return Ok(Ok(Vec::new())) };
        match self.changes(input, &with_verdict(&record_of(letter), verdict)).await {
            Ok(projected) => Ok(Ok(projected.changes)),
            Err(NotDecoded::Poison(poison)) => Ok(Err(poison)),
            Err(NotDecoded::Registry(error)) => Err(Trouble::Passing(error.to_string())),
        }
    }

    /// One transaction that leaves the checkpoint where it is.
    async fn store(&mut self, batch: Batch, changes: LetterChanges) -> Result<(), Refused> {
        let rows = RowBatch::from(batch).with_letters(changes);
        match self.parts.apply(self.slot, &self.lease, &self.lease.next_offsets, rows).await {
            Ok(Applied::Committed) => Ok(()),
            Ok(Applied::LeaseLost) => Err(Refused::Trouble(lease_lost())),
            Err(error) if error.is_refused_value() => Err(Refused::Value(told(&error))),
            Err(error) => Err(Refused::Trouble(error.into())),
        }
    }
}

/// Why a transaction was not carried out.
enum Refused {
    /// The database refuses a value of the rows.
    Value(String),
    Trouble(Trouble),
}

impl From<Refused> for Trouble {
    fn from(refused: Refused) -> Self {
        match refused {
            // There are no rows in it that could be refused: passing on, it is tried again.
            Refused::Value(error) => Self::Passing(error),
            Refused::Trouble(trouble) => trouble,
        }
    }
}
