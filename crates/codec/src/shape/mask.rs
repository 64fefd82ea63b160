//! Which top-level fields of a shape are wanted.

/// Top-level fields of one shape, made by [`super::Shape::mask`]. Means nothing for another shape.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldMask {
    /// One bit for each field in the schema's order.
    words: Vec<u64>,
}

impl FieldMask {
    pub(super) fn insert(&mut self, index: usize) {
        let word = index / 64;
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (index % 64);
    }

    pub(super) fn contains(&self, index: usize) -> bool {
        self.words.get(index / 64).is_some_and(|word| word >> (index % 64) & 1 == 1)
    }

    /// Whether no field is wanted.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }
}
