//! Counting which items begin within a frame of each other, in one sweep over time.

use std::collections::{BTreeMap, HashMap};

/// Leads that are remembered of a pair, for their median.
const LEADS_MAX: usize = 64;
/// Examples that are remembered of a pair.
const EXAMPLES_MAX: usize = 3;

/// A signal of an item.
#[derive(Debug, Clone, Copy)]
pub struct Begin<'s> {
    /// Which signal.
    pub signal: usize,
    /// Which item.
    pub item: usize,
    /// When, in microseconds.
    pub time: i64,
    /// The scope's value.
    pub place: &'s str,
}

/// How often the second of two items began within a frame behind the first.
#[derive(Debug, Clone, Default)]
pub struct Pair {
    /// Behind it.
    pub behind: u32,
    /// At the very same time. Told of one of the two directions only.
    pub at_once: u32,
    /// How far behind, the first so many times.
    pub leads: Vec<i64>,
    /// Which signals, the first few times.
    pub examples: Vec<(usize, usize)>,
}

/// What was counted in one scope.
#[derive(Debug)]
pub struct Pairs {
    /// How often each item began.
    pub begun: Vec<u32>,
    /// By first and second.
    pub pairs: BTreeMap<(usize, usize), Pair>,
    /// How often each item began at each place.
    at_place: Vec<BTreeMap<u32, u32>>,
    frame: i64,
    span: i64,
}

impl Pairs {
    /// Counts signals in the order of their time, over a history of that span.
    ///
    /// An item begins at most once in a frame, so an item meets a begin of another at most once: the count of pairs is at
    /// the same time that of the first's begins which the second followed, and of the second's which the first preceded.
    pub fn count<'s>(signals: impl Iterator<Item = Begin<'s>>, items: usize, frame: i64, span: i64) -> Self {
        let mut counted =
            Self { begun: vec![0; items], pairs: BTreeMap::new(), at_place: vec![BTreeMap::new(); items], frame, span };
        let mut places: HashMap<&str, Place> = HashMap::new();
        for signal in signals {
            let number = u32::try_from(places.len()).unwrap_or(u32::MAX);
            let place = places.entry(signal.place).or_insert_with(|| Place { number, ..Place::default() });
            let last = place.last.insert(signal.item, signal.time);
            if last.is_some_and(|last| signal.time - last <= frame) {
                continue;
            }
            counted.begun[signal.item] += 1;
            *counted.at_place[signal.item].entry(place.number).or_default() += 1;
            place.recent.retain(|earlier| signal.time - earlier.time <= frame);
            for earlier in place.recent.iter().filter(|earlier| earlier.item != signal.item) {
                counted.pairs.entry((earlier.item, signal.item)).or_default().met(earlier, &signal);
            }
            place.recent.push(signal);
        }
        counted
    }

    /// How often the second would begin within a frame of the first if it did not care.
    pub fn by_chance(&self, first: usize, second: usize, frames: i64) -> f64 {
        let within = self.frame as f64 * frames as f64 / self.span as f64;
        let places = self.at_place[first].iter();
        places
            .map(|(place, begun)| {
                let others = self.at_place[second].get(place).copied().unwrap_or(0);
                f64::from(*begun) * (f64::from(others) * within).min(1.0)
            })
            .sum()
    }
}

/// What is going on at one place.
#[derive(Debug, Default)]
struct Place<'s> {
    number: u32,
    last: HashMap<usize, i64>,
    recent: Vec<Begin<'s>>,
}

impl Pair {
    fn met(&mut self, first: &Begin<'_>, second: &Begin<'_>) {
        let lead = second.time - first.time;
        if lead == 0 {
            self.at_once += 1;
        } else {
            self.behind += 1;
        }
        if self.leads.len() < LEADS_MAX {
            self.leads.push(lead);
        }
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push((first.signal, second.signal));
        }
    }
}
