//! What a predecessor of the same name had begun to let go when it went away.
//!
//! A partition moves in two rebalances: in the first one its owner is told to let go, and once it has, it joins again and
//! so causes the second, in which the next owner gets it. If the owner goes away in between and comes back under its
//! lasting name, the group takes it for the same member, gives it the rest of its partitions and sees no reason for another
//! rebalance: the partition would be without an owner until somebody else joins or leaves.
//!
//! ```text
//!   1st rebalance: one {0}, two {}      "one" lets go of 1, and dies before it joins again
//!   "one" is back: one {0}, two {}      the group is stable, and nobody owns 1
//! ```
//!
//! So who joins looks first. While its predecessor is missing, a stable group stays as it is, so there is time; and if a
//! partition has no owner then, the group is told that the predecessor has left, which causes the rebalance.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::KafkaResult;
use rdkafka::{ClientConfig, ClientContext};

use super::MembershipOptions;
use super::callbacks::Callbacks;
use crate::client::Quiet;
use crate::native;

/// How long one question to the brokers may take.
const ASK_LIMIT: Duration = Duration::from_secs(1);
/// How long it may take to be in the group under the predecessor's name, and out of it again.
const VISIT_LIMIT: Duration = Duration::from_secs(10);
/// How long one poll of the visit takes.
const POLL: Duration = Duration::from_millis(10);
/// The state of a group that shares nothing out now.
const STABLE: &str = "Stable";

/// Whether the group rests with a partition that nobody owns, and counts our predecessor among its members.
pub(super) fn left_something(consumer: &BaseConsumer<Callbacks>, options: &MembershipOptions) -> KafkaResult<bool> {
    let listed = consumer.fetch_group_list(Some(&options.group), ASK_LIMIT)?;
    let Some(group) = listed.groups().iter().find(|group| group.name() == options.group) else { return Ok(false) };
    if group.state() != STABLE || !group.members().iter().any(|member| is_of(member.id(), &options.instance_id)) {
        return Ok(false);
    }
    let assignments = group.members().iter().filter_map(|member| member.assignment());
    let owned: BTreeSet<i32> = assignments.flat_map(|assignment| partitions_of(assignment, &options.topic)).collect();
    let metadata = consumer.fetch_metadata(Some(&options.topic), ASK_LIMIT)?;
    let topic = metadata.topics().iter().find(|topic| topic.name() == options.topic);
    Ok(topic.is_some_and(|topic| topic.partitions().iter().any(|partition| !owned.contains(&partition.id()))))
}

/// Whether the coordinator gave the id to a member of this lasting name: the name, a dash and a UUID.
fn is_of(member_id: &str, instance_id: &str) -> bool {
    let rest = member_id.strip_prefix(instance_id).and_then(|rest| rest.strip_prefix('-'));
    rest.is_some_and(|uuid| uuid.len() == UUID_LEN)
}

/// Characters of a UUID with its dashes.
const UUID_LEN: usize = 36;

/// The partitions of the topic in an assignment as members get it: version, then for each topic its name and partitions,
/// then bytes of the assignor. Empty if it is not understood.
fn partitions_of(assignment: &[u8], topic: &str) -> Vec<i32> {
    read_partitions(assignment, topic).unwrap_or_default()
}

fn read_partitions(mut rest: &[u8], wanted: &str) -> Option<Vec<i32>> {
    let rest = &mut rest;
    take::<2>(rest)?;
    let mut found = Vec::new();
    for _ in 0..i32::from_be_bytes(take(rest)?) {
        let length = usize::try_from(i16::from_be_bytes(take(rest)?)).ok()?;
        let (topic, after) = rest.split_at_checked(length)?;
        *rest = after;
        for _ in 0..i32::from_be_bytes(take(rest)?) {
            let partition = i32::from_be_bytes(take(rest)?);
            if topic == wanted.as_bytes() {
                found.push(partition);
            }
        }
    }
    Some(found)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*bytes)
}

/// Joins under the predecessor's name and leaves, so that the group shares out anew. Blocks, unless `stopped`.
pub(super) fn leave_for_it(settings: &ClientConfig, topic: &str, stopped: impl Fn() -> bool) -> KafkaResult<()> {
    let visitor: BaseConsumer<Visitor> = settings.create_with_context(Visitor::default())?;
    let deadline = Instant::now() + VISIT_LIMIT;
    let poll_while = |goes_on: &dyn Fn() -> bool| {
        while goes_on() && Instant::now() < deadline && !stopped() {
            // Nothing is consumed: what comes stays uncommitted for the owner to be.
            let _passes = visitor.poll(POLL);
        }
    };
    visitor.subscribe(&[topic])?;
    poll_while(&|| !visitor.context().assigned.load(Ordering::Relaxed));
    visitor.unsubscribe();
    poll_while(&|| native::group_member(&visitor).is_some());
    Ok(())
}

/// Notes that it was assigned something, or nothing.
#[derive(Debug, Default)]
struct Visitor {
    assigned: AtomicBool,
}

impl ClientContext for Visitor {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        Quiet.log(level, facility, message);
    }
}

impl ConsumerContext for Visitor {
    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(_) = rebalance {
            self.assigned.store(true, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An assignment in the group protocol's words.
    fn assignment(topics: &[(&str, &[i32])]) -> Vec<u8> {
        let mut bytes = 1_i16.to_be_bytes().to_vec();
        bytes.extend((topics.len() as i32).to_be_bytes());
        for (topic, partitions) in topics {
            bytes.extend((topic.len() as i16).to_be_bytes());
            bytes.extend(topic.as_bytes());
            bytes.extend((partitions.len() as i32).to_be_bytes());
            partitions.iter().for_each(|partition| bytes.extend(partition.to_be_bytes()));
        }
        // The assignor's own bytes: null.
        bytes.extend((-1_i32).to_be_bytes());
        bytes
    }

    #[test]
    fn the_partitions_of_one_topic_are_read_from_an_assignment() {
        let both = assignment(&[("other", &[7]), ("ours", &[0, 3])]);
        assert_eq!(partitions_of(&both, "ours"), [0, 3]);
        assert_eq!(partitions_of(&both, "nobodys"), [0_i32; 0]);
        assert_eq!(partitions_of(&assignment(&[]), "ours"), [0_i32; 0]);
        assert_eq!(partitions_of(&both[..both.len() - 8], "ours"), [0_i32; 0], "it is cut off");
    }

    #[test]
    fn a_member_is_known_by_its_lasting_name() {
        let id = "store-1-923b4351-f315-4def-a51b-942c2450fd77";
        assert!(is_of(id, "store-1"));
        assert!(!is_of(id, "store"), "the name of another");
        assert!(!is_of("store-1", "store-1"));
    }
}
