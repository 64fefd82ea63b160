//! Telling of registered schemas: `spina.schemas.v1` has a record for each version of each subject, in order, once.
//!
//! The topic is compared with the registry, and what it lacks is written. So it does not matter who registered a version,
//! nor where an apply before this one ended. Two that tell at the same time shut each other out by the transactional id:
//! the one that lost looks again and finds less to tell.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use serde_json::{Map, Value, json};
use spina_codec::headers::{CE_ID, CE_SEQUENCE, CE_SOURCE, CE_SPECVERSION, CE_SPECVERSION_VALUE, CE_SUBJECT, CE_TYPE};
use spina_codec::registry::{RegistryClient, subject};
use spina_codec::{Headers, frame};
use spina_log::names::{SCHEMA_RECORD, SCHEMAS_TOPIC, SCHEMAS_TRANSACTIONAL_ID};
use spina_log::{LaneFactory, Lanes, LogReader, NewRecord, ReaderOptions, Start, Window, settled};

use super::Servers;
use super::actual::Actual;
use super::desired::{Desired, DesiredSubject};

/// How often telling is tried where others tell as well.
const TRIES: usize = 3;
/// How long a transaction of somebody else may keep the end of the topic from being read.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(30);
const SOURCE: &str = "/spina/topology";

/// The latest version that was told of, by subject.
type Told = BTreeMap<String, u32>;

/// Tells of every version that the registry has and the topic has not; of how many.
pub async fn tell(desired: &Desired, actual: &Actual, servers: &Servers) -> Result<usize> {
    let own = subject(SCHEMAS_TOPIC, SCHEMA_RECORD);
    let Some(notice) = desired.subjects.iter().find(|subject| subject.name == own) else { return Ok(0) };
    let mut tries_left = TRIES;
    loop {
        let told = read(servers).await?;
        let missing: Vec<&DesiredSubject> =
            desired.subjects.iter().filter(|subject| is_behind(subject, actual, &told)).collect();
        if missing.is_empty() {
            return Ok(0);
        }
        tries_left -= 1;
        match write(notice, &missing, actual, servers).await {
            Err(error) if tries_left > 0 => tracing::debug!(error = format!("{error:#}"), "telling once more"),
            done => return done.with_context(|| format!("tell of registered schemas in {SCHEMAS_TOPIC}")),
        }
    }
}

fn is_behind(subject: &DesiredSubject, actual: &Actual, told: &Told) -> bool {
    actual.subjects.get(&subject.name).is_some_and(|found| told.get(&subject.name).is_none_or(|it| *it < found.version))
}

/// Takes the topic over, looks what it lacks now, and writes that in one transaction.
async fn write(
    notice: &DesiredSubject,
    subjects: &[&DesiredSubject],
    actual: &Actual,
    servers: &Servers,
) -> Result<usize> {
    let lanes = LaneFactory::connect(&servers.log).await?;
    let lane = lanes.open(SCHEMAS_TRANSACTIONAL_ID).await?;
    let told = read(servers).await?;
    let own = actual.subjects.get(&notice.name).with_context(|| format!("subject {} is missing", notice.name))?;
    let mut records = Vec::new();
    for subject in subjects {
        for (version, id) in untold(subject, &told, actual, &servers.registry).await? {
            let avro = notice.schema.shape.encode(&fields(subject, version, id)).context("write a notice")?;
            records.push(record(subject, version, frame::frame(own.id, &avro)));
        }
    }
    let count = records.len();
    lane.stage(Window { records, consumed: None }).await?;
    lane.commit().await?;
    Ok(count)
}

/// Number and id of each version that was not told of, oldest first.
async fn untold(
    subject: &DesiredSubject,
    told: &Told,
    actual: &Actual,
    registry: &RegistryClient,
) -> Result<Vec<(u32, u32)>> {
    let after = told.get(&subject.name).copied().unwrap_or(0);
    let Some(latest) = actual.subjects.get(&subject.name).filter(|latest| latest.version > after) else {
        return Ok(Vec::new());
    };
    if latest.version == after + 1 {
        return Ok(vec![(latest.version, latest.id)]);
    }
    let mut numbers = registry.versions(&subject.name).await?;
    numbers.retain(|number| *number > after && *number <= latest.version);
    numbers.sort_unstable();
    let mut untold = Vec::new();
    for number in numbers {
        untold.extend(registry.version(&subject.name, number).await?.map(|found| (number, found.id)));
    }
    Ok(untold)
}

fn fields(subject: &DesiredSubject, version: u32, schema_id: u32) -> Map<String, Value> {
    let record = &subject.schema.full_name;
    let topic = subject.name.strip_suffix(&format!("-{record}")).unwrap_or(&subject.name);
    let fields = json!({
        "subject": subject.name, "topic": topic, "record": record,
        "version": version, "schema_id": schema_id,
    });
    let Value::Object(fields) = fields else { return Map::new() };
    fields
}

fn record(subject: &DesiredSubject, version: u32, value: Vec<u8>) -> NewRecord {
    let version = version.to_string();
    let mut headers = Headers::default();
    let mut put = |name: &str, value: &str| headers.push(name, Some(value.as_bytes()));
    put(CE_SPECVERSION, CE_SPECVERSION_VALUE);
    put(CE_ID, &format!("{}:{version}", subject.name));
    put(CE_TYPE, SCHEMA_RECORD);
    put(CE_SOURCE, SOURCE);
    put(CE_SUBJECT, &subject.name);
    put(CE_SEQUENCE, &version);
    NewRecord {
        topic: SCHEMAS_TOPIC.into(),
        partition: 0,
        key: Bytes::copy_from_slice(subject.name.as_bytes()),
        value: Some(value.into()),
        headers,
        timestamp_ms: None,
    }
}

/// What the topic tells so far. Key and version are in the clear: nothing has to be decoded.
async fn read(servers: &Servers) -> Result<Told> {
    let ends = settled::wait(&servers.admin, SCHEMAS_TOPIC, 0, SETTLE_TIMEOUT).await?;
    let mut told = Told::new();
    if ends.earliest == ends.stable {
        return Ok(told);
    }
    let options = ReaderOptions { stop_at_end: true, ..ReaderOptions::default() };
    let mut reader = LogReader::open(&servers.log, SCHEMAS_TOPIC, vec![(0, Start::Earliest)], options)?;
    while let Some(batch) = reader.next().await {
        for record in batch?.records {
            let key = record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok());
            let version = record.headers.get_str(CE_SEQUENCE).and_then(|version| version.parse::<u32>().ok());
            if let (Some(key), Some(version)) = (key, version) {
                let latest = told.entry(key.to_owned()).or_insert(0);
                *latest = (*latest).max(version);
            }
        }
    }
    Ok(told)
}
