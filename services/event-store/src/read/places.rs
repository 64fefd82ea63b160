//! Where a subscription stands in each of its partitions.

use std::sync::Arc;

use spina_core::Token;

/// The next offset wanted of each partition. Offsets before it were delivered, or were not wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    topic: Arc<str>,
    /// Partition and next offset, in the order of partitions.
    next: Vec<(i32, i64)>,
}

impl Places {
    /// Places in these partitions, which are in order.
    pub fn new(topic: Arc<str>, next: Vec<(i32, i64)>) -> Self {
        Self { topic, next }
    }

    /// Partition and next offset of each.
    pub fn iter(&self) -> impl Iterator<Item = (i32, i64)> + '_ {
        self.next.iter().copied()
    }

    /// Whether the offset is still to come.
    pub fn wants(&self, partition: i32, offset: i64) -> bool {
        self.find(partition).is_some_and(|index| offset >= self.next[index].1)
    }

    /// Everything before `next` was seen. A place never goes back.
    pub fn reach(&mut self, partition: i32, next: i64) {
        if let Some(index) = self.find(partition) {
            let place = &mut self.next[index].1;
            *place = next.max(*place);
        }
    }

    /// What to resume after. A place behind a transaction's marker is told, too: it is a place like any other.
    pub fn token(&self) -> Token {
        let mut token = Token::start(&*self.topic);
        for (partition, next) in self.iter().filter(|(_, next)| *next > 0) {
            token.advance(partition, next - 1);
        }
        token
    }

    fn find(&self, partition: i32) -> Option<usize> {
        self.next.binary_search_by_key(&partition, |(known, _)| *known).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_never_goes_back_and_says_what_was_seen_last() {
        let mut places = Places::new("a.events.v1".into(), vec![(0, 0), (2, 5), (3, 8)]);
        places.reach(2, 9);
        places.reach(2, 7);
        places.reach(1, 100);
        assert_eq!(places.iter().collect::<Vec<_>>(), [(0, 0), (2, 9), (3, 8)]);
        assert_eq!(places.token().to_string(), "a.events.v1:2:8,3:7");
        assert!(places.wants(2, 9) && !places.wants(2, 8) && !places.wants(1, 100));
    }
}
