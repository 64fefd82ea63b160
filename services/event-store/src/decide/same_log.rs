//! Whether the log is the one that the archive was filled from.
//!
//! A log that was lost and begun anew would give versions a second time. So what the archive knows must be in the log: it
//! may not end before the archive or a snapshot of it does, and at the place of the last archived event that event stands.

use spina_log::{Fetched, LogError};
use spina_store::archive::{LastArchived, Stored, Watermark};

use super::equipment::Equipment;
use super::takeover::{TakeOverError, stored};

/// Streams that are named when the log is not the archive's.
const STREAMS_NAMED_MAX: i64 = 10;

/// Tells all committed events from the watermark on, in parts; succeeds if the log is the archive's.
pub async fn read_after(
    equipment: &Equipment,
    watermark: Watermark,
    tell: &mut (dyn FnMut(Vec<Stored>) + Send),
) -> Result<(), TakeOverError> {
    let (partition, archive) = (equipment.partition(), &equipment.archive);
    let mut last = archive.last_archived(partition).await?;
    let from = last.as_ref().map_or(watermark.next_offset, |last| last.offset.min(watermark.next_offset));
    let (topic, log) = (&equipment.imprint.events_topic, &equipment.log);
    let mut at_last = None;
    let mut sort = |records: Vec<Fetched>| {
        let mut events: Vec<Stored> = records.into_iter().filter_map(stored).collect();
        if let Some(last) = &last {
            at_last = at_last.take().or_else(|| events.iter().find(|it| it.offset == last.offset).cloned());
        }
        events.retain(|event| event.offset >= watermark.next_offset);
        tell(events);
    };
    let end = match log.each_settled(topic, partition, from, &mut sort).await {
        // Retention may have removed everything that is archived.
        Err(LogError::OutOfRange { .. }) if from < watermark.next_offset => {
            let end = log.each_settled(topic, partition, watermark.next_offset, &mut sort).await?;
            last = None;
            end
        }
        end => end?,
    };
    let ahead = archive.ahead_of_log(partition, end, STREAMS_NAMED_MAX).await?;
    if watermark.next_offset > end || !ahead.is_empty() {
        let streams: Vec<String> =
            ahead.into_iter().map(|(stream, version)| format!("{stream} at version {version}")).collect();
        let (archived, streams) = (watermark.next_offset, streams.join(", "));
        return Err(another(
            equipment,
            format!("it ends at offset {end}, the archive at {archived}; lost are {streams}"),
        ));
    }
    match last {
        Some(last) if at_last.as_ref().map(|event| &event.headers.id) != Some(&last.event_id) => {
            let found = at_last.map_or("no event".to_owned(), |found| format!("event {}", found.headers.id));
            let LastArchived { offset, event_id, stream } = last;
            let evidence = format!("at offset {offset} it has {found}, the archive event {event_id} of {stream}");
            Err(another(equipment, evidence))
        }
        Some(_) | None => Ok(()),
    }
}

/// The log is not the archive's.
pub(super) fn another(equipment: &Equipment, evidence: String) -> TakeOverError {
    let context = equipment.context.to_string();
    TakeOverError::AnotherLog { context, partition: equipment.partition(), evidence }
}
