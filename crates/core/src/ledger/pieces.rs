//! A queue in pieces of fixed size, so that it never moves what is in it and never has room for twice as much.

use std::collections::VecDeque;

/// Items of a piece.
const PIECE: usize = 1_024;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Pieces<T> {
    pieces: VecDeque<Vec<T>>,
    /// Items of the first piece that were dropped.
    dropped: usize,
    len: usize,
}

impl<T> Default for Pieces<T> {
    fn default() -> Self {
        Self { pieces: VecDeque::new(), dropped: 0, len: 0 }
    }
}

impl<T> Pieces<T> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The item that has so many before it.
    pub(super) fn get(&self, place: usize) -> Option<&T> {
        let place = self.dropped + place;
        self.pieces.get(place / PIECE)?.get(place % PIECE)
    }

    pub(super) fn get_mut(&mut self, place: usize) -> Option<&mut T> {
        let place = self.dropped + place;
        self.pieces.get_mut(place / PIECE)?.get_mut(place % PIECE)
    }

    pub(super) fn push(&mut self, item: T) {
        if self.pieces.back().is_none_or(|last| last.len() == PIECE) {
            self.pieces.push_back(Vec::with_capacity(PIECE));
        }
        let last = self.pieces.back_mut().expect("a piece was just pushed");
        last.push(item);
        self.len += 1;
    }

    /// Drops the first item. Its memory goes with its piece.
    pub(super) fn drop_first(&mut self) {
        if self.len == 0 {
            return;
        }
        (self.len, self.dropped) = (self.len - 1, self.dropped + 1);
        if self.dropped == PIECE {
            self.pieces.pop_front();
            self.dropped = 0;
        }
    }

    /// Bytes that it takes.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.pieces.iter().map(|piece| piece.capacity() * size_of::<T>() + size_of::<Vec<T>>()).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_queue(steps in prop::collection::vec((0_usize..900, 0_usize..900), 0..20)) {
            let (mut pieces, mut model, mut next) = (Pieces::default(), VecDeque::new(), 0);
            for (pushed, dropped) in steps {
                for _ in 0..pushed {
                    pieces.push(next);
                    model.push_back(next);
                    next += 1;
                }
                for _ in 0..dropped {
                    pieces.drop_first();
                    model.pop_front();
                }
                prop_assert_eq!(pieces.len(), model.len());
                for place in 0..=model.len() {
                    prop_assert_eq!(pieces.get(place), model.get(place));
                }
            }
        }
    }
}
