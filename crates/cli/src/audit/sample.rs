//! Streams chosen at random from a log that is read once.
//!
//! Each stream has a number that follows from its id and the seed; those with the smallest numbers are the sample. A
//! stream that is not chosen at its first event never will be, because the sample's greatest number only falls: so the
//! events of the chosen are complete after one pass, and memory is that of the sample.

use std::collections::BTreeMap;

use spina_core::StreamKey;
use spina_store::archive::Stored;

/// See the [module](self).
#[derive(Debug)]
pub struct Sample {
    seed: u64,
    streams_max: usize,
    chosen: BTreeMap<(u64, String), Vec<Stored>>,
}

impl Sample {
    /// At most so many streams; the same seed chooses the same ones of the same log.
    pub fn new(seed: u64, streams_max: usize) -> Self {
        Self { seed, streams_max, chosen: BTreeMap::new() }
    }

    /// Takes the next event of the log, if its stream is among the chosen.
    pub fn offer(&mut self, event: Stored) {
        let stream = event.headers.stream.as_str();
        let number = StreamKey::of(&format!("{}:{stream}", self.seed)).0 as u64;
        let key = (number, stream.to_owned());
        if let Some(events) = self.chosen.get_mut(&key) {
            events.push(event);
            return;
        }
        let is_full = self.chosen.len() == self.streams_max;
        if is_full && self.chosen.last_key_value().is_none_or(|(greatest, _)| *greatest < key) {
            return;
        }
        self.chosen.insert(key, vec![event]);
        if self.chosen.len() > self.streams_max {
            self.chosen.pop_last();
        }
    }

    /// Takes an event that came after the pass: no stream is chosen any more.
    pub fn extend(&mut self, event: Stored) {
        let number = StreamKey::of(&format!("{}:{}", self.seed, event.headers.stream)).0 as u64;
        if let Some(events) = self.chosen.get_mut(&(number, event.headers.stream.to_string())) {
            events.push(event);
        }
    }

    /// The events of each chosen stream, in order.
    pub fn streams(&self) -> impl Iterator<Item = &[Stored]> {
        self.chosen.values().map(Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::event;
    use super::*;

    fn streams(sample: &Sample) -> Vec<(String, usize)> {
        sample.streams().map(|events| (events[0].headers.stream.to_string(), events.len())).collect()
    }

    #[test]
    fn a_seed_chooses_the_same_streams_and_all_of_their_events() {
        let choose = |seed| {
            let mut sample = Sample::new(seed, 5);
            for version in 1..=3 {
                (0..40).for_each(|stream| sample.offer(event(&format!("a-{stream}"), version)));
            }
            streams(&sample)
        };
        let chosen = choose(7);
        assert_eq!(chosen.len(), 5);
        assert!(chosen.iter().all(|(_, events)| *events == 3), "{chosen:?}");
        assert_eq!(chosen, choose(7));
        assert_ne!(chosen, choose(8));
    }

    #[test]
    fn events_after_the_pass_choose_no_new_stream() {
        let mut sample = Sample::new(1, 5);
        sample.offer(event("a-1", 1));
        sample.extend(event("a-1", 2));
        sample.extend(event("a-2", 1));
        assert_eq!(streams(&sample), [("a-1".to_owned(), 2)]);
    }
}
