//! What the log holds in the end, and whether it may hold that.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use spina_codec::headers::read_event_headers;
use spina_core::EventHeaders;
use spina_log::{Admin, Fetched, LogConfig, LogReader, ReaderOptions, Start, settled};

/// How long open transactions of killed writers may take to be settled.
const SETTLE: Duration = Duration::from_secs(30);

/// Every committed record of a topic, in the order of each partition.
pub async fn committed(kafka: &str, topic: &str) -> Vec<Fetched> {
    let config = LogConfig::new(kafka, "spina-tests");
    let admin = Admin::connect(&config).await.unwrap();
    let ends = admin.ends(topic).await.unwrap();
    for end in &ends {
        settled::wait(&admin, topic, end.partition, SETTLE).await.unwrap();
    }
    let starts = ends.iter().map(|end| (end.partition, Start::Earliest)).collect();
    let options = ReaderOptions { stop_at_end: true, ..ReaderOptions::default() };
    let mut reader = LogReader::open(&config, topic, starts, options).unwrap();
    let mut records = Vec::new();
    while let Some(batch) = reader.next().await {
        records.extend(batch.unwrap().records);
    }
    records
}

/// The headers of every event of a topic, in the order of each partition.
pub async fn events(kafka: &str, topic: &str) -> Vec<EventHeaders> {
    let records = committed(kafka, topic).await;
    records.iter().map(|record| read_event_headers(&record.headers, record.key.as_deref().unwrap()).unwrap()).collect()
}

/// Records of a topic so far, transaction markers included.
pub async fn offsets(kafka: &str, topic: &str) -> i64 {
    let admin = Admin::connect(&LogConfig::new(kafka, "spina-tests")).await.unwrap();
    admin.ends(topic).await.unwrap().iter().map(|end| end.stable).sum()
}

/// Panics unless each stream's versions are 1, 2, 3 ... in the order of the log, and no event id is there twice.
pub fn assert_sound(events: &[EventHeaders]) {
    let mut versions: HashMap<&str, u64> = HashMap::new();
    let mut ids = HashSet::new();
    for event in events {
        let last = versions.entry(event.stream.as_str()).or_default();
        assert_eq!(event.version.0, *last + 1, "{} has a gap or a double after version {last}", event.stream);
        *last = event.version.0;
        assert!(ids.insert(&event.id), "event {} is there twice", event.id);
    }
}
