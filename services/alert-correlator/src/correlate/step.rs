//! How far a group has come towards its rule's condition.

use std::collections::{HashMap, VecDeque};

use spina_core::Timestamp;
use spina_core::correlation::Signal;
use spina_rules::correlation::{Detect, Rule, Window, matches_all};
use xxhash_rust::xxh3::xxh3_64;

/// Signals of the current window, as much of them as the condition needs.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// Time and, where different values are counted, the value's hash.
    seen: VecDeque<(Timestamp, u64)>,
    values: HashMap<u64, Timestamp>,
    /// For each step, when it was seen, or when the chain that has come so far began.
    steps: Vec<Option<Timestamp>>,
}

impl Progress {
    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Notes a signal; `last` is the time of the one before. Whether the condition holds now.
    pub fn note(&mut self, rule: &Rule, signal: &Signal, time: Timestamp, last: Option<Timestamp>) -> bool {
        self.slide(rule.window, time, last);
        match &rule.detect {
            Detect::Count { count, distinct: None } => {
                self.seen.push_back((time, 0));
                self.seen.len() >= *count
            }
            Detect::Count { count, distinct: Some(label) } => {
                let value = xxh3_64(signal.labels.get(label).as_bytes());
                self.note_value(value, time, *count)
            }
            Detect::AllOf(steps) => {
                self.steps.resize(steps.len(), None);
                for (at, step) in steps.iter().enumerate() {
                    if matches_all(step, &signal.labels) {
                        self.steps[at] = Some(time);
                    }
                }
                self.steps.iter().all(Option::is_some)
            }
            Detect::Sequence(steps) => {
                self.steps.resize(steps.len(), None);
                // From the last step back, so that one signal is one step of a chain.
                for at in (0..steps.len()).rev().filter(|at| matches_all(&steps[*at], &signal.labels)) {
                    let began = if at == 0 { Some(time) } else { self.steps[at - 1] };
                    self.steps[at] = began.or(self.steps[at]);
                }
                self.steps.last().is_some_and(Option::is_some)
            }
            // It is the lack of a signal that opens.
            Detect::Absence(_) => false,
        }
    }

    /// Takes over what another group of the same rule has come to.
    pub fn absorb(&mut self, other: Self) {
        self.seen.extend(other.seen);
        self.seen.make_contiguous().sort_unstable();
        for (value, time) in other.values {
            let known = self.values.entry(value).or_insert(time);
            *known = (*known).max(time);
        }
        self.steps.resize(self.steps.len().max(other.steps.len()), None);
        self.steps.iter_mut().zip(other.steps).for_each(|(step, more)| *step = (*step).max(more));
    }

    /// Signals that it counts.
    pub fn signals(&self) -> usize {
        self.seen.len()
    }

    /// How far it has come, of how much: `7 of 20 signals`.
    pub fn show(&self, rule: &Rule) -> String {
        match &rule.detect {
            Detect::Count { count, distinct: None } => format!("{} of {count} signals", self.seen.len().min(*count)),
            Detect::Count { count, distinct: Some(label) } => {
                format!("{} of {count} values of {label}", self.values.len().min(*count))
            }
            Detect::AllOf(steps) | Detect::Sequence(steps) => {
                format!("{} of {} steps", self.steps.iter().flatten().count(), steps.len())
            }
            Detect::Absence(_) => "the signal is there".to_owned(),
        }
    }

    fn note_value(&mut self, value: u64, time: Timestamp, count: usize) -> bool {
        self.values.insert(value, time);
        self.seen.push_back((time, value));
        // One value that comes over and over must not make the window grow.
        if self.seen.len() > 4 * count + 16 {
            let latest = &self.values;
            self.seen.retain(|(time, value)| latest.get(value) == Some(time));
        }
        self.values.len() >= count
    }

    /// Forgets what is not in the window of a signal at that time.
    fn slide(&mut self, window: Window, time: Timestamp, last: Option<Timestamp>) {
        let begins = match window {
            Window::Sliding(span) => time.micros() - span + 1,
            Window::Tumbling(span) => time.micros().div_euclid(span) * span,
            Window::Session(gap) => match last {
                Some(last) if time.micros() - last.micros() >= gap => time.micros(),
                Some(_) | None => return,
            },
        };
        while let Some((seen, value)) = self.seen.front().copied().filter(|(seen, _)| seen.micros() < begins) {
            self.seen.pop_front();
            if self.values.get(&value) == Some(&seen) {
                self.values.remove(&value);
            }
        }
        for step in &mut self.steps {
            *step = step.filter(|seen| seen.micros() >= begins);
        }
    }
}
