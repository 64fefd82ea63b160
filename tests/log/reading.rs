//! Readers see committed records only, from where they were told, and say when they have all.

use spina_log::{LogError, LogReader, ReaderOptions, Start};

use crate::support::{Log, next, unique, values};

#[tokio::test(flavor = "multi_thread")]
async fn the_end_is_reported_behind_markers_and_aborted_records() {
    let log = Log::with_partitions(2).await;
    let lane = log.lane(&unique("lane")).await;
    lane.stage(log.window(0, &["a"])).await.unwrap();
    lane.commit().await.unwrap();
    lane.stage(log.window(0, &["b", "c"])).await.unwrap();
    lane.abort().await.unwrap();
    let ends = spina_log::settled::wait(&log.admin, &log.topic, 0, crate::support::PATIENCE).await.unwrap();
    assert_eq!(ends.high, 5, "a, its marker, b, c, their marker");

    let mut reader = log.open(vec![(0, Start::Earliest), (1, Start::Earliest)], true);
    let (mut records, mut reached) = (Vec::new(), Vec::new());
    while let Some(batch) = next(&mut reader).await {
        let batch = batch.unwrap();
        records.extend(batch.records);
        reached.extend(batch.ends);
    }
    reached.sort_unstable();
    assert_eq!((values(&records), reached), (vec!["a"], vec![(0, 5), (1, 0)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_begins_where_it_is_told() {
    let log = Log::with_partitions(1).await;
    let lane = log.lane(&unique("lane")).await;
    let offsets = lane.stage(log.window(0, &["a", "b", "c"])).await.unwrap();
    lane.commit().await.unwrap();
    spina_log::settled::wait(&log.admin, &log.topic, 0, crate::support::PATIENCE).await.unwrap();

    let mut middle = log.open(vec![(0, Start::At(offsets[1]))], true);
    assert_eq!(values(&next(&mut middle).await.unwrap().unwrap().records), ["b", "c"]);
    let mut behind = log.open(vec![(0, Start::At(offsets[2] + 1))], true);
    assert_eq!(next(&mut behind).await.unwrap().unwrap().ends, [(0, 4)]);
    let mut latest = log.open(vec![(0, Start::Latest)], false);
    assert_eq!(next(&mut latest).await.unwrap().unwrap().ends, [(0, 4)]);
    lane.stage(log.window(0, &["d"])).await.unwrap();
    lane.commit().await.unwrap();
    assert_eq!(values(&next(&mut latest).await.unwrap().unwrap().records), ["d"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_at_what_is_open_ends_at_the_end_of_the_log() {
    let log = Log::with_partitions(1).await;
    let (lane, other) = (log.lane(&unique("lane")).await, log.lane(&unique("lane")).await);
    lane.stage(log.window(0, &["a"])).await.unwrap();
    lane.commit().await.unwrap();
    spina_log::settled::wait(&log.admin, &log.topic, 0, crate::support::PATIENCE).await.unwrap();
    lane.stage(log.window(0, &["open"])).await.unwrap();
    other.stage(log.window(0, &["aborted"])).await.unwrap();
    other.abort().await.unwrap();
    let options = ReaderOptions { stop_at_end: true, ..ReaderOptions::default() };
    let starts = vec![(0, Start::At(2))];
    let mut reader = LogReader::open_uncommitted(&log.config, &log.topic, starts, options).unwrap();
    let mut seen = Vec::new();
    while let Some(batch) = next(&mut reader).await {
        seen.extend(batch.unwrap().records);
    }
    assert_eq!(values(&seen), ["open", "aborted"]);
    let mut committed = log.open(vec![(0, Start::Earliest)], true);
    let mut seen = Vec::new();
    while let Some(batch) = next(&mut committed).await {
        seen.extend(batch.unwrap().records);
    }
    assert_eq!(values(&seen), ["a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn marks_are_passed_over() {
    let log = Log::with_partitions(1).await;
    let lane = log.lane(&unique("lane")).await;
    let mut window = log.window(0, &["a"]);
    window.records.push(spina_log::mark(std::sync::Arc::clone(&log.topic), 0));
    lane.stage(window).await.unwrap();
    lane.commit().await.unwrap();
    assert_eq!(values(&log.committed(1).await), ["a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offset_that_was_never_written_is_an_error_and_no_jump() {
    let log = Log::with_partitions(1).await;
    let lane = log.lane(&unique("lane")).await;
    lane.stage(log.window(0, &["a"])).await.unwrap();
    lane.commit().await.unwrap();
    // The marker that ends the transaction is written after the commit was answered.
    spina_log::settled::wait(&log.admin, &log.topic, 0, crate::support::PATIENCE).await.unwrap();
    let mut reader = log.open(vec![(0, Start::At(1_000))], false);
    let error = next(&mut reader).await.unwrap().unwrap_err();
    assert!(matches!(error, LogError::OutOfRange { partition: 0, offset: 1_000, earliest: 0, end: 2, .. }), "{error}");
    assert!(next(&mut reader).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_exist_is_named() {
    let log = Log::with_partitions(1).await;
    let mut reader = log.open(vec![(7, Start::Earliest)], false);
    let error = next(&mut reader).await.unwrap().unwrap_err();
    assert!(matches!(error, LogError::UnknownPartition { partition: 7, .. }), "{error}");

    let mut nowhere = Log { topic: unique("missing").into(), ..log }.reader(1, Start::Earliest);
    let error = next(&mut nowhere).await.unwrap().unwrap_err();
    assert!(matches!(error, LogError::UnknownTopic(_)), "{error}");
}

#[tokio::test]
async fn dropping_a_reader_does_not_block() {
    let log = Log::with_partitions(1).await;
    let mut reader = log.reader(1, Start::Earliest);
    next(&mut reader).await.unwrap().unwrap();
    let begun = std::time::Instant::now();
    drop(reader);
    assert!(begun.elapsed().as_millis() < 20, "{:?}", begun.elapsed());
}
