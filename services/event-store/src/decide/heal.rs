//! Ending transactions of ours that hang, so that what was acknowledged is visible and the group can go on.
//!
//! A broker that was killed may skip the marker of a transaction on a partition that has no leader for a moment: the
//! coordinator knows the transaction as ended, the partition has it open for ever. Initialising the lane does not help, the
//! next transaction of that lane on that partition does, and with it the fate of both is the same. So one record, a mark
//! that readers pass over, is written through the lane, and then
//!
//! | hangs on | mark is | because |
//! |---|---|---|
//! | events that the owner, or the archive, has | committed | they are acknowledged |
//! | events that continue their streams | committed | they may be acknowledged, and nobody was told that they failed |
//! | other events | aborted | one before them was aborted, so they were never acknowledged |
//! | replies | as their requests are: accepted ones have events | a reply tells the truth |
//! | the group's offset | committed with the offset of the first command that has no reply | it is next |
//!
//! Nobody is told that a window failed before the partition was read back to its very end, so what hangs is acknowledged or
//! unknown. One transaction is ended at a time, the first one: what is before it is known.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use spina_codec::frame;
use spina_core::ledger::Ledger;
use spina_core::{StreamKey, Version};
use spina_log::admin::OpenTransaction;
use spina_log::{Fetched, LogError, NewRecord, Window, WriteError, mark, names};
use spina_store::archive::Stored;
use tracing::{error, warn};

use super::equipment::Equipment;
use super::lanes::Lanes;
use super::reply::command_offset;
use super::settled_log::Hanging;
use super::takeover::stored;

/// Offsets of the replies that are searched for those to the commands at the group's offset: far more than the windows in
/// flight have.
const REPLIES_MAX: i64 = 100_000;

/// Why the end of a partition stays hidden.
#[derive(Debug, thiserror::Error)]
pub enum Hidden {
    /// The log could not be read or asked.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The transaction that was to end the one that hangs failed.
    #[error("a transaction of ours hangs, and the one that was to end it failed: {0}")]
    Mark(#[from] WriteError),
    /// The group is between two generations, or has put us out.
    #[error("the group's offset hangs in a transaction of ours, and we are no member that could commit it")]
    NoMember,
    /// It still does after that.
    #[error("the group's offset hangs, and what was to end that hangs, too")]
    Offset,
    /// Another writer's transaction is open.
    #[error(
        "a transaction of another writer (producer {}, epoch {}) is open on {topic}/{partition} since offset {}. It ends \
         with its time-out; one that does not is ended by: kafka-transactions.sh --bootstrap-server BROKER abort --topic \
         {topic} --partition {partition} --start-offset {}",
        open.producer_id, open.producer_epoch, open.start, open.start
    )]
    Foreign {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The transaction.
        open: OpenTransaction,
    },
}

/// How a transaction that hangs is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Commit,
    Abort,
}

/// Heals one partition. Its lanes are open, so nothing of ours is open unless it hangs.
pub struct Healer<'a> {
    equipment: &'a Equipment,
    lanes: &'a Lanes,
    ids: Vec<String>,
}

impl<'a> Healer<'a> {
    /// Heals with these lanes.
    pub fn new(equipment: &'a Equipment, lanes: &'a Lanes) -> Self {
        let (context, partition) = (&equipment.context, equipment.partition());
        let ids = (0..equipment.limits.lanes).map(|lane| names::transactional_id(context, partition, lane)).collect();
        Self { equipment, lanes, ids }
    }

    /// Ends what hangs on the events. `ledger` knows what is committed before `from`.
    pub async fn events(&self, ledger: &Ledger, from: i64) -> Result<(), Hidden> {
        let topic = &self.equipment.imprint.events_topic;
        // Each lane has at most one transaction open.
        for _ in &self.ids {
            let Some(hanging) = self.hanging(topic).await? else { return Ok(()) };
            let fate = self.fate(ledger, from, &hanging).await?;
            self.end(topic, &hanging, fate).await?;
        }
        Ok(())
    }

    /// What lies before `from` is known and was acknowledged: an owner keeps and archives what it has committed, marker or
    /// not.
    async fn fate(&self, ledger: &Ledger, from: i64, hanging: &Hanging) -> Result<Fate, LogError> {
        if hanging.open.start < from {
            return Ok(Fate::Commit);
        }
        let (topic, partition) = (&self.equipment.imprint.events_topic, self.equipment.partition());
        let mut known = Known::default();
        let mut learn = |records: Vec<Fetched>| known.learn(records);
        self.equipment.log.each_committed(topic, partition, from, &mut learn).await?;
        Ok(known.fate(ledger, &hanging.records))
    }

    /// Ends what hangs on the replies and on the group's offset, which is told. `ledger` knows everything that is committed.
    pub async fn commands(&self, ledger: &Ledger) -> Result<i64, Hidden> {
        let topic = &self.equipment.imprint.replies_topic;
        for _ in &self.ids {
            let Some(hanging) = self.hanging(topic).await? else { break };
            let untrue = hanging.records.iter().any(|reply| self.is_untrue(reply, ledger));
            self.end(topic, &hanging, if untrue { Fate::Abort } else { Fate::Commit }).await?;
        }
        self.offset().await
    }

    async fn hanging(&self, topic: &Arc<str>) -> Result<Option<Hanging>, LogError> {
        self.equipment.log.hanging(topic, self.equipment.partition(), &self.ids).await
    }

    async fn end(&self, topic: &Arc<str>, hanging: &Hanging, fate: Fate) -> Result<(), Hidden> {
        let (partition, open) = (self.equipment.partition(), hanging.open);
        let Some(lane) = hanging.lane.and_then(|lane| self.lanes.get(lane)) else {
            return Err(Hidden::Foreign { topic: topic.to_string(), partition, open });
        };
        let (start, records) = (open.start, hanging.records.len());
        error!(%topic, partition, start, records, ?fate, "a transaction of ours hangs, another one ends it");
        lane.stage(Window { records: vec![mark(Arc::clone(topic), partition)], consumed: None }).await?;
        match fate {
            Fate::Commit => lane.commit().await?,
            Fate::Abort => lane.abort().await?,
        }
        self.equipment.metrics.healed();
        Ok(())
    }

    /// Whether the reply says accepted and there is no event of its request.
    fn is_untrue(&self, reply: &Fetched, ledger: &Ledger) -> bool {
        let shape = &self.equipment.imprint.reply_type.shape;
        let avro = reply.value.as_deref().and_then(|value| frame::split(value).ok());
        let Some(fields) = avro.and_then(|(_, avro)| shape.decode(avro).ok()) else { return false };
        let request = fields.get("request_id").and_then(|id| id.as_str()).unwrap_or_default();
        let accepted = fields.get("outcome").is_some_and(|outcome| outcome == "accepted");
        accepted && !ledger.knows(StreamKey::of(request))
    }

    /// Every lane says how far the commands are answered: that replaces what it left pending, whatever it was.
    async fn offset(&self) -> Result<i64, Hidden> {
        let stands = self.equipment.group_offset().await?;
        if !stands.hangs {
            return Ok(stands.next);
        }
        let partition = self.equipment.partition();
        let next = self.first_unanswered(stands.next).await?;
        error!(partition, next, "the group's offset hangs in a transaction of ours, others end it");
        for lane in (0..self.ids.len()).filter_map(|lane| self.lanes.get(lane)) {
            let consumed = self.equipment.offsets.consumed_soon(partition, next).await.ok_or(Hidden::NoMember)?;
            lane.stage(Window { records: Vec::<NewRecord>::new(), consumed: Some(consumed) }).await?;
            lane.commit().await?;
        }
        self.equipment.metrics.healed();
        let stands = self.equipment.group_offset().await?;
        if stands.hangs { Err(Hidden::Offset) } else { Ok(stands.next) }
    }

    /// The first command from `next` on that has no reply.
    async fn first_unanswered(&self, next: i64) -> Result<i64, LogError> {
        let (log, partition) = (&self.equipment.log, self.equipment.partition());
        let replies = log.newest(&self.equipment.imprint.replies_topic, partition, REPLIES_MAX).await?;
        let answered: HashSet<i64> = replies.iter().filter_map(command_offset).collect();
        let commands_topic = names::commands_topic(&self.equipment.context).into();
        let mut commands = Vec::new();
        let mut learn = |part: Vec<Fetched>| commands.extend(part.iter().map(|command| command.offset));
        log.each_committed(&commands_topic, partition, next, &mut learn).await?;
        let last_answered = commands.into_iter().take_while(|at| answered.contains(at)).last();
        Ok(last_answered.map_or(next, |at| at + 1))
    }
}

/// What is committed beside what the ledger knows.
#[derive(Default)]
struct Known {
    versions: HashMap<StreamKey, Version>,
    requests: HashSet<StreamKey>,
}

impl Known {
    fn learn(&mut self, records: Vec<Fetched>) {
        for event in records.into_iter().filter_map(stored) {
            self.versions.insert(StreamKey::of(event.headers.stream.as_str()), event.headers.version);
            self.requests.insert(StreamKey::of(event.headers.request_key()));
        }
    }

    /// Committed if every event continues its stream and repeats no request.
    fn fate(mut self, ledger: &Ledger, hidden: &[Fetched]) -> Fate {
        for event in hidden.iter().cloned().filter_map(stored) {
            let stream = StreamKey::of(event.headers.stream.as_str());
            let last = self.versions.entry(stream).or_insert_with(|| ledger.committed(stream));
            let request = StreamKey::of(event.headers.request_key());
            if event.headers.version != last.plus(1) || self.requests.contains(&request) || ledger.knows(request) {
                say_why(&event, *last);
                return Fate::Abort;
            }
            *last = event.headers.version;
        }
        Fate::Commit
    }
}

fn say_why(event: &Stored, last: Version) {
    let (stream, version, id) = (&event.headers.stream, event.headers.version.0, &event.headers.id);
    warn!(offset = event.offset, %stream, version, id, last = last.0, "a hidden event does not continue its stream");
}

#[cfg(test)]
mod tests;
