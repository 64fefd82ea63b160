//! The topics that a table is filled from, and the one list of offsets over all of them.
//!
//! ```text
//! inputs        booking.events.v1 (4)    flights.events.v1 (2)
//! partitions    0   1   2   3            0   1
//! numbers       0   1   2   3            4   5      places in `next_offsets`
//! ```

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// A topic that a table is filled from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Its name.
    pub topic: String,
    /// Number of its partitions.
    pub partitions: usize,
}

/// The topics that a table is filled from, in an order that stays. Their partitions are numbered through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Inputs(Vec<Input>);

impl Inputs {
    /// These, in this order.
    pub fn of(inputs: Vec<Input>) -> Self {
        Self(inputs)
    }

    /// The topics.
    pub fn iter(&self) -> impl Iterator<Item = &Input> {
        self.0.iter()
    }

    /// Number of partitions of all of them.
    pub fn partitions(&self) -> usize {
        self.0.iter().map(|input| input.partitions).sum()
    }

    /// Which of them has this name.
    pub fn position(&self, topic: &str) -> Option<usize> {
        self.0.iter().position(|input| input.topic == topic)
    }

    /// The number of a partition of an input, among those of all.
    pub fn number(&self, input: usize, partition: i32) -> Option<usize> {
        let partition = usize::try_from(partition).ok()?;
        let within = partition < self.0.get(input)?.partitions;
        within.then(|| self.numbers(input).start + partition)
    }

    /// The numbers of an input's partitions.
    pub fn numbers(&self, input: usize) -> Range<usize> {
        let start = self.0.iter().take(input).map(|input| input.partitions).sum();
        start..start + self.0.get(input).map_or(0, |input| input.partitions)
    }

    /// An input's part of a list over all partitions; empty if the list is shorter.
    pub fn part<'l>(&self, input: usize, list: &'l [i64]) -> &'l [i64] {
        list.get(self.numbers(input)).unwrap_or_default()
    }

    /// Offsets over other inputs, as offsets over these: 0 where the others had no such partition.
    pub fn carry(&self, others: &Self, offsets: &[i64]) -> Vec<i64> {
        let mut carried = Vec::with_capacity(self.partitions());
        for input in &self.0 {
            let known = others.position(&input.topic).map_or(&[][..], |at| others.part(at, offsets));
            carried.extend((0..input.partitions).map(|partition| known.get(partition).copied().unwrap_or(0)));
        }
        carried
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(topics: &[(&str, usize)]) -> Inputs {
        let input = |(topic, partitions): &(&str, usize)| Input { topic: (*topic).to_owned(), partitions: *partitions };
        Inputs::of(topics.iter().map(input).collect())
    }

    #[test]
    fn partitions_are_numbered_through() {
        let two = inputs(&[("a", 3), ("b", 2)]);
        assert_eq!((two.partitions(), two.position("b"), two.position("c")), (5, Some(1), None));
        let numbers = [(0, 0), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2), (2, 0), (1, -1)];
        let numbers = numbers.map(|(input, partition)| two.number(input, partition));
        assert_eq!(numbers, [Some(0), Some(2), None, Some(3), Some(4), None, None, None]);
        assert_eq!((two.part(0, &[1, 2, 3, 4, 5]), two.part(1, &[1, 2, 3, 4, 5])), (&[1, 2, 3][..], &[4, 5][..]));
        assert_eq!(two.part(0, &[]), &[] as &[i64]);
    }

    #[test]
    fn offsets_are_carried_to_other_inputs_by_topic() {
        let (two, three) = (inputs(&[("a", 2), ("c", 2)]), inputs(&[("a", 2), ("b", 1), ("c", 2)]));
        assert_eq!(three.carry(&two, &[1, 2, 3, 4]), [1, 2, 0, 3, 4]);
        assert_eq!(two.carry(&three, &[1, 2, 0, 3, 4]), [1, 2, 3, 4]);
        assert_eq!(inputs(&[("a", 3)]).carry(&two, &[1, 2, 3, 4]), [1, 2, 0], "there are more partitions now");
    }
}
