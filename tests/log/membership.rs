//! Members get their partitions in order, and consumed offsets are part of the window.

use std::sync::Arc;
use std::time::{Duration, Instant};

use spina_log::membership::{Membership, MembershipEvent, MembershipOptions};
use spina_log::{Consumed, Publisher, Window, WriteError};

use crate::support::{Log, PATIENCE, unique, values};

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

async fn commands(member: &mut Membership) -> Vec<spina_log::Fetched> {
    match next(member).await {
        MembershipEvent::Commands(commands) => commands,
        other => panic!("not commands: {other:?}"),
    }
}

async fn publish(log: &Log, values: &[&str]) {
    let publisher = Publisher::new(&log.config).unwrap();
    for value in values {
        publisher.publish(&log.record(0, value)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_wait_until_their_partition_is_resumed() {
    let log = Log::with_partitions(2).await;
    publish(&log, &["a", "b"]).await;
    let mut member = join(&log, &unique("group"), "one");
    assert_eq!(assigned(&mut member).await, [0, 1]);
    assert!(member.handle().member().is_some_and(|me| me.generation >= 0 && me.instance_id.as_deref() == Some("one")));
    let early = tokio::time::timeout(Duration::from_millis(500), member.next()).await;
    assert!(early.is_err(), "nothing comes before the partition is resumed: {early:?}");

    member.handle().resume(0).unwrap();
    let first = commands(&mut member).await;
    assert_eq!((values(&first), first[0].offset), (vec!["a", "b"], 0));
    member.handle().pause(0).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    publish(&log, &["c"]).await;
    assert!(tokio::time::timeout(Duration::from_millis(500), member.next()).await.is_err(), "it is paused again");
    member.handle().resume(0).unwrap();
    assert_eq!(values(&commands(&mut member).await), ["c"]);
    member.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn consumed_offsets_are_part_of_the_window() {
    let log = Log::with_partitions(1).await;
    let (group, out) = (unique("group"), unique("out"));
    log.create(&out, 1).await;
    publish(&log, &["a", "b", "c"]).await;
    let lane = log.lane(&unique("lane")).await;

    let mut member = join(&log, &group, "one");
    assigned(&mut member).await;
    member.handle().resume(0).unwrap();
    assert_eq!(commands(&mut member).await.len(), 3);
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
    again.handle().resume(0).unwrap();
    assert_eq!(values(&commands(&mut again).await), ["c"], "two offsets were committed, the third was aborted");
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
