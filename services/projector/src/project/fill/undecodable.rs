//! Records that cannot even be decoded: parked as all poison is, and copied to the dead letters of their topic, for programs
//! that know nothing of our database.
//!
//! The copy is committed before the checkpoint passes the record. A crash in between writes it once more, with the same
//! `spina-dlq-id`; so does every other model that cannot decode the record.

use std::collections::BTreeSet;

use bytes::Bytes;
use spina_codec::Headers;
use spina_codec::dead_letter::{Unhandled, headers_of};
use spina_log::{NewRecord, Window, names};
use spina_store::dead_letters::{LetterChanges, ParkedRecord, Place, Refusal};
use spina_store::read_model::ModelName;

use super::Parts;
use super::trouble::Trouble;

/// Classes of errors of records that are no events, or not for us.
const CLASSES: [&str; 2] = ["undecodable", "schema"];

impl Parts {
    /// Copies those of the new letters that cannot be decoded.
    pub(super) async fn tell_undecodable(&self, letters: &LetterChanges) -> Result<(), Trouble> {
        let parked = letters.parked.iter().filter_map(|letter| Some((&letter.record, letter.refusal.as_ref()?)));
        self.tell_dead_letters(
            parked.filter_map(|(record, refusal)| dead_letter(&self.name, record, refusal)).collect(),
        )
        .await
    }

    /// Writes dead letters in one transaction, which shuts out whoever filled the model before.
    pub(super) async fn tell_dead_letters(&self, records: Vec<NewRecord>) -> Result<(), Trouble> {
        if records.is_empty() {
            return Ok(());
        }
        let Self { voice, name, .. } = self;
        for topic in records.iter().map(|record| &record.topic).collect::<BTreeSet<_>>() {
            if voice.admin.describe(topic).await?.is_none() {
                let missing =
                    format!("topic `{topic}` for what cannot be decoded is missing: run `spina topology apply`");
                return Err(Trouble::Passing(missing));
            }
        }
        let lane = voice.lanes.open(&names::dead_letter_transactional_id(&name.context, &name.model)).await?;
        let written = async {
            lane.stage(Window { records, consumed: None }).await?;
            lane.commit().await
        };
        written.await.map_err(|error| Trouble::Passing(error.to_string()))
    }
}

/// The dead letter of a record that was refused for good, if it cannot be decoded.
pub(super) fn dead_letter(model: &ModelName, record: &ParkedRecord, refusal: &Refusal) -> Option<NewRecord> {
    if !CLASSES.contains(&refusal.class) {
        return None;
    }
    // What cannot be read as headers has none.
    let headers = Headers::from_bytes(&record.headers).unwrap_or_default();
    let Place { topic, partition, offset } = &record.place;
    let headers = headers_of(&Unhandled {
        place: (topic, *partition, *offset),
        timestamp_ms: record.timestamp_ms,
        headers: &headers,
        class: refusal.class,
        message: &refusal.error,
        reader: &model.to_string(),
    });
    Some(NewRecord {
        topic: names::dlq(topic).into(),
        // Both topics have as many.
        partition: *partition,
        key: Bytes::from(record.record_key.clone().unwrap_or_default()),
        value: record.value.clone().map(Bytes::from),
        headers,
        timestamp_ms: None,
    })
}

#[cfg(test)]
mod tests {
    use spina_codec::dead_letter::{Cause, SPINA_DLQ_ID};

    use super::*;

    #[test]
    fn only_what_cannot_be_decoded_becomes_a_dead_letter_of_the_topic() {
        let model = ModelName { context: "flights".parse().unwrap(), model: "aircraft".to_owned() };
        let record = ParkedRecord {
            key: Vec::new(),
            place: Place { topic: "flights.events.v1".into(), partition: 2, offset: 7 },
            timestamp_ms: 1,
            record_key: None,
            value: Some(b"junk".to_vec()),
            headers: Headers::default().as_bytes().to_vec(),
            said: [const { None }; 4],
        };
        let of = |class| dead_letter(&model, &record, &Refusal { class, error: "no frame".to_owned() });
        assert_eq!(of("expression"), None);
        let told = of("undecodable").unwrap();
        assert_eq!(
            (&*told.topic, told.partition, told.value.as_deref()),
            ("flights.events.v1.dlq", 2, Some(&b"junk"[..]))
        );
        assert_eq!(told.headers.get_str(SPINA_DLQ_ID), Some("flights.events.v1:2:7"));
        let cause = Cause::read(&told.headers).unwrap();
        assert_eq!((cause.message.as_deref(), cause.reader.as_deref()), (Some("no frame"), Some("flights/aircraft")));
    }
}
