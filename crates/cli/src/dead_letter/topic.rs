//! `spina dead-letter topic`: the records of a dead-letter topic, whoever wrote them.

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use spina_codec::dead_letter::Cause;
use spina_log::admin::PartitionEnds;
use spina_log::{Admin, Fetched, LogConfig, LogReader, ReaderOptions, Start};

use crate::output::{self, Format};
use crate::reach::Reach;
use crate::table::{Table, cell};

/// Show the records of a dead-letter topic, such as flights.events.v1.dlq
///
/// Headers of Spina, of Kafka Connect and of Spring for Apache Kafka are understood: where the record stood, who could not
/// handle it, and why.
#[derive(Debug, clap::Args)]
pub struct Topic {
    /// The topic
    topic: String,
    /// Only of this class of error, such as undecodable or org.apache.kafka.connect.errors.DataException
    #[arg(long)]
    class: Option<String>,
    /// Most records, the first ones of each partition first
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
}

impl Topic {
    /// Reads and prints.
    pub async fn run(self, reach: &Reach, format: Format) -> Result<()> {
        let log = LogConfig::new(&reach.kafka()?, "spina");
        let ends = Admin::connect(&log).await?.ends(&self.topic).await?;
        let (records, more) = self.read(&log, &ends).await?;
        match format {
            Format::Json => output::json(&json!({ "records": records, "more": more })),
            Format::Ndjson => records.iter().try_for_each(output::json),
            Format::Text => {
                output::line(table(&records))?;
                if more {
                    output::note("there are more records: --limit");
                }
                Ok(())
            }
        }
    }

    /// The first records up to the limit, and whether there are more.
    async fn read(&self, log: &LogConfig, ends: &[PartitionEnds]) -> Result<(Vec<Value>, bool)> {
        let starts = ends.iter().filter(|ends| ends.earliest < ends.stable);
        let starts: Vec<_> = starts.map(|ends| (ends.partition, Start::At(ends.earliest))).collect();
        let mut records = Vec::new();
        if starts.is_empty() {
            return Ok((records, false));
        }
        let options = ReaderOptions { stop_at_end: true, ..ReaderOptions::default() };
        let mut reader = LogReader::open(log, &self.topic, starts, options)?;
        while let Some(batch) = reader.next().await {
            for record in batch.with_context(|| format!("read {}", self.topic))?.records {
                let told = told(&record);
                if self.class.as_ref().is_some_and(|class| told["class"] != *class.as_str()) {
                    continue;
                }
                if records.len() as u64 >= u64::from(self.limit) {
                    return Ok((records, true));
                }
                records.push(told);
            }
        }
        Ok((records, false))
    }
}

/// A record, as far as its headers tell of it.
fn told(record: &Fetched) -> Value {
    let key = record.key.as_deref().map(String::from_utf8_lossy);
    let value_bytes = record.value.as_ref().map(bytes::Bytes::len);
    let mut told = Map::from_iter([
        ("token".to_owned(), json!(format!("{}:{}:{}", record.topic, record.partition, record.offset))),
        ("key".to_owned(), json!(key)),
        ("value_bytes".to_owned(), json!(value_bytes)),
    ]);
    let cause = Cause::read(&record.headers);
    let family = cause.as_ref().map(|cause| cause.family.name());
    let source = cause
        .as_ref()
        .and_then(|cause| Some(format!("{}:{}:{}", cause.topic.as_ref()?, cause.partition?, cause.offset?)));
    told.insert("written_by".to_owned(), json!(family));
    told.insert("source".to_owned(), json!(source));
    let of = |field: fn(&Cause) -> Option<String>| json!(cause.as_ref().and_then(field));
    told.insert("source_time".to_owned(), of(|cause| cause.time.map(|time| time.to_string())));
    told.insert("reader".to_owned(), of(|cause| cause.reader.clone()));
    told.insert("class".to_owned(), of(|cause| cause.class.clone()));
    told.insert("error".to_owned(), of(|cause| cause.message.clone()));
    Value::Object(told)
}

fn table(records: &[Value]) -> Table {
    let mut table = Table::new(["record", "source", "key", "bytes", "by", "reader", "class", "error"]);
    for record in records {
        let fields = ["token", "source", "key", "value_bytes", "written_by", "reader", "class", "error"];
        table.row(fields.map(|field| cell(&record[field])));
    }
    table
}

#[cfg(test)]
mod tests {
    use spina_codec::Headers;

    use super::*;

    #[test]
    fn a_record_is_told_with_what_its_headers_say_or_without() {
        let mut record = Fetched {
            topic: "orders-dlq".into(),
            partition: 0,
            offset: 5,
            timestamp_ms: 0,
            key: Some("k".into()),
            value: None,
            headers: Headers::default(),
        };
        let nothing = told(&record);
        assert_eq!((&nothing["token"], &nothing["written_by"]), (&json!("orders-dlq:0:5"), &Value::Null));
        record.headers.push("kafka_dlt-original-topic", Some(b"orders"));
        record.headers.push("kafka_dlt-original-partition", Some(&1_i32.to_be_bytes()));
        record.headers.push("kafka_dlt-original-offset", Some(&9_i64.to_be_bytes()));
        record.headers.push("kafka_dlt-exception-message", Some(b"no"));
        let told = told(&record);
        assert_eq!((&told["source"], &told["written_by"]), (&json!("orders:1:9"), &json!("spring")));
        assert_eq!((&told["error"], &told["value_bytes"], &told["class"]), (&json!("no"), &Value::Null, &Value::Null));
    }
}
