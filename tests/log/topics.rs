//! Topics and the cluster, as they are described; records outside transactions.

use std::time::Duration;

use spina_codec::Headers;
use spina_log::admin::TopicSpec;
use spina_log::{LogError, Publisher, settled};

use crate::support::{Log, PATIENCE, unique, values};

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_described_as_it_was_created() {
    let log = Log::with_partitions(1).await;
    let configs = [("retention.ms".to_owned(), "-1".to_owned())].into();
    let spec = TopicSpec { name: unique("made"), partitions: 3, replication: 1, configs };
    assert!(log.admin.create(&spec).await.unwrap());
    assert!(!log.admin.create(&spec).await.unwrap(), "it is there already");

    let info = log.admin.describe(&spec.name).await.unwrap().unwrap();
    assert_eq!((info.partitions, info.replication), (3, 1));
    let set: Vec<_> = info.configs.iter().filter(|(_, config)| config.set_on_topic).collect();
    assert_eq!(set.len(), 1);
    assert_eq!((set[0].0.as_str(), set[0].1.value.as_str()), ("retention.ms", "-1"));
    assert_eq!(info.configs["cleanup.policy"].value, "delete");
    assert!(log.admin.topics().await.unwrap().contains(&spec.name));

    assert!(log.admin.delete(&spec.name).await.unwrap());
    assert!(!log.admin.delete(&unique("missing")).await.unwrap());
    assert_eq!(log.admin.describe(&unique("missing")).await.unwrap(), None);
    assert!(matches!(log.admin.ends(&unique("missing")).await, Err(LogError::UnknownTopic(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cluster_speaks_the_transactions_we_need() {
    let log = Log::with_partitions(1).await;
    let cluster = log.admin.cluster().await.unwrap();
    assert!(cluster.transaction_version >= 2, "{cluster:?}");
    assert!(cluster.brokers >= 1 && cluster.min_insync_replicas.is_some(), "{cluster:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_finds_the_first_record_at_or_after_it() {
    let log = Log::with_partitions(2).await;
    let lane = log.lane(&unique("lane")).await;
    let mut window = log.window(0, &["a", "b", "c"]);
    for (record, time) in window.records.iter_mut().zip([1_000, 2_000, 3_000]) {
        record.timestamp_ms = Some(time);
    }
    lane.stage(window).await.unwrap();
    lane.commit().await.unwrap();
    settled::wait(&log.admin, &log.topic, 0, PATIENCE).await.unwrap();
    assert_eq!(log.admin.offsets_at(&log.topic, 0).await.unwrap(), [(0, 0), (1, 0)]);
    assert_eq!(log.admin.offsets_at(&log.topic, 1_500).await.unwrap(), [(0, 1), (1, 0)]);
    let far = log.admin.offsets_at(&log.topic, 4_102_444_800_000).await.unwrap();
    assert_eq!(far, [(0, 4), (1, 0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_transaction_is_reported_as_hanging() {
    let log = Log::with_partitions(1).await;
    let lane = log.lane(&unique("lane")).await;
    lane.stage(log.window(0, &["a"])).await.unwrap();
    let error = settled::wait(&log.admin, &log.topic, 0, Duration::from_millis(50)).await.unwrap_err();
    assert!(matches!(error, LogError::Hanging { stable: 0, high: 1, .. }), "{error}");
    lane.abort().await.unwrap();
    settled::wait(&log.admin, &log.topic, 0, PATIENCE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn published_records_go_where_their_key_belongs() {
    let log = Log::with_partitions(4).await;
    let publisher = Publisher::new(&log.config).unwrap();
    let mut headers = Headers::default();
    headers.push("ce_id", Some(b"1"));
    // Java's `Utils.toPositive(Utils.murmur2(key)) % 4`.
    for (key, partition) in [("flight-UA1545-20130101-EWR", 1), ("foobar", 2), ("abc", 3)] {
        let placed = publisher.publish_keyed(&log.topic, key.as_bytes(), Some(b"v"), &headers).await.unwrap();
        assert_eq!(placed.0, partition, "{key}");
    }
    assert_eq!(publisher.publish(&log.record(0, "x")).await.unwrap(), 0);
    publisher.flush(PATIENCE).await.unwrap();
    let records = log.committed(4).await;
    let placed: Vec<_> = records.iter().filter(|record| record.offset == 0 && record.partition == 0).cloned().collect();
    assert_eq!(values(&placed), ["x"]);
    assert_eq!(records.len(), 4);

    let nowhere = publisher.publish_keyed(&unique("missing"), b"k", None, &headers).await;
    assert!(matches!(nowhere, Err(LogError::UnknownTopic(_))), "{nowhere:?}");
}
