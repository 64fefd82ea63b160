//! Telling `spina.jobs.v1` what was done with jobs, by whom and why.
//!
//! ```text
//! spina.job_log (in the transaction of what was done) --> one transaction of the lane --> noted as told
//! ```
//!
//! A crash before it is noted tells it once more, under the same `ce_id`. Where the topic is not declared nothing is told,
//! and what was done waits for it.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use spina_codec::headers::{CE_ID, CE_SOURCE, CE_SPECVERSION, CE_SPECVERSION_VALUE, CE_SUBJECT, CE_TYPE};
use spina_codec::registry::subject;
use spina_codec::shape::Shape;
use spina_codec::{Headers, frame};
use spina_log::names::{JOB_RECORD, JOBS_TOPIC, JOBS_TRANSACTIONAL_ID};
use spina_log::{NewRecord, Window};
use spina_runtime::shutdown::sleep;
use spina_store::Store;
use spina_store::jobs::JobNotice;
use tokio_util::sync::CancellationToken;

use crate::project::Voice;

const SCHEMA: &str = include_str!("../../../../schemas/spina/JobChanged.avsc");
const SOURCE: &str = "/spina/projector";
/// Most entries of one transaction.
const ENTRIES_MAX: i64 = 500;
/// How often it is looked what there is to tell.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// Pause after trouble, and while there is no topic.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// Tells the topic of jobs.
pub struct Notices {
    /// The database.
    pub store: Store,
    /// What topics are told with.
    pub voice: Voice,
    /// Cancelled when the process stops.
    pub stopping: CancellationToken,
}

impl Notices {
    /// Tells until the process stops.
    pub async fn run(self) -> anyhow::Result<()> {
        let shape = Shape::compile(SCHEMA)?;
        while !self.stopping.is_cancelled() {
            let pause = match self.tell(&shape).await {
                Ok(true) => LOOK_INTERVAL,
                Ok(false) => RETRY_PAUSE,
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), "could not tell of jobs");
                    RETRY_PAUSE
                }
            };
            sleep(&self.stopping, pause).await;
        }
        Ok(())
    }

    /// Tells what there is to tell; `false` if there is no topic for it.
    async fn tell(&self, shape: &Shape) -> anyhow::Result<bool> {
        if self.store.job_notices(1).await?.is_empty() {
            return Ok(true);
        }
        let Voice { lanes, admin, registry } = &self.voice;
        let own = subject(JOBS_TOPIC, JOB_RECORD);
        let (Some(_), Some(schema)) = (admin.describe(JOBS_TOPIC).await?, registry.lookup(&own, SCHEMA).await?) else {
            return Ok(false);
        };
        let lane = lanes.open(JOBS_TRANSACTIONAL_ID).await?;
        // Only now: whoever told before is shut out, and what it has told is noted or will be told again.
        let notices = self.store.job_notices(ENTRIES_MAX).await?;
        let mut records = Vec::with_capacity(notices.len());
        for notice in &notices {
            records.push(record(notice, frame::frame(schema.id, &shape.encode(&fields(notice))?)));
        }
        if !records.is_empty() {
            lane.stage(Window { records, consumed: None }).await?;
            lane.commit().await?;
        }
        let numbers: Vec<i64> = notices.iter().map(|notice| notice.number).collect();
        self.store.job_notices_told(&numbers).await?;
        Ok(true)
    }
}

fn fields(notice: &JobNotice) -> Map<String, Value> {
    let JobNotice { job, context, spec, entry, .. } = notice;
    let fields = json!({
        "job": job.to_string(), "context": context, "verb": entry.verb, "by": entry.by, "reason": entry.reason,
        "at": entry.at.to_string(), "spec": spec.to_string(),
    });
    let Value::Object(fields) = fields else { return Map::new() };
    fields
}

fn record(notice: &JobNotice, value: Vec<u8>) -> NewRecord {
    let job = notice.job.to_string();
    let mut headers = Headers::default();
    let mut put = |name: &str, value: &str| headers.push(name, Some(value.as_bytes()));
    put(CE_SPECVERSION, CE_SPECVERSION_VALUE);
    put(CE_ID, &format!("{job}:{}", notice.number));
    put(CE_TYPE, JOB_RECORD);
    put(CE_SOURCE, SOURCE);
    put(CE_SUBJECT, &job);
    NewRecord {
        topic: JOBS_TOPIC.into(),
        partition: 0,
        key: Bytes::from(job),
        value: Some(value.into()),
        headers,
        timestamp_ms: None,
    }
}

#[cfg(test)]
mod tests {
    use spina_store::jobs::JobEntry;

    use super::*;

    #[test]
    fn an_entry_goes_into_its_record() {
        let (verb, by, reason) = ("done".to_owned(), "projector".to_owned(), "1 of 2 rows were replaced".to_owned());
        let at = spina_core::Timestamp::from_micros(1_000_001).unwrap();
        let job = uuid::Uuid::nil();
        let entry = JobEntry { verb, by, reason, at };
        let notice = JobNotice { number: 7, job, context: "flights".to_owned(), spec: json!({ "rate": 1 }), entry };
        let shape = Shape::compile(SCHEMA).unwrap();
        let avro = shape.encode(&fields(&notice)).unwrap();
        let read = shape.decode(&avro).unwrap();
        assert_eq!((&read["at"], &read["spec"]), (&json!("1970-01-01T00:00:01.000001Z"), &json!("{\"rate\":1}")));
        let record = record(&notice, avro);
        let id = format!("{job}:7");
        assert_eq!(
            (record.headers.get_str(CE_ID), record.key.as_ref()),
            (Some(id.as_str()), job.to_string().as_bytes())
        );
    }
}
