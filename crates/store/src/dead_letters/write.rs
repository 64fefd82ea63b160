//! Writing letters, inside the transaction of a batch.

use deadpool_postgres::Transaction;

use super::{LetterChanges, NewLetter, Parameter, storable};
use crate::StoreError;
use crate::read_model::{ModelName, Slot};

const PARK: &str = "INSERT INTO spina.dead_letters (context, model, slot, key, topic, partition, log_offset, timestamp_ms, \
    record_key, value, headers, event_type, event_id, correlation_id, traceparent, class, error, attempts, tried_at) \
    SELECT $1, $2, $3, u.key, u.topic, u.partition, u.log_offset, u.timestamp_ms, u.record_key, u.value, u.headers, \
    u.event_type, u.event_id, u.correlation_id, u.traceparent, u.class, u.error, \
    CASE WHEN u.class IS NULL THEN 0 ELSE 1 END, CASE WHEN u.class IS NULL THEN NULL ELSE now() END \
    FROM UNNEST($4::bytea[], $5::text[], $6::int4[], $7::int8[], $8::int8[], $9::bytea[], $10::bytea[], $11::bytea[], \
    $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[]) AS u (key, topic, partition, log_offset, \
    timestamp_ms, record_key, value, headers, event_type, event_id, correlation_id, traceparent, class, error)";
const SETTLE: &str = "DELETE FROM spina.dead_letters WHERE context = $1 AND model = $2 AND slot = $3 AND id = ANY ($4)";
const REFUSE: &str = "UPDATE spina.dead_letters SET class = $5, error = $6, attempts = attempts + 1, tried_at = now() \
    WHERE context = $1 AND model = $2 AND slot = $3 AND id = $4";

/// Carries the changes out.
pub(crate) async fn write(
    transaction: &Transaction<'_>,
    name: &ModelName,
    slot: Slot,
    changes: &LetterChanges,
) -> Result<(), StoreError> {
    let (context, slot) = (name.context.as_str(), slot.name());
    if !changes.parked.is_empty() {
        park(transaction, [&context, &name.model, &slot], &changes.parked).await?;
    }
    for (id, refusal) in &changes.refused {
        let error = storable(&refusal.error);
        let refuse = transaction.prepare_cached(REFUSE).await?;
        transaction.execute(&refuse, &[&context, &name.model, &slot, id, &refusal.class, &error]).await?;
    }
    if !changes.settled.is_empty() {
        let settle = transaction.prepare_cached(SETTLE).await?;
        transaction.execute(&settle, &[&context, &name.model, &slot, &changes.settled]).await?;
    }
    super::verdicts::write(transaction, name, &changes.decisions).await
}

async fn park(transaction: &Transaction<'_>, of: [Parameter<'_>; 3], letters: &[NewLetter]) -> Result<(), StoreError> {
    let records = || letters.iter().map(|letter| &letter.record);
    let keys: Vec<&[u8]> = records().map(|record| record.key.as_slice()).collect();
    let topics: Vec<&str> = records().map(|record| record.place.topic.as_ref()).collect();
    let places = || records().map(|record| &record.place);
    let (partitions, offsets): (Vec<i32>, Vec<i64>) = places().map(|place| (place.partition, place.offset)).unzip();
    let times: Vec<i64> = records().map(|record| record.timestamp_ms).collect();
    let record_keys: Vec<Option<&[u8]>> = records().map(|record| record.record_key.as_deref()).collect();
    let values: Vec<Option<&[u8]>> = records().map(|record| record.value.as_deref()).collect();
    let headers: Vec<&[u8]> = records().map(|record| record.headers.as_slice()).collect();
    let said = |at: usize| -> Vec<Option<String>> {
        records().map(|record| record.said[at].as_deref().map(storable)).collect()
    };
    let (types, ids, correlations, traces) = (said(0), said(1), said(2), said(3));
    let refusals = || letters.iter().map(|letter| letter.refusal.as_ref());
    let classes: Vec<Option<&str>> = refusals().map(|refusal| refusal.map(|refusal| refusal.class)).collect();
    let errors: Vec<Option<String>> = refusals().map(|refusal| Some(storable(&refusal?.error))).collect();
    let columns: [Parameter<'_>; 14] = [
        &keys,
        &topics,
        &partitions,
        &offsets,
        &times,
        &record_keys,
        &values,
        &headers,
        &types,
        &ids,
        &correlations,
        &traces,
        &classes,
        &errors,
    ];
    let parameters: Vec<Parameter<'_>> = of.into_iter().chain(columns).collect();
    let park = transaction.prepare_cached(PARK).await?;
    transaction.execute(&park, &parameters).await?;
    Ok(())
}
