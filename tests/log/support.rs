//! Topics and records of a test's own.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use spina_codec::Headers;
use spina_log::admin::TopicSpec;
use spina_log::{
    Admin, Batch, Fetched, Lane, LaneFactory, LaneFactoryV1, Lanes, LogConfig, LogError, LogReader, NewRecord,
    ReaderOptions, Start, Window,
};
use uuid::Uuid;

/// Longest that anything here may take.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Which writer a test is about.
#[derive(Debug, Clone, Copy)]
pub enum Writer {
    /// krafka, transaction protocol v2.
    V2,
    /// rdkafka, transaction protocol v1.
    V1,
}

/// Makes a test of each function for each writer.
macro_rules! for_both_writers {
    ($($name:ident)*) => {
        mod v2 {
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() { super::$name(crate::support::Writer::V2).await })*
        }
        mod v1 {
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() { super::$name(crate::support::Writer::V1).await })*
        }
    };
}
pub(crate) use for_both_writers;

/// A topic of one test, with what it takes to use it.
pub struct Log {
    pub config: LogConfig,
    pub admin: Admin,
    pub lanes: Arc<dyn Lanes>,
    pub topic: Arc<str>,
}

impl Log {
    /// A new topic on the test broker.
    pub async fn with_partitions(partitions: i32) -> Self {
        Self::of(Writer::V2, partitions).await
    }

    /// The same with a certain writer.
    pub async fn of(writer: Writer, partitions: i32) -> Self {
        let config = config();
        let admin = Admin::connect(&config).await.unwrap();
        let lanes: Arc<dyn Lanes> = match writer {
            Writer::V2 => Arc::new(LaneFactory::connect(&config).await.unwrap()),
            Writer::V1 => Arc::new(LaneFactoryV1::new(&config)),
        };
        let log = Self { config, admin, lanes, topic: unique("log").into() };
        log.create(&log.topic, partitions).await;
        log
    }

    pub async fn create(&self, topic: &str, partitions: i32) {
        let spec = TopicSpec { name: topic.to_owned(), partitions, replication: 1, configs: [].into() };
        assert!(self.admin.create(&spec).await.unwrap());
    }

    pub async fn lane(&self, transactional_id: &str) -> Arc<dyn Lane> {
        self.lanes.open(transactional_id).await.unwrap()
    }

    pub fn record(&self, partition: i32, value: &str) -> NewRecord {
        let mut headers = Headers::default();
        headers.push("ce_id", Some(value.as_bytes()));
        headers.push("nothing", None);
        NewRecord {
            topic: Arc::clone(&self.topic),
            partition,
            key: Bytes::from(format!("key-{value}")),
            value: Some(Bytes::from(value.to_owned())),
            headers,
            timestamp_ms: Some(1_357_035_300_000),
        }
    }

    pub fn window(&self, partition: i32, values: &[&str]) -> Window {
        Window { records: values.iter().map(|value| self.record(partition, value)).collect(), consumed: None }
    }

    pub fn reader(&self, partitions: i32, start: Start) -> LogReader {
        self.open((0..partitions).map(|partition| (partition, start)).collect(), false)
    }

    pub fn open(&self, starts: Vec<(i32, Start)>, stop_at_end: bool) -> LogReader {
        let options = ReaderOptions { stop_at_end, ..ReaderOptions::default() };
        LogReader::open(&self.config, &self.topic, starts, options).unwrap()
    }

    /// Every committed record of the topic, once no transaction is open.
    pub async fn committed(&self, partitions: i32) -> Vec<Fetched> {
        for partition in 0..partitions {
            spina_log::settled::wait(&self.admin, &self.topic, partition, PATIENCE).await.unwrap();
        }
        let mut reader = self.open((0..partitions).map(|partition| (partition, Start::Earliest)).collect(), true);
        let mut records = Vec::new();
        while let Some(batch) = next(&mut reader).await {
            records.extend(batch.unwrap().records);
        }
        records
    }
}

/// The next batch, within [`PATIENCE`].
pub async fn next(reader: &mut LogReader) -> Option<Result<Batch, LogError>> {
    tokio::time::timeout(PATIENCE, reader.next()).await.expect("the reader gives a sign of life")
}

pub fn config() -> LogConfig {
    let bootstrap = std::env::var("SPINA_TEST_KAFKA").expect("SPINA_TEST_KAFKA names a broker, host:port");
    LogConfig::new(bootstrap, "spina-tests")
}

/// A name that no other test has.
pub fn unique(prefix: &str) -> String {
    format!("test.{prefix}.{}", Uuid::new_v4().simple())
}

/// The values of the records, as text.
pub fn values(records: &[Fetched]) -> Vec<&str> {
    records.iter().map(|record| std::str::from_utf8(record.value.as_deref().unwrap()).unwrap()).collect()
}
