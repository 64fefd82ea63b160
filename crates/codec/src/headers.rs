//! Record headers in one buffer.
//!
//! A record carries about ten headers, and a replay reads hundreds of thousands of records a second, so the headers of
//! a record are one allocation: each is its lengths, its name and its value, one after the other.
//!
//! ```text
//! | name length u32 | value length u32, MAX = null | name | value | name length ...
//! ```

mod command;
mod event;
mod names;

use std::fmt;

pub use command::{CommandHeaders, read_command_headers};
pub use event::{read_event_headers, write_event_headers};
pub use names::*;

/// What stands for the length of a null value.
const NULL: u32 = u32::MAX;
/// Bytes of the two lengths before each name.
const LENGTHS: usize = 8;

/// Record headers: names with values, in order. A name may occur more than once; a value may be null.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers {
    buffer: Vec<u8>,
    count: usize,
}

impl Headers {
    /// No headers, with room for `bytes` of names and values together in about `count` headers.
    pub fn with_capacity(count: usize, bytes: usize) -> Self {
        Self { buffer: Vec::with_capacity(count * LENGTHS + bytes), count: 0 }
    }

    /// Adds a header behind the others.
    ///
    /// # Panics
    /// When name or value is 4 GiB or longer; Kafka's own limit is far below.
    pub fn push(&mut self, name: &str, value: Option<&[u8]>) {
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).expect("a header is shorter than 4 GiB");
        self.buffer.reserve(LENGTHS + name.len() + value.map_or(0, <[u8]>::len));
        self.buffer.extend_from_slice(&length(name.as_bytes()).to_le_bytes());
        self.buffer.extend_from_slice(&value.map_or(NULL, length).to_le_bytes());
        self.buffer.extend_from_slice(name.as_bytes());
        self.buffer.extend_from_slice(value.unwrap_or_default());
        self.count += 1;
    }

    /// The value of the last header of that name; `None` when there is none or its value is null.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.raw().filter(|(found, _)| *found == name.as_bytes()).last().and_then(|(_, value)| value)
    }

    /// Like [`Headers::get`], as text; `None` also when the value is not UTF-8.
    pub fn get_str(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Name and value of every header, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
        self.raw().map(|(name, value)| (std::str::from_utf8(name).expect("names are pushed as text"), value))
    }

    /// The number of headers.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is no header.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The buffer, to be kept somewhere and read back with [`Headers::from_bytes`].
    pub fn as_bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// Headers from a buffer that [`Headers::as_bytes`] gave; `None` when it is not one.
    pub fn from_bytes(buffer: &[u8]) -> Option<Self> {
        let mut headers = Self::with_capacity(0, buffer.len());
        let mut rest = buffer;
        while let Some((lengths, tail)) = rest.split_first_chunk::<LENGTHS>() {
            let [a, b, c, d, e, f, g, h] = *lengths;
            let value_length = u32::from_le_bytes([e, f, g, h]);
            let (name, tail) = tail.split_at_checked(u32::from_le_bytes([a, b, c, d]) as usize)?;
            let (value, tail) = tail.split_at_checked(if value_length == NULL { 0 } else { value_length as usize })?;
            headers.push(std::str::from_utf8(name).ok()?, (value_length != NULL).then_some(value));
            rest = tail;
        }
        rest.is_empty().then_some(headers)
    }

    fn raw(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        let mut rest = self.buffer.as_slice();
        std::iter::from_fn(move || {
            let (lengths, tail) = rest.split_first_chunk::<LENGTHS>()?;
            let [a, b, c, d, e, f, g, h] = *lengths;
            let value_length = u32::from_le_bytes([e, f, g, h]);
            let (name, tail) = tail.split_at(u32::from_le_bytes([a, b, c, d]) as usize);
            let (value, tail) = tail.split_at(if value_length == NULL { 0 } else { value_length as usize });
            rest = tail;
            Some((name, (value_length != NULL).then_some(value)))
        })
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: Option<&[u8]>| value.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        f.debug_map().entries(self.iter().map(|(name, value)| (name, text(value)))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_keep_order_repeats_and_nulls() {
        let mut headers = Headers::default();
        headers.push("a", Some(b"1"));
        headers.push("b", None);
        headers.push("a", Some(b""));
        let all: Vec<_> = headers.iter().collect();
        assert_eq!(all, [("a", Some(b"1".as_slice())), ("b", None), ("a", Some(b"".as_slice()))]);
        assert_eq!((headers.len(), headers.is_empty()), (3, false));
    }

    #[test]
    fn headers_survive_being_kept_as_bytes() {
        let mut headers = Headers::default();
        headers.push("a", Some(&[0, 0xff]));
        headers.push("", None);
        let kept = headers.as_bytes().to_vec();
        assert_eq!(Headers::from_bytes(&kept), Some(headers));
        assert_eq!(Headers::from_bytes(&[]), Some(Headers::default()));
        for cut in 1..kept.len() {
            assert_ne!(Headers::from_bytes(&kept[..cut]).map_or(0, |headers| headers.len()), 2, "cut at {cut}");
        }
    }

    #[test]
    fn the_last_header_of_a_name_wins() {
        let mut headers = Headers::with_capacity(3, 8);
        headers.push("a", Some(b"1"));
        headers.push("a", Some(b"2"));
        assert_eq!(headers.get_str("a"), Some("2"));
        headers.push("a", None);
        assert_eq!(headers.get("a"), None);
        assert_eq!(headers.get("missing"), None);
    }

    #[test]
    fn bytes_that_are_not_text_are_no_text() {
        let mut headers = Headers::default();
        headers.push("a", Some(&[0xff]));
        assert_eq!(headers.get_str("a"), None);
        assert_eq!(headers.get("a"), Some([0xff].as_slice()));
    }
}
