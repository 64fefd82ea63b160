//! Windows on their lanes, on a log in memory.

use bytes::Bytes;
use futures::poll;
use spina_codec::Headers;
use spina_log::NewRecord;
use spina_testkit::{Fault, MemoryLog};

use super::*;

const TOPIC: &str = "test.events.v1";

fn window(value: &str) -> Window {
    let record = NewRecord {
        topic: TOPIC.into(),
        partition: 0,
        key: Bytes::from_static(b"a-1"),
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
        headers: Headers::default(),
        timestamp_ms: None,
    };
    Window { records: vec![record], consumed: None }
}

async fn lanes(log: &MemoryLog) -> Lanes {
    Lanes::open(log, &"test".parse().unwrap(), 0, 2).await.unwrap()
}

/// The values that committed readers see, joined.
fn visible(log: &MemoryLog) -> String {
    let records = log.committed(TOPIC, 0);
    records.iter().map(|record| std::str::from_utf8(record.value.as_deref().unwrap()).unwrap()).collect()
}

fn is_aborted(written: &Result<Vec<i64>, WriteError>) -> bool {
    matches!(written, Err(WriteError::Aborted { .. }))
}

#[tokio::test]
async fn a_window_is_staged_only_behind_the_one_before() {
    let log = MemoryLog::default();
    let mut lanes = lanes(&log).await;
    let release = log.hold_staging(1);
    let ((after_a, before_b), (after_b, _before_c)) = (gates(), gates());
    let a = write(lanes.turn(), window("a"), None, after_a);
    let b = write(lanes.turn(), window("b"), Some(before_b), after_b);
    tokio::pin!(a, b);
    assert!(poll!(&mut b).is_pending() && poll!(&mut a).is_pending() && poll!(&mut b).is_pending());
    assert_eq!((log.transactions(), log.end(TOPIC, 0)), (1, 0));
    release.send(()).unwrap();
    let (a, b) = tokio::join!(a, b);
    assert!(a.unwrap() < b.unwrap());
    assert_eq!(visible(&log), "ab");
}

#[tokio::test]
async fn staged_windows_commit_behind_the_one_before() {
    let log = MemoryLog::default();
    let mut lanes = lanes(&log).await;
    let ((first, before_a), (after_a, before_b), (after_b, _before_c)) = (gates(), gates(), gates());
    let a = write(lanes.turn(), window("a"), Some(before_a), after_a);
    let b = write(lanes.turn(), window("b"), Some(before_b), after_b);
    tokio::pin!(a, b);
    open(first.staged);
    assert!(poll!(&mut a).is_pending() && poll!(&mut b).is_pending());
    assert_eq!((log.end(TOPIC, 0), log.stable_end(TOPIC, 0)), (2, 0), "both are staged, none is visible");
    open(first.committed);
    assert!(poll!(&mut b).is_pending());
    a.await.unwrap();
    assert_eq!(visible(&log), "a");
    b.await.unwrap();
    assert_eq!(visible(&log), "ab");
}

#[tokio::test]
async fn a_lost_window_takes_those_behind_it_along_and_their_lanes_live() {
    let cases = [
        (Fault::StageAborted, "c"),
        (Fault::CommitAborted, "c"),
        (Fault::UnknownCommitted, "ac"),
        (Fault::FencedAtStage, "c"),
        (Fault::FencedAtCommit, "c"),
    ];
    for (fault, expected) in cases {
        let log = MemoryLog::default();
        log.fail(1, fault);
        let mut lanes = lanes(&log).await;
        let (lane_a, lane_b) = (lanes.turn(), lanes.turn());
        let ((after_a, before_b), (after_b, before_none)) = (gates(), gates());
        let (a, b, none) = tokio::join!(
            write(lane_a, window("a"), None, after_a),
            write(Arc::clone(&lane_b), window("b"), Some(before_b), after_b),
            wait_only(Some(before_none), gates().0),
        );
        assert!(a.is_err() && is_aborted(&b) && is_aborted(&none), "{fault:?}: {a:?} {b:?} {none:?}");
        write(lane_b, window("c"), None, gates().0).await.unwrap();
        assert_eq!(visible(&log), expected, "{fault:?}");
    }
}

#[tokio::test]
async fn a_window_without_records_waits_for_the_one_before() {
    let log = MemoryLog::default();
    let mut lanes = lanes(&log).await;
    let ((after_a, before_none), (after_none, before_b)) = (gates(), gates());
    let none = wait_only(Some(before_none), after_none);
    let b = write(lanes.turn(), window("b"), Some(before_b), gates().0);
    tokio::pin!(none, b);
    assert!(poll!(&mut none).is_pending() && poll!(&mut b).is_pending());
    write(lanes.turn(), window("a"), None, after_a).await.unwrap();
    assert_eq!(none.await.unwrap(), Vec::<i64>::new());
    b.await.unwrap();
    assert_eq!((visible(&log).as_str(), log.transactions()), ("ab", 2));
}

#[tokio::test]
async fn lanes_take_turns_and_a_new_owner_fences_all_of_them() {
    let log = MemoryLog::default();
    let mut old = lanes(&log).await;
    let (first, second, third) = (old.turn(), old.turn(), old.turn());
    assert!(Arc::ptr_eq(&first, &third) && !Arc::ptr_eq(&first, &second));
    first.stage(window("old")).await.unwrap();
    let mut new = lanes(&log).await;
    for lane in [first, second] {
        let written = match lane.commit().await {
            Err(WriteError::Broken { .. }) => lane.stage(window("old")).await.map(drop),
            committed => committed,
        };
        assert!(matches!(written, Err(WriteError::Fenced { .. })), "{written:?}");
    }
    write(new.turn(), window("new"), None, gates().0).await.unwrap();
    assert_eq!(visible(&log), "new");
}
