//! One pass over a context's log.

use anyhow::{Context, Result};
use indicatif::ProgressBar;
use spina_codec::headers::read_event_headers;
use spina_core::Timestamp;
use spina_log::admin::PartitionEnds;
use spina_log::{Fetched, LogConfig, LogReader, ReaderOptions, Start};
use spina_store::archive::Stored;

/// Tells every event of each partition from the place in `starts` to the end that the partition has in `ends`.
pub async fn pass(
    log: &LogConfig,
    topic: &str,
    starts: &[PartitionEnds],
    ends: &[PartitionEnds],
    bar: &ProgressBar,
    mut tell: impl FnMut(Stored),
) -> Result<()> {
    for (from, to) in starts.iter().zip(ends).filter(|(from, to)| from.earliest < to.stable) {
        let options = ReaderOptions { stop_at_end: true, ..ReaderOptions::default() };
        let mut reader = LogReader::open(log, topic, vec![(to.partition, Start::At(from.earliest))], options)?;
        let done_before = bar.position();
        while let Some(batch) = reader.next().await {
            for record in batch?.records.into_iter().filter(|record| record.offset < to.stable) {
                bar.set_position(done_before + (record.offset + 1 - from.earliest).unsigned_abs());
                tell(event(record)?);
            }
        }
        bar.set_position(done_before + (to.stable - from.earliest).unsigned_abs());
    }
    Ok(())
}

fn event(record: Fetched) -> Result<Stored> {
    let place = || format!("read the event at {}:{}:{}", record.topic, record.partition, record.offset);
    let headers = read_event_headers(&record.headers, record.key.as_deref().unwrap_or_default()).with_context(place)?;
    let recorded_at = Timestamp::from_millis(record.timestamp_ms).unwrap_or_default();
    let value = record.value.unwrap_or_default();
    Ok(Stored { headers, partition: record.partition, offset: record.offset, recorded_at, value })
}
