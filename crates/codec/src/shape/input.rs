//! Avro binary as it is read: every step checks what is left.

use super::VALUES_MAX;
use super::error::Malformed;

/// What is left of an Avro binary.
pub(super) struct Input<'a> {
    rest: &'a [u8],
    length: usize,
    values_left: usize,
}

impl<'a> Input<'a> {
    pub(super) fn new(avro: &'a [u8]) -> Self {
        Self { rest: avro, length: avro.len(), values_left: VALUES_MAX }
    }

    pub(super) fn malformed(&self, reason: &'static str) -> Malformed {
        Malformed { path: String::new(), offset: self.length - self.rest.len(), reason }
    }

    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    /// How many values were counted so far.
    pub(super) fn values(&self) -> usize {
        VALUES_MAX - self.values_left
    }

    /// Counts one value. Values may take no bytes at all (null), so bytes alone do not bound them.
    #[inline]
    pub(super) fn count_value(&mut self) -> Result<(), Malformed> {
        match self.values_left.checked_sub(1) {
            Some(left) => {
                self.values_left = left;
                Ok(())
            }
            None => Err(self.malformed("more than 1,000,000 values")),
        }
    }

    #[inline]
    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        match self.rest.split_first() {
            Some((byte, rest)) => {
                self.rest = rest;
                Ok(*byte)
            }
            None => Err(self.malformed("the bytes end within a value")),
        }
    }

    #[inline]
    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        match self.rest.split_at_checked(count) {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(bytes)
            }
            None => Err(self.malformed("the bytes end within a value")),
        }
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let bytes = self.bytes(N)?;
        Ok(bytes.try_into().expect("N bytes were taken"))
    }

    /// A zigzag varint.
    #[inline]
    pub(super) fn long(&mut self) -> Result<i64, Malformed> {
        let first = self.byte()?;
        let zigzag = if first < 0x80 { u64::from(first) } else { self.long_tail(first)? };
        Ok((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
    }

    fn long_tail(&mut self, first: u8) -> Result<u64, Malformed> {
        let mut value = u64::from(first & 0x7f);
        for shift in (7..).step_by(7) {
            let byte = self.byte()?;
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.malformed("a number is longer than 64 bits"))
    }

    pub(super) fn int(&mut self) -> Result<i32, Malformed> {
        let long = self.long()?;
        i32::try_from(long).map_err(|_| self.malformed("an int is beyond 32 bits"))
    }

    /// A length and that many bytes.
    #[inline]
    pub(super) fn sized(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.long()?;
        let length = usize::try_from(length).map_err(|_| self.malformed("a length is negative"))?;
        self.bytes(length)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Malformed> {
        let bytes = self.sized()?;
        std::str::from_utf8(bytes).map_err(|_| self.malformed("text is not UTF-8"))
    }

    /// The index of one of `count` branches or symbols.
    pub(super) fn index(&mut self, count: usize) -> Result<usize, Malformed> {
        let index = self.long()?;
        let index = usize::try_from(index).ok().filter(|index| *index < count);
        index.ok_or_else(|| self.malformed("a branch or symbol is not in the schema"))
    }

    /// The head of an array's or map's block; `None` at the end. A negative count says that the bytes of the block
    /// stand behind it.
    pub(super) fn block(&mut self) -> Result<Option<Block>, Malformed> {
        let count = self.long()?;
        let bytes = if count < 0 {
            let bytes = self.long()?;
            let bytes = usize::try_from(bytes).ok().filter(|bytes| *bytes <= self.rest.len());
            Some(bytes.ok_or_else(|| self.malformed("a block is longer than what is left"))?)
        } else {
            None
        };
        let left_behind = bytes.map(|bytes| self.rest.len() - bytes);
        Ok((count != 0).then_some(Block { items: count.unsigned_abs(), bytes, left_behind }))
    }

    /// A block whose items were read one by one ends where it said it would: who passes over it lands on the same byte.
    pub(super) fn end_block(&self, block: &Block) -> Result<(), Malformed> {
        match block.left_behind {
            Some(left) if left != self.rest.len() => Err(self.malformed("a block is not as long as it says")),
            Some(_) | None => Ok(()),
        }
    }
}

/// One block of an array or map.
pub(super) struct Block {
    /// Items in it.
    pub(super) items: u64,
    /// Its bytes, if it says so; not more than what is left.
    pub(super) bytes: Option<usize>,
    /// The bytes that are left once it is read, if it says so.
    left_behind: Option<usize>,
}
