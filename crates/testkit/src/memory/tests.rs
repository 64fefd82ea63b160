//! The log in memory does what the one on brokers does (`tests/log` tells the same stories there).

use bytes::Bytes;
use spina_codec::Headers;
use spina_log::{Consumed, GroupMember, NewRecord, Window};

use super::*;

fn window(values: &[&str]) -> Window {
    let record = |value: &&str| NewRecord {
        topic: "t".into(),
        partition: 0,
        key: Bytes::from_static(b"k"),
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
        headers: Headers::default(),
        timestamp_ms: None,
    };
    Window { records: values.iter().map(record).collect(), consumed: None }
}

fn committed(log: &MemoryLog) -> Vec<String> {
    let text = |record: Fetched| String::from_utf8(record.value.unwrap().to_vec()).unwrap();
    log.committed("t", 0).into_iter().map(text).collect()
}

async fn write(lane: &dyn Lane, values: &[&str]) -> Result<Vec<i64>, WriteError> {
    let offsets = lane.stage(window(values)).await?;
    lane.commit().await.map(|()| offsets)
}

#[tokio::test]
async fn windows_are_whole_or_not_there_and_their_ends_take_offsets() {
    let log = MemoryLog::default();
    let lane = log.open("id").await.unwrap();
    assert_eq!(write(&*lane, &["a", "b"]).await, Ok(vec![0, 1]));
    lane.stage(window(&["c"])).await.unwrap();
    lane.abort().await.unwrap();
    assert_eq!(write(&*lane, &["d"]).await, Ok(vec![5]));
    assert_eq!(committed(&log), ["a", "b", "d"]);
    assert_eq!((log.stable_end("t", 0), log.end("t", 0)), (7, 7));
}

#[tokio::test]
async fn readers_stop_at_the_first_open_transaction() {
    let log = MemoryLog::default();
    let (first, second) = (log.open("1").await.unwrap(), log.open("2").await.unwrap());
    first.stage(window(&["a"])).await.unwrap();
    write(&*second, &["b"]).await.unwrap();
    assert_eq!((committed(&log).len(), log.stable_end("t", 0), log.end("t", 0)), (0, 0, 3));
    first.commit().await.unwrap();
    assert_eq!((committed(&log), log.stable_end("t", 0)), (vec!["a".to_owned(), "b".to_owned()], 4));
}

#[tokio::test]
async fn a_lane_whose_id_was_opened_again_is_fenced_for_good() {
    for staged_before in [false, true] {
        let log = MemoryLog::default();
        let old = log.open("id").await.unwrap();
        if staged_before {
            old.stage(window(&["old"])).await.unwrap();
        }
        let new = log.open("id").await.unwrap();
        let error = if staged_before { old.commit().await } else { old.stage(window(&["old"])).await.map(drop) };
        assert!(matches!(error, Err(WriteError::Fenced { in_doubt, .. }) if in_doubt == staged_before), "{error:?}");
        let again = old.stage(window(&["old"])).await;
        assert!(matches!(again, Err(WriteError::Fenced { in_doubt: false, .. })), "{again:?}");
        write(&*new, &["new"]).await.unwrap();
        assert_eq!(committed(&log), ["new"]);
    }
}

#[tokio::test]
async fn every_fault_leaves_what_its_name_says() {
    let cases = [
        (Fault::StageAborted, "aborted", vec![], true),
        (Fault::CommitAborted, "aborted", vec![], true),
        (Fault::UnknownCommitted, "unknown", vec!["a"], false),
        (Fault::UnknownAborted, "unknown", vec![], false),
        (Fault::FencedAtStage, "fenced", vec![], false),
        (Fault::FencedAtCommit, "fenced in doubt", vec![], false),
    ];
    for (fault, outcome, visible, lane_lives) in cases {
        let log = MemoryLog::default();
        log.fail(1, fault);
        let lane = log.open("id").await.unwrap();
        let found = match write(&*lane, &["a"]).await {
            Ok(_) => "committed",
            Err(WriteError::Aborted { .. }) => "aborted",
            Err(WriteError::Unknown { .. }) => "unknown",
            Err(WriteError::Fenced { in_doubt: false, .. }) => "fenced",
            Err(WriteError::Fenced { in_doubt: true, .. }) => "fenced in doubt",
            Err(WriteError::Broken { .. }) => "broken",
        };
        assert_eq!(found, outcome, "{fault:?}");
        assert_eq!(write(&*lane, &["b"]).await.is_ok(), lane_lives, "{fault:?}");
        let again = log.open("id").await.unwrap();
        write(&*again, &["c"]).await.unwrap();
        let expected: Vec<&str> = visible.into_iter().chain(lane_lives.then_some("b")).chain(["c"]).collect();
        assert_eq!(committed(&log), expected, "{fault:?}");
        assert_eq!(log.stable_end("t", 0), log.end("t", 0), "{fault:?}");
    }
}

#[tokio::test]
async fn a_lost_commit_keeps_the_stable_end_back_until_the_id_is_opened_again() {
    let log = MemoryLog::default();
    log.fail(1, Fault::UnknownAborted);
    let lane = log.open("id").await.unwrap();
    write(&*lane, &["a"]).await.unwrap_err();
    assert_eq!((log.stable_end("t", 0), log.end("t", 0)), (0, 1));
    log.open("id").await.unwrap();
    assert_eq!((log.stable_end("t", 0), log.end("t", 0)), (2, 2));
}

#[tokio::test]
async fn consumed_offsets_are_committed_with_the_window() {
    let log = MemoryLog::default();
    let member = GroupMember { group: "g".to_owned(), generation: 1, member_id: "m".to_owned(), instance_id: None };
    let with_offset = |next| Window {
        consumed: Some(Consumed { member: member.clone(), offsets: vec![("commands".into(), 0, next)] }),
        ..window(&["a"])
    };
    let lane = log.open("id").await.unwrap();
    lane.stage(with_offset(5)).await.unwrap();
    lane.abort().await.unwrap();
    assert_eq!(log.consumed("g", "commands", 0), None);
    lane.stage(with_offset(7)).await.unwrap();
    lane.commit().await.unwrap();
    assert_eq!(log.consumed("g", "commands", 0), Some(7));
}

#[tokio::test]
async fn calls_in_the_wrong_order_are_refused_and_empty_windows_are_none() {
    let log = MemoryLog::default();
    let lane = log.open("id").await.unwrap();
    assert!(matches!(lane.commit().await, Err(WriteError::Broken { .. })));
    assert!(matches!(lane.abort().await, Err(WriteError::Broken { .. })));
    lane.stage(Window::default()).await.unwrap();
    assert!(matches!(lane.stage(window(&["a"])).await, Err(WriteError::Broken { .. })));
    lane.commit().await.unwrap();
    assert_eq!((log.transactions(), log.end("t", 0)), (0, 0));
}

#[tokio::test]
async fn a_held_window_is_written_when_it_is_let_go() {
    let log = MemoryLog::default();
    let release = log.hold_staging(1);
    let (first, second) = (log.open("1").await.unwrap(), log.open("2").await.unwrap());
    let held = write(&*first, &["a"]);
    let after = async {
        write(&*second, &["b"]).await.unwrap();
        drop(release);
    };
    let (held, ()) = tokio::join!(held, after);
    held.unwrap();
    assert_eq!(committed(&log), ["b", "a"]);
}
