//! Windows on their lanes, on a log in memory.

use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use futures::poll;
use spina_codec::Headers;
use spina_log::NewRecord;
use spina_testkit::{Fault, MemoryLog};
use tokio::sync::Semaphore;

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

fn is_aborted(written: &Result<(), WriteError>) -> bool {
    matches!(written, Err(WriteError::Aborted { .. }))
}

#[tokio::test]
async fn a_window_is_staged_only_behind_the_one_before() {
    let log = MemoryLog::default();
    let mut lanes = lanes(&log).await;
    let release = log.hold_staging(1);
    let ((after_a, before_b), (after_b, _before_c)) = (gates(), gates());
    let told = Mutex::new(Vec::new());
    let tell = |offsets: Vec<i64>| told.lock().unwrap().extend(offsets);
    let a = write(lanes.turn(), window("a"), None, after_a, tell);
    let b = write(lanes.turn(), window("b"), Some(before_b), after_b, tell);
    tokio::pin!(a, b);
    assert!(poll!(&mut b).is_pending() && poll!(&mut a).is_pending() && poll!(&mut b).is_pending());
    assert_eq!((log.transactions(), log.end(TOPIC, 0)), (1, 0));
    release.send(()).unwrap();
    tokio::try_join!(a, b).unwrap();
    let told = told.lock().unwrap();
    assert!(told.len() == 2 && told[0] < told[1], "{told:?}");
    assert_eq!(visible(&log), "ab");
}

#[tokio::test]
async fn staged_windows_commit_behind_the_one_before() {
    let log = MemoryLog::default();
    let mut lanes = lanes(&log).await;
    let ((first, before_a), (after_a, before_b), (after_b, _before_c)) = (gates(), gates(), gates());
    let a = write(lanes.turn(), window("a"), Some(before_a), after_a, |_| ());
    let b = write(lanes.turn(), window("b"), Some(before_b), after_b, |_| ());
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
            write(lane_a, window("a"), None, after_a, |_| ()),
            write(Arc::clone(&lane_b), window("b"), Some(before_b), after_b, |_| ()),
            wait_only(Some(before_none), gates().0),
        );
        assert!(a.is_err() && is_aborted(&b) && is_aborted(&none), "{fault:?}: {a:?} {b:?} {none:?}");
        write(lane_b, window("c"), None, gates().0, |_| ()).await.unwrap();
        assert_eq!(visible(&log), expected, "{fault:?}");
    }
}

#[tokio::test]
async fn a_window_without_records_waits_for_the_one_before() {
    let log = MemoryLog::default();
    let mut lanes = lanes(&log).await;
    let ((after_a, before_none), (after_none, before_b)) = (gates(), gates());
    let none = wait_only(Some(before_none), after_none);
    let b = write(lanes.turn(), window("b"), Some(before_b), gates().0, |_| ());
    tokio::pin!(none, b);
    assert!(poll!(&mut none).is_pending() && poll!(&mut b).is_pending());
    write(lanes.turn(), window("a"), None, after_a, |_| ()).await.unwrap();
    none.await.unwrap();
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
    write(new.turn(), window("new"), None, gates().0, |_| ()).await.unwrap();
    assert_eq!(visible(&log), "new");
}

/// Notes which ids are asked for, and opens none before it is told to.
struct Gate {
    log: MemoryLog,
    asked: Mutex<Vec<String>>,
    open: Semaphore,
}

#[async_trait]
impl spina_log::Lanes for Gate {
    async fn open(&self, id: &str) -> Result<Arc<dyn Lane>, LogError> {
        self.asked.lock().unwrap().push(id.to_owned());
        self.open.acquire().await.unwrap().forget();
        self.log.open(id).await
    }
}

#[tokio::test]
async fn the_first_lane_is_opened_before_the_others_and_carries_the_first_window() {
    let gate = Gate { log: MemoryLog::default(), asked: Mutex::default(), open: Semaphore::new(0) };
    let context = "test".parse().unwrap();
    let opening = Lanes::open(&gate, &context, 0, 3);
    tokio::pin!(opening);
    assert!(poll!(&mut opening).is_pending());
    assert_eq!(*gate.asked.lock().unwrap(), [names::transactional_id(&context, 0, 0)]);
    gate.open.add_permits(3);
    let mut lanes = opening.await.unwrap();
    assert_eq!(gate.asked.lock().unwrap().len(), 3);
    assert!(Arc::ptr_eq(&lanes.turn(), lanes.get(0).unwrap()));
}
