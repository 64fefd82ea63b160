//! Members get their partitions in order, and consumed offsets are part of the window.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use spina_log::admin::GroupOffset;
use spina_log::membership::{Inputs, Membership, MembershipEvent, MembershipOptions};
use spina_log::{Consumed, Publisher, Window, WriteError};

use crate::support::{Log, PATIENCE, Writer, for_both_writers, unique, values};

for_both_writers! { consumed_offsets_are_part_of_the_window }

fn join(log: &Log, group: &str, instance: &str) -> Membership {
    Membership::join(&log.config, MembershipOptions::new(group, log.topic.as_ref(), instance)).unwrap()
}

async fn next(member: &mut Membership) -> MembershipEvent {
    tokio::time::timeout(PATIENCE, member.next()).await.expect("the member gives a sign of life").unwrap().unwrap()
}

async fn assigned(member: &mut Membership) -> Vec<i32> {
    match next(member).await {
        MembershipEvent::Assigned { partitions } => partitions,
        other => panic!("not an assignment: {other:?}"),
    }
}

/// So many records, and no more for a moment.
async fn flowing(inputs: &mut Inputs, count: usize) -> Vec<spina_log::Fetched> {
    let mut records = Vec::new();
    while records.len() < count {
        let record = tokio::time::timeout(PATIENCE, inputs.next()).await.expect("records flow");
        records.push(record.expect("the partition is ours"));
    }
    let more = tokio::time::timeout(Duration::from_millis(200), inputs.next()).await;
    assert!(more.is_err(), "more than {count}: {more:?}");
    records
}

async fn publish(log: &Log, values: &[&str]) {
    let publisher = Publisher::new(&log.config).unwrap();
    for value in values {
        publisher.publish(&log.record(0, value)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offset_in_an_open_transaction_is_seen_and_no_other() {
    let log = Log::with_partitions(1).await;
    let group = unique("group");
    let lane = log.lane(&unique("lane")).await;
    let mut member = join(&log, &group, "one");
    assigned(&mut member).await;
    let me = member.handle().member().unwrap();
    let window = |member, next| {
        let consumed = Some(Consumed { member, offsets: vec![(Arc::clone(&log.topic), 0, next)] });
        Window { consumed, ..Window::default() }
    };
    let stands = async || {
        let GroupOffset { next, hangs } = log.admin.group_offset(&group, &log.topic, 0).await.unwrap();
        (next, hangs)
    };
    assert_eq!(stands().await, (0, false));
    lane.stage(window(me.clone(), 1)).await.unwrap();
    assert_eq!(stands().await, (0, true));
    lane.abort().await.unwrap();
    lane.stage(window(me.clone(), 2)).await.unwrap();
    lane.commit().await.unwrap();
    assert_eq!(stands().await, (2, false));
    lane.stage(window(me, 3)).await.unwrap();
    assert_eq!(stands().await, (2, true));
    lane.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_wait_until_their_partition_is_begun_with() {
    let log = Log::with_partitions(2).await;
    publish(&log, &["a", "b"]).await;
    let mut member = join(&log, &unique("group"), "one");
    assert_eq!(assigned(&mut member).await, [0, 1]);
    assert!(member.handle().member().is_some_and(|me| me.generation >= 0 && me.instance_id.as_deref() == Some("one")));
    let early = tokio::time::timeout(Duration::from_millis(500), member.next()).await;
    assert!(early.is_err(), "nothing comes before the partition is begun with: {early:?}");

    let first = flowing(&mut member.handle().begin(0, 1).unwrap(), 1).await;
    assert_eq!((values(&first), first[0].offset), (vec!["b"], 1), "it begins where it is told to");
    member.leave().await;
}

async fn consumed_offsets_are_part_of_the_window(writer: Writer) {
    let log = Log::of(writer, 1).await;
    let (group, out) = (unique("group"), unique("out"));
    log.create(&out, 1).await;
    publish(&log, &["a", "b", "c"]).await;
    let lane = log.lane(&unique("lane")).await;

    let mut member = join(&log, &group, "one");
    assigned(&mut member).await;
    flowing(&mut member.handle().begin(0, 0).unwrap(), 3).await;
    let window = |next: i64, record: bool| {
        let mut window = Window::default();
        if record {
            window.records = log.window(0, &["out"]).records;
            window.records[0].topic = out.as_str().into();
        }
        let member = member.handle().member().unwrap();
        window.consumed = Some(Consumed { member, offsets: vec![(Arc::clone(&log.topic), 0, next)] });
        window
    };
    lane.stage(window(1, true)).await.unwrap();
    lane.commit().await.unwrap();
    lane.stage(window(2, false)).await.unwrap();
    lane.commit().await.unwrap();
    lane.stage(window(3, true)).await.unwrap();
    lane.abort().await.unwrap();

    let mut stale = window(3, true);
    stale.consumed.as_mut().unwrap().member.generation -= 1;
    let error = lane.stage(stale).await.unwrap_err();
    assert!(matches!(error, WriteError::Aborted { .. }), "{error:?}");
    member.leave().await;

    let mut again = join(&log, &group, "one");
    assigned(&mut again).await;
    let stands = log.admin.group_offset(&group, &log.topic, 0).await.unwrap();
    assert_eq!(stands, GroupOffset { next: 2, hangs: false }, "two offsets were committed, the third was aborted");
    assert_eq!(values(&flowing(&mut again.handle().begin(0, stands.next).unwrap(), 1).await), ["c"]);
    again.leave().await;
    let out = Log { topic: out.as_str().into(), ..log };
    assert_eq!(values(&out.committed(1).await), ["out"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_member_gets_partitions_only_after_the_first_let_go() {
    let log = Log::with_partitions(2).await;
    let group = unique("group");
    let mut first = join(&log, &group, "one");
    assert_eq!(assigned(&mut first).await, [0, 1]);
    let mut second = join(&log, &group, "two");
    let MembershipEvent::Revoked { partitions, ack } = next(&mut first).await else { panic!("not a revocation") };
    assert_eq!(partitions.len(), 1);
    let early = tokio::time::timeout(Duration::from_millis(700), second.next()).await;
    assert!(early.is_err(), "the first still holds it: {early:?}");
    drop(ack);
    assert_eq!(assigned(&mut second).await, partitions);
    first.leave().await;
    second.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_dies_while_it_lets_go_leaves_nothing_without_an_owner() {
    let log = Log::with_partitions(2).await;
    let group = unique("group");
    // Longer than the test waits: nothing is mended by the end of a session.
    let session_timeout = Duration::from_secs(120);
    let join = |instance: &str| {
        let options = MembershipOptions::new(group.as_str(), log.topic.as_ref(), instance);
        Membership::join(&log.config, MembershipOptions { session_timeout, ..options }).unwrap()
    };
    let mut first = join("one");
    assert_eq!(assigned(&mut first).await, [0, 1]);
    let mut second = join("two");
    let MembershipEvent::Revoked { ack, .. } = next(&mut first).await else { panic!("no revocation") };
    // It is told to stop, and then let go of what holds it.
    tokio::join!(first.leave(), async { drop(ack) });
    let mut again = join("one");
    let mut owned = [BTreeSet::new(), BTreeSet::new()];
    let shared = async {
        while owned.iter().any(|owned: &BTreeSet<i32>| owned.len() != 1) {
            let (at, event) = tokio::select! {
                event = again.next() => (0, event),
                event = second.next() => (1, event),
            };
            match event.unwrap().unwrap() {
                MembershipEvent::Assigned { partitions } => owned[at].extend(partitions),
                MembershipEvent::Revoked { partitions, .. } => owned[at].retain(|owned| !partitions.contains(owned)),
                other => panic!("neither assigned nor revoked: {other:?}"),
            }
        }
    };
    let shared = tokio::time::timeout(PATIENCE, shared).await;
    assert!(shared.is_ok(), "a partition has no owner: {owned:?}");
    again.leave().await;
    second.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_comes_back_gets_its_partitions_at_once() {
    let log = Log::with_partitions(2).await;
    let group = unique("group");
    let mut member = join(&log, &group, "one");
    assert_eq!(assigned(&mut member).await, [0, 1]);
    member.leave().await;
    let begun = Instant::now();
    let mut member = join(&log, &group, "one");
    assert_eq!(assigned(&mut member).await, [0, 1]);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    member.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_resigns_hands_over_at_once_although_it_is_static() {
    let log = Log::with_partitions(2).await;
    let group = unique("group");
    // Longer than the test waits: who gets the partitions does not get them because a session has ended.
    let session_timeout = Duration::from_secs(120);
    let join = |instance: &str| {
        let options = MembershipOptions::new(group.as_str(), log.topic.as_ref(), instance);
        Membership::join(&log.config, MembershipOptions { session_timeout, ..options }).unwrap()
    };
    let mut first = join("one");
    assert_eq!(assigned(&mut first).await, [0, 1]);
    let mut second = join("two");
    let MembershipEvent::Revoked { partitions: moved, ack } = next(&mut first).await else { panic!("no revocation") };
    drop(ack);
    assert_eq!(assigned(&mut second).await, moved);
    first.resign().await;
    let mut rest = assigned(&mut second).await;
    rest.extend(moved);
    rest.sort_unstable();
    assert_eq!(rest, [0, 1]);
    second.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_begins_where_it_is_told_to_although_the_group_moved_on_since_it_was_assigned() {
    let log = Log::with_partitions(1).await;
    publish(&log, &["a", "b", "c"]).await;
    let group = unique("group");
    let lane = log.lane(&unique("lane")).await;
    let mut member = join(&log, &group, "one");
    assigned(&mut member).await;
    // Long enough for the client to hear where the group stood.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let consumed =
        Consumed { member: member.handle().member().unwrap(), offsets: vec![(Arc::clone(&log.topic), 0, 2)] };
    lane.stage(Window { consumed: Some(consumed), ..Window::default() }).await.unwrap();
    lane.commit().await.unwrap();
    let stands = log.admin.group_offset(&group, &log.topic, 0).await.unwrap();
    assert_eq!(values(&flowing(&mut member.handle().begin(0, stands.next).unwrap(), 1).await), ["c"]);
    member.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmed_partition_is_held_back_and_comes_again_while_others_go_on() {
    let log = Log::with_partitions(2).await;
    publish(&log, &["a", "b", "c"]).await;
    let mut member = join(&log, &unique("group"), "one");
    assert_eq!(assigned(&mut member).await, [0, 1]);
    let generation = member.handle().member().unwrap().generation;
    let (mut inputs, mut others) = (member.handle().begin(0, 0).unwrap(), member.handle().begin(1, 0).unwrap());
    assert_eq!(values(&flowing(&mut inputs, 3).await), ["a", "b", "c"]);

    member.handle().confirm(0).unwrap();
    let confirmed = next(&mut member).await;
    assert!(matches!(confirmed, MembershipEvent::Confirmed { partition: 0 }), "{confirmed:?}");
    Publisher::new(&log.config).unwrap().publish(&log.record(1, "other")).await.unwrap();
    assert_eq!(values(&flowing(&mut others, 1).await), ["other"]);
    assert!(inputs.next().await.is_none(), "the confirmed one waits to be begun with");
    assert_eq!(values(&flowing(&mut member.handle().begin(0, 1).unwrap(), 2).await), ["b", "c"]);
    assert_eq!(member.handle().member().unwrap().generation, generation, "nobody had to leave");
    member.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_takes_nothing_holds_back_nobody_else_and_misses_nothing() {
    let log = Log::with_partitions(2).await;
    let mut options = MembershipOptions::new(unique("group"), log.topic.as_ref(), "one");
    options.queue_records_max = 3;
    let mut member = Membership::join(&log.config, options).unwrap();
    assert_eq!(assigned(&mut member).await, [0, 1]);
    let (mut busy, mut idle) = (member.handle().begin(0, 0).unwrap(), member.handle().begin(1, 0).unwrap());
    let sent: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    let publisher = Publisher::new(&log.config).unwrap();
    for (number, value) in sent.iter().enumerate() {
        publisher.publish(&log.record(0, value)).await.unwrap();
        publisher.publish(&log.record(1, value)).await.unwrap();
        let passed_by = tokio::time::timeout(PATIENCE, idle.next()).await.expect("others go on").unwrap();
        assert_eq!(values(&[passed_by]), [number.to_string()]);
    }
    assert_eq!(values(&flowing(&mut busy, 20).await), sent);
    member.leave().await;
}
