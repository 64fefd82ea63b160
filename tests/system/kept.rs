//! What PostgreSQL keeps of a context, held against its log row by row.

use std::collections::BTreeMap;

use spina_codec::headers::read_event_headers;
use spina_tests::context::Context;
use spina_tests::database::Database;
use spina_tests::stack::Stack;
use spina_tests::{eventually, history};

/// An event as far as log and archive both tell: partition, offset, stream, version, type, id, epoch, request, value.
type Row = (i32, i64, String, i64, String, String, i64, Option<String>, Vec<u8>);

const EVENTS: &str = "SELECT partition, log_offset, stream, version, event_type, event_id, epoch, request_id, value \
    FROM spina.events WHERE context = $1 ORDER BY partition, log_offset";

/// Waits until everything in the log is archived, and compares it: events, versions of streams, watermarks.
pub async fn assert_kept(stack: &Stack, context: &Context) {
    let logged = logged(stack, context).await;
    let database = Database::connect(stack).await;
    eventually("everything is archived", async || {
        let row = database.query_one("SELECT count(*) FROM spina.events WHERE context = $1", &[&context.name]).await;
        (row.ok()?.get::<_, i64>(0) >= i64::try_from(logged.len()).unwrap()).then_some(())
    })
    .await;
    let rows = database.query(EVENTS, &[&context.name]).await.unwrap();
    let kept: Vec<Row> = rows
        .iter()
        .map(|row| {
            let place = (row.get(0), row.get(1), row.get(2), row.get(3));
            (place.0, place.1, place.2, place.3, row.get(4), row.get(5), row.get(6), row.get(7), row.get(8))
        })
        .collect();
    assert_eq!(kept.len(), logged.len());
    for (kept, logged) in kept.iter().zip(&logged) {
        assert_eq!(kept, logged);
    }
    let mut streams: BTreeMap<(i32, &str), i64> = BTreeMap::new();
    let mut watermarks: BTreeMap<i32, i64> = BTreeMap::new();
    for (partition, offset, stream, version, ..) in &logged {
        streams.insert((*partition, stream), *version);
        watermarks.insert(*partition, offset + 1);
    }
    let sql = "SELECT partition, stream, version FROM spina.streams WHERE context = $1";
    let rows = database.query(sql, &[&context.name]).await.unwrap();
    let indexed: BTreeMap<(i32, &str), i64> = rows.iter().map(|row| ((row.get(0), row.get(1)), row.get(2))).collect();
    assert_eq!(indexed, streams);
    let sql = "SELECT partition, next_offset FROM spina.watermarks WHERE context = $1 AND next_offset > 0";
    let rows = database.query(sql, &[&context.name]).await.unwrap();
    assert_eq!(rows.iter().map(|row| (row.get(0), row.get(1))).collect::<BTreeMap<i32, i64>>(), watermarks);
}

async fn logged(stack: &Stack, context: &Context) -> Vec<Row> {
    let records = history::committed(&stack.kafka, &context.events_topic()).await;
    let mut rows: Vec<Row> = records
        .into_iter()
        .map(|record| {
            let headers = read_event_headers(&record.headers, record.key.as_deref().unwrap()).unwrap();
            let (version, epoch) = (i64::try_from(headers.version.0).unwrap(), i64::try_from(headers.epoch).unwrap());
            let (stream, event_type) = (headers.stream.to_string(), headers.event_type);
            let value = record.value.unwrap_or_default().to_vec();
            let (partition, offset) = (record.partition, record.offset);
            (partition, offset, stream, version, event_type, headers.id, epoch, headers.request_id, value)
        })
        .collect();
    rows.sort();
    rows
}
