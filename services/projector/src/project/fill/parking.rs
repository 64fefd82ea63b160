//! Which keys are parked, and letters for what joins them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use spina_codec::Headers;
use spina_codec::headers::{CE_CORRELATION_ID, CE_ID, CE_TYPE, TRACEPARENT};
use spina_core::StreamKey;
use spina_log::Fetched;
use spina_store::dead_letters::{Letter, NewLetter, ParkedRecord, Place, Refusal, Verdicts};

/// Most keys of a model that may be parked.
const KEYS_MAX: usize = 100_000;
/// Most events that may wait behind the first one of a key.
const FOLLOWERS_MAX: i64 = 10_000;
/// Longest key that is kept as it is, in bytes; a longer one is kept by its hash. An index entry has room for 2704.
const KEY_BYTES_MAX: usize = 1024;

/// What is parked of a model, and what people decided about its events.
#[derive(Debug, Default)]
pub struct Parking {
    keys: HashMap<Vec<u8>, i64>,
    /// Decisions by place.
    pub verdicts: Verdicts,
}

impl Parking {
    /// As the database has it.
    pub fn new(keys: Vec<(Vec<u8>, i64)>, verdicts: Verdicts) -> Self {
        Self { keys: keys.into_iter().collect(), verdicts }
    }

    /// Whether events of the key wait.
    pub fn holds(&self, key: &[u8]) -> bool {
        !self.keys.is_empty() && self.keys.contains_key(key)
    }

    /// Makes room for one more letter of the key; the answer is why there is none.
    pub fn admit(&mut self, key: &[u8]) -> Result<(), String> {
        let keys = self.keys.len();
        match self.keys.get_mut(key) {
            Some(letters) if *letters > FOLLOWERS_MAX => {
                let key = String::from_utf8_lossy(key);
                return Err(format!(
                    "{FOLLOWERS_MAX} events wait behind a dead letter of {key}: see spina dead-letter"
                ));
            }
            Some(letters) => *letters += 1,
            None if keys >= KEYS_MAX => {
                return Err(format!("{KEYS_MAX} keys are parked: mend the cause, then spina dead-letter redrive"));
            }
            None => _ = self.keys.insert(key.to_vec(), 1),
        }
        Ok(())
    }

    /// Number of keys, and of letters.
    pub fn counts(&self) -> (usize, i64) {
        (self.keys.len(), self.keys.values().sum())
    }
}

/// What is kept in order: the record's key.
pub fn order_key(record: &Fetched) -> Cow<'_, [u8]> {
    let key = record.key.as_deref().unwrap_or_default();
    if key.len() <= KEY_BYTES_MAX {
        return Cow::Borrowed(key);
    }
    Cow::Owned(StreamKey::of(&String::from_utf8_lossy(key)).0.to_be_bytes().to_vec())
}

/// Where a record stands.
pub fn place_of(record: &Fetched) -> Place {
    Place { topic: Arc::clone(&record.topic), partition: record.partition, offset: record.offset }
}

/// A letter for a record.
pub fn letter(record: &Fetched, key: Vec<u8>, refusal: Option<Refusal>) -> NewLetter {
    let said = [CE_TYPE, CE_ID, CE_CORRELATION_ID, TRACEPARENT];
    let record = ParkedRecord {
        key,
        place: place_of(record),
        timestamp_ms: record.timestamp_ms,
        record_key: record.key.as_deref().map(<[u8]>::to_vec),
        value: record.value.as_deref().map(<[u8]>::to_vec),
        headers: record.headers.as_bytes().to_vec(),
        said: said.map(|name| record.headers.get_str(name).map(str::to_owned)),
    };
    NewLetter { record, refusal }
}

/// The record of a letter, as it was read from the log.
pub fn record_of(letter: &Letter) -> Fetched {
    let record = &letter.record;
    Fetched {
        topic: Arc::clone(&record.place.topic),
        partition: record.place.partition,
        offset: record.place.offset,
        timestamp_ms: record.timestamp_ms,
        key: record.record_key.clone().map(Into::into),
        value: record.value.clone().map(Into::into),
        // What cannot be read as headers has none, and is refused as such.
        headers: Headers::from_bytes(&record.headers).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_parked_until_its_letters_are_gone_and_not_without_limit() {
        let mut parking = Parking::new(vec![(b"a".to_vec(), FOLLOWERS_MAX)], Verdicts::new());
        assert!(parking.holds(b"a") && !parking.holds(b"b"));
        assert_eq!(parking.admit(b"a"), Ok(()));
        assert!(parking.admit(b"a").unwrap_err().contains("wait behind a dead letter of a"));
        assert_eq!(parking.admit(b"b"), Ok(()));
        assert_eq!(parking.counts(), (2, FOLLOWERS_MAX + 2));
    }

    #[test]
    fn a_record_comes_back_from_its_letter_as_it_was() {
        let mut headers = Headers::default();
        headers.push(CE_TYPE, Some(b"flights.flight.FlightLanded"));
        headers.push("odd", Some(&[0xff, 0]));
        let key = vec![b'k'; KEY_BYTES_MAX + 1];
        let record = Fetched {
            topic: "flights.events.v1".into(),
            partition: 2,
            offset: 7,
            timestamp_ms: 1,
            key: Some(key.into()),
            value: None,
            headers,
        };
        let new = letter(&record, order_key(&record).into_owned(), None);
        assert_eq!((new.record.key.len(), new.record.said[0].as_deref()), (16, Some("flights.flight.FlightLanded")));
        let kept = Letter {
            id: 1,
            context: String::new(),
            model: String::new(),
            record: new.record,
            class: None,
            error: None,
            attempts: 0,
            parked_at: spina_core::Timestamp::from_micros(0).unwrap(),
            tried_at: None,
        };
        assert_eq!(record_of(&kept), record);
    }
}
