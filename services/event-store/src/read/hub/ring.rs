//! The recent events of a context, bounded in bytes: what live subscriptions are fed from.
//!
//! ```text
//!   floors            heads          a subscription whose places are all at or above the floors finds here everything
//!     |  g7  g8  g9  g10 |  <- log   that it has not seen; below a floor the log must be read again
//!   first               end
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use crate::read::entry::Group;
use crate::read::places::Places;

/// See the [module](self).
#[derive(Debug)]
pub struct Ring {
    groups: VecDeque<Arc<Group>>,
    /// Number of the first group. Numbers are never used again.
    first: u64,
    bytes: usize,
    bytes_max: usize,
    /// By partition: every record from this offset on is here or is still to come. Empty while nothing is read.
    floors: Vec<i64>,
    /// By partition: every record before this offset was put in.
    heads: Vec<i64>,
}

/// What stands at a number.
#[derive(Debug)]
pub enum At {
    /// A group.
    Group(Arc<Group>),
    /// Nothing yet. The heads, by partition: who has seen every group has seen everything before them.
    End(Vec<i64>),
    /// Nothing any more.
    Gone,
}

impl Ring {
    /// A ring that is fed from nowhere yet.
    pub fn new(bytes_max: usize) -> Self {
        Self { groups: VecDeque::new(), first: 0, bytes: 0, bytes_max, floors: Vec::new(), heads: Vec::new() }
    }

    /// The number of the next group.
    pub fn end(&self) -> u64 {
        self.first + self.groups.len() as u64
    }

    /// Begins anew: it is fed from these offsets on, or from nowhere. Who stood in it finds its place gone.
    pub fn restart(&mut self, starts: Vec<i64>) {
        self.first = self.end() + 1;
        self.groups.clear();
        self.bytes = 0;
        self.heads.clone_from(&starts);
        self.floors = starts;
    }

    /// Puts a group at the end. The oldest make room for it.
    pub fn push(&mut self, group: Group) {
        for entry in &group.entries {
            raise(&mut self.heads, entry.record.partition, entry.record.offset + 1);
        }
        for (partition, next) in &group.passed {
            raise(&mut self.heads, *partition, *next);
        }
        if group.entries.is_empty() {
            return;
        }
        self.bytes += group.bytes;
        self.groups.push_back(Arc::new(group));
        while self.bytes > self.bytes_max && self.groups.len() > 1 {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        let Some(group) = self.groups.pop_front() else { return };
        self.first += 1;
        self.bytes -= group.bytes;
        for entry in &group.entries {
            raise(&mut self.floors, entry.record.partition, entry.record.offset + 1);
        }
    }

    /// The number at which a subscription with these places goes on without a gap; `None` if there is no such.
    pub fn join(&self, places: &Places) -> Option<u64> {
        let within = |(partition, next)| at(&self.floors, partition).is_some_and(|floor| next >= floor);
        if !places.iter().all(within) {
            return None;
        }
        let unseen = |group: &Arc<Group>| {
            let mut entries = group.entries.iter().rev();
            entries.any(|entry| places.wants(entry.record.partition, entry.record.offset))
        };
        let seen = self.groups.iter().take_while(|group| !unseen(group)).count();
        Some(self.first + seen as u64)
    }

    /// What stands at the number.
    pub fn at(&self, number: u64) -> At {
        match number.checked_sub(self.first).and_then(|index| usize::try_from(index).ok()) {
            None => At::Gone,
            Some(index) => match self.groups.get(index) {
                Some(group) => At::Group(Arc::clone(group)),
                None => At::End(self.heads.clone()),
            },
        }
    }
}

fn at(offsets: &[i64], partition: i32) -> Option<i64> {
    offsets.get(usize::try_from(partition).ok()?).copied()
}

fn raise(offsets: &mut [i64], partition: i32, next: i64) {
    if let Some(offset) = usize::try_from(partition).ok().and_then(|index| offsets.get_mut(index)) {
        *offset = next.max(*offset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::entry::Entry;
    use crate::read::samples::record;

    /// A group of one record that counts for ten bytes.
    fn group(partition: i32, offset: i64) -> Group {
        let entries = vec![Entry::new(record("a-1", "f.a.A", partition, offset))];
        Group { entries, passed: Vec::new(), bytes: 10 }
    }

    fn places(next: &[(i32, i64)]) -> Places {
        Places::new("f.events.v1".into(), next.to_vec())
    }

    #[test]
    fn who_stands_above_the_floors_goes_on_at_the_first_event_it_has_not_seen() {
        let mut ring = Ring::new(1_000);
        assert_eq!(ring.join(&places(&[(0, 100)])), None, "nothing is read yet");
        ring.restart(vec![100, 50]);
        let first = ring.end();
        for (partition, offset) in [(0, 100), (1, 50), (0, 102)] {
            ring.push(group(partition, offset));
        }
        assert_eq!(ring.join(&places(&[(0, 99), (1, 50)])), None, "offset 99 of partition 0 was never here");
        assert_eq!(ring.join(&places(&[(0, 100), (1, 50)])), Some(first));
        assert_eq!(ring.join(&places(&[(0, 101), (1, 51)])), Some(first + 2));
        assert_eq!(ring.join(&places(&[(0, 900), (1, 900)])), Some(ring.end()), "the reader is behind, all is to come");
        assert_eq!(ring.join(&places(&[(1, 50)])), Some(first + 1), "only the partitions asked for count");
    }

    #[test]
    fn the_oldest_make_room_and_raise_the_floor() {
        let mut ring = Ring::new(25);
        ring.restart(vec![0, 0]);
        let first = ring.end();
        (0..4).for_each(|offset| ring.push(group(0, offset)));
        assert!(matches!(ring.at(first), At::Gone));
        assert!(matches!(ring.at(first + 2), At::Group(group) if group.entries[0].record.offset == 2));
        assert_eq!(ring.join(&places(&[(0, 1), (1, 0)])), None);
        assert_eq!(ring.join(&places(&[(0, 2), (1, 0)])), Some(first + 2), "partition 1 lost nothing");
        ring.push(Group { bytes: 1_000, ..group(0, 9) });
        assert_eq!(ring.end() - 1, ring.join(&places(&[(0, 9), (1, 0)])).unwrap(), "one group stays, however large");
    }

    #[test]
    fn the_end_tells_how_far_the_log_was_read_and_a_restart_leaves_no_place() {
        let mut ring = Ring::new(1_000);
        ring.restart(vec![7]);
        ring.push(group(0, 7));
        ring.push(Group { passed: vec![(0, 9)], ..Group::default() });
        let end = ring.end();
        assert!(matches!(ring.at(end), At::End(heads) if heads == [9]), "a marker followed");
        ring.restart(Vec::new());
        assert!(matches!(ring.at(end), At::Gone));
        assert_eq!(ring.join(&places(&[(0, 9)])), None);
    }
}
