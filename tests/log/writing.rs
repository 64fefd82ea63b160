//! What every writer owes: windows are whole or not there, in order, and a lane that lost its claim writes nothing.

use std::sync::Arc;

use spina_log::{Start, Window, WriteError};

use crate::support::{Log, PATIENCE, Writer, for_both_writers, next, unique, values};

for_both_writers! {
    a_committed_window_is_visible_in_order_with_its_offsets
    an_aborted_window_is_never_visible
    a_staged_window_is_hidden_until_it_is_committed
    a_lane_whose_id_was_opened_again_is_fenced
    a_window_that_cannot_be_written_is_aborted_as_a_whole
    an_empty_window_writes_nothing_and_harms_nothing
    calls_in_the_wrong_order_are_refused_and_change_nothing
    a_caller_that_gives_up_does_not_take_its_commit_with_it
    lanes_take_turns_without_losing_order
    a_large_window_is_whole_and_in_order
    an_aborted_window_leaves_no_trace_in_the_next
    lanes_of_a_dead_owner_stay_dead
}

async fn a_committed_window_is_visible_in_order_with_its_offsets(writer: Writer) {
    let log = Log::of(writer, 2).await;
    let lane = log.lane(&unique("lane")).await;
    let mut window = log.window(0, &["a", "b"]);
    window.records.extend(log.window(1, &["c"]).records);
    window.records.push(log.record(0, "d"));
    let offsets = lane.stage(window).await.unwrap();
    lane.commit().await.unwrap();
    assert_eq!(offsets, [0, 1, 0, 2]);

    let mut records = log.committed(2).await;
    records.sort_by_key(|record| (record.partition, record.offset));
    assert_eq!(values(&records), ["a", "b", "d", "c"]);
    assert_eq!(records.iter().map(|record| record.offset).collect::<Vec<_>>(), [0, 1, 2, 0]);
    let first = &records[0];
    assert_eq!((first.key.as_deref(), first.timestamp_ms), (Some(b"key-a".as_slice()), 1_357_035_300_000));
    let headers: Vec<_> = first.headers.iter().collect();
    assert_eq!(headers, [("ce_id", Some(b"a".as_slice())), ("nothing", None)]);
}

async fn an_aborted_window_is_never_visible(writer: Writer) {
    let log = Log::of(writer, 1).await;
    let lane = log.lane(&unique("lane")).await;
    lane.stage(log.window(0, &["a"])).await.unwrap();
    lane.abort().await.unwrap();
    lane.stage(log.window(0, &["b"])).await.unwrap();
    lane.commit().await.unwrap();
    assert_eq!(values(&log.committed(1).await), ["b"]);
}

async fn a_staged_window_is_hidden_until_it_is_committed(writer: Writer) {
    let log = Log::of(writer, 1).await;
    let lane = log.lane(&unique("lane")).await;
    lane.stage(log.window(0, &["a", "b"])).await.unwrap();
    let ends = log.admin.partition_ends(&log.topic, 0).await.unwrap();
    assert_eq!((ends.earliest, ends.stable, ends.high), (0, 0, 2));
    let open = log.admin.open_transactions(&log.topic, 0).await.unwrap();
    assert_eq!(open.iter().map(|transaction| transaction.start).collect::<Vec<_>>(), [0]);

    let mut reader = log.reader(1, Start::Earliest);
    let batch = next(&mut reader).await.unwrap().unwrap();
    assert_eq!((batch.records.len(), batch.ends), (0, vec![(0, 0)]));
    lane.commit().await.unwrap();
    let batch = next(&mut reader).await.unwrap().unwrap();
    assert_eq!(values(&batch.records), ["a", "b"]);
}

async fn a_lane_whose_id_was_opened_again_is_fenced(writer: Writer) {
    let log = Log::of(writer, 1).await;
    let id = unique("lane");
    for staged_before in [false, true] {
        let old = log.lane(&id).await;
        if staged_before {
            old.stage(log.window(0, &["old"])).await.unwrap();
        }
        let new = log.lane(&id).await;
        let (error, doubt) = if staged_before {
            (old.commit().await.unwrap_err(), true)
        } else {
            (old.stage(log.window(0, &["old"])).await.unwrap_err(), false)
        };
        assert!(matches!(error, WriteError::Fenced { in_doubt, .. } if in_doubt == doubt), "{error:?}");
        let again = old.stage(log.window(0, &["old"])).await.unwrap_err();
        assert!(matches!(again, WriteError::Fenced { in_doubt: false, .. }), "{again:?}");
        new.stage(log.window(0, &["new"])).await.unwrap();
        new.commit().await.unwrap();
    }
    assert_eq!(values(&log.committed(1).await), ["new", "new"]);
}

async fn a_window_that_cannot_be_written_is_aborted_as_a_whole(writer: Writer) {
    let log = Log::of(writer, 1).await;
    let lane = log.lane(&unique("lane")).await;
    let mut window = log.window(0, &["a", "b"]);
    // More than a broker takes at once, and nothing to compress: low bytes of the squares modulo a prime.
    let too_large: Vec<u8> = (0..2 * 1024 * 1024_u64).map(|n| (n * n % 1_000_003).to_le_bytes()[0]).collect();
    window.records[1].value = Some(too_large.into());
    let error = lane.stage(window).await.unwrap_err();
    assert!(matches!(error, WriteError::Aborted { .. }), "{error:?}");
    lane.stage(log.window(0, &["c"])).await.unwrap();
    lane.commit().await.unwrap();
    assert_eq!(values(&log.committed(1).await), ["c"]);
}

async fn an_empty_window_writes_nothing_and_harms_nothing(writer: Writer) {
    let log = Log::of(writer, 1).await;
    let lane = log.lane(&unique("lane")).await;
    assert!(lane.stage(Window::default()).await.unwrap().is_empty());
    lane.commit().await.unwrap();
    lane.stage(Window::default()).await.unwrap();
    lane.abort().await.unwrap();
    lane.stage(log.window(0, &["a"])).await.unwrap();
    lane.commit().await.unwrap();
    assert_eq!(log.committed(1).await.len(), 1);
}

async fn calls_in_the_wrong_order_are_refused_and_change_nothing(writer: Writer) {
    let log = Log::of(writer, 1).await;
    let lane = log.lane(&unique("lane")).await;
    assert!(matches!(lane.commit().await, Err(WriteError::Broken { .. })));
    lane.stage(log.window(0, &["a"])).await.unwrap();
    assert!(matches!(lane.stage(log.window(0, &["b"])).await, Err(WriteError::Broken { .. })));
    lane.commit().await.unwrap();
    assert_eq!(values(&log.committed(1).await), ["a"]);
}

async fn a_caller_that_gives_up_does_not_take_its_commit_with_it(writer: Writer) {
    let log = Log::of(writer, 1).await;
    let lane = log.lane(&unique("lane")).await;
    for value in ["a", "b", "c", "d", "e"] {
        lane.stage(log.window(0, &[value])).await.unwrap();
        let call = lane.commit();
        // Polled once, so that it has begun, and dropped.
        assert!(futures::poll!(call).is_pending());
    }
    // The next call waits for the one under way.
    lane.stage(log.window(0, &["f"])).await.unwrap();
    lane.commit().await.unwrap();
    assert_eq!(values(&log.committed(1).await), ["a", "b", "c", "d", "e", "f"]);
}

async fn lanes_take_turns_without_losing_order(writer: Writer) {
    let log = Log::of(writer, 1).await;
    let id = unique("lane");
    let mut lanes = Vec::new();
    for lane in 0..4 {
        lanes.push(log.lane(&format!("{id}.{lane}")).await);
    }
    let written: Vec<String> = (0..200).map(|n| n.to_string()).collect();
    for (n, value) in written.iter().enumerate() {
        let lane = Arc::clone(&lanes[n % lanes.len()]);
        lane.stage(log.window(0, &[value])).await.unwrap();
        lane.commit().await.unwrap();
    }
    let ends = spina_log::settled::wait(&log.admin, &log.topic, 0, PATIENCE).await.unwrap();
    assert_eq!(ends.high, 400, "a record and a marker for each window");
    assert_eq!(values(&log.committed(1).await), written);
}

async fn a_large_window_is_whole_and_in_order(writer: Writer) {
    let log = Log::of(writer, 1).await;
    let lane = log.lane(&unique("lane")).await;
    // About three batches.
    let padding = "x".repeat(500);
    let values: Vec<String> = (0..5_000).map(|n| format!("{n} {padding}")).collect();
    let texts: Vec<&str> = values.iter().map(String::as_str).collect();
    let offsets = lane.stage(log.window(0, &texts)).await.unwrap();
    lane.commit().await.unwrap();
    assert!(offsets.is_sorted() && offsets.len() == texts.len());
    let records = log.committed(1).await;
    assert_eq!(crate::support::values(&records), texts);
    assert_eq!(records.iter().map(|record| record.offset).collect::<Vec<_>>(), offsets);
}

async fn an_aborted_window_leaves_no_trace_in_the_next(writer: Writer) {
    let log = Log::of(writer, 1).await;
    let lane = log.lane(&unique("lane")).await;
    let mut expected = Vec::new();
    for n in 0..50 {
        let value = n.to_string();
        let offsets = lane.stage(log.window(0, &[&value, &value])).await.unwrap();
        if n % 3 == 0 {
            lane.abort().await.unwrap();
        } else {
            lane.commit().await.unwrap();
            expected.extend(offsets.into_iter().map(|offset| (offset, value.clone())));
        }
    }
    let records = log.committed(1).await;
    let texts = values(&records).into_iter().map(str::to_owned);
    let seen: Vec<_> = records.iter().map(|record| record.offset).zip(texts).collect();
    assert_eq!(seen, expected);
}

async fn lanes_of_a_dead_owner_stay_dead(writer: Writer) {
    let log = Log::of(writer, 1).await;
    let id = unique("lane");
    let old = log.lane(&id).await;
    old.stage(log.window(0, &["old"])).await.unwrap();
    let new = log.lane(&id).await;
    assert!(old.abort().await.is_err(), "the new owner has ended it");
    for _ in 0..3 {
        assert!(old.stage(log.window(0, &["old"])).await.is_err());
        assert!(old.commit().await.is_err() && old.abort().await.is_err());
    }
    new.stage(log.window(0, &["new"])).await.unwrap();
    new.commit().await.unwrap();
    assert_eq!(values(&log.committed(1).await), ["new"]);
}
