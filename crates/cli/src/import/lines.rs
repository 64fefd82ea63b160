//! The input as chunks of whole lines, read on a thread of its own.

use std::io::{self, BufRead, BufReader, Read};
use std::thread;

use bytes::Bytes;
use tokio::sync::mpsc;

/// A chunk is sent once it holds this much.
const CHUNK_BYTES: usize = 64 << 10;
/// Longest line; the event-store's own limit for an event is far lower.
const LINE_BYTES_MAX: u64 = 8 << 20;
/// Chunks read ahead.
const AHEAD_MAX: usize = 4;

/// Some whole lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Number of its first line, from 1.
    pub first: u64,
    /// How many lines it has.
    pub lines: u64,
    /// The lines, each with its line feed.
    pub bytes: Bytes,
}

impl Chunk {
    /// Number of the line after its last.
    pub fn next(&self) -> u64 {
        self.first + self.lines
    }

    /// What remains of it from line `line` on; nothing if the chunk ends before it.
    pub fn rest_from(&self, line: u64) -> Option<Self> {
        if line >= self.next() {
            return None;
        }
        let skipped = line.saturating_sub(self.first);
        let ends = || self.bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(index, _)| index + 1);
        let start = if skipped == 0 { 0 } else { ends().nth(skipped as usize - 1)? };
        Some(Self { first: self.first + skipped, lines: self.lines - skipped, bytes: self.bytes.slice(start..) })
    }
}

/// Reads until the end of the input, an error, or nobody listens any more.
pub fn spawn(input: impl Read + Send + 'static) -> io::Result<mpsc::Receiver<io::Result<Chunk>>> {
    let (sender, receiver) = mpsc::channel(AHEAD_MAX);
    thread::Builder::new().name("import-lines".to_owned()).spawn(move || {
        let mut input = BufReader::with_capacity(CHUNK_BYTES, input);
        let mut first = 1;
        loop {
            let chunk = match read_chunk(&mut input, first) {
                Ok(None) => return,
                Ok(Some(chunk)) => Ok(chunk),
                Err(error) => Err(error),
            };
            first = chunk.as_ref().map_or(first, Chunk::next);
            let failed = chunk.is_err();
            if sender.blocking_send(chunk).is_err() || failed {
                return;
            }
        }
    })?;
    Ok(receiver)
}

/// The next lines: as many as the reader has without waiting, up to the size of a chunk.
fn read_chunk(input: &mut BufReader<impl Read>, first: u64) -> io::Result<Option<Chunk>> {
    let mut bytes = Vec::with_capacity(CHUNK_BYTES + 1024);
    let mut lines = 0;
    loop {
        let read = input.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes)?;
        if read == 0 {
            break;
        }
        lines += 1;
        if bytes.last() != Some(&b'\n') {
            if read as u64 == LINE_BYTES_MAX {
                let message = format!("line {} is longer than {LINE_BYTES_MAX} bytes", first + lines - 1);
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
            bytes.push(b'\n');
        }
        if bytes.len() >= CHUNK_BYTES || input.buffer().is_empty() {
            break;
        }
    }
    Ok((lines > 0).then(|| Chunk { first, lines, bytes: bytes.into() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(text: &str) -> Vec<Chunk> {
        let mut receiver = spawn(io::Cursor::new(text.to_owned())).unwrap();
        std::iter::from_fn(|| receiver.blocking_recv().map(Result::unwrap)).collect()
    }

    #[test]
    fn lines_are_numbered_and_none_is_lost() {
        let text: String = (1..=50_000).map(|number| format!("{{\"n\":{number}}}\n")).collect();
        let chunks = chunks(&text);
        assert!(chunks.len() > 1);
        assert!(chunks.windows(2).all(|pair| pair[0].next() == pair[1].first));
        assert_eq!(chunks.last().unwrap().next(), 50_001);
        let together: Vec<u8> = chunks.iter().flat_map(|chunk| chunk.bytes.to_vec()).collect();
        assert_eq!(together, text.as_bytes());
    }

    #[test]
    fn the_last_line_may_lack_its_line_feed() {
        let chunks = chunks("a\n\nb");
        assert_eq!(chunks, [Chunk { first: 1, lines: 3, bytes: "a\n\nb\n".into() }]);
    }

    #[test]
    fn a_chunk_is_cut_at_a_line() {
        let chunk = Chunk { first: 11, lines: 3, bytes: "a\nbb\nc\n".into() };
        assert_eq!(chunk.rest_from(5), Some(chunk.clone()));
        assert_eq!(chunk.rest_from(11), Some(chunk.clone()));
        assert_eq!(chunk.rest_from(13), Some(Chunk { first: 13, lines: 1, bytes: "c\n".into() }));
        assert_eq!(chunk.rest_from(14), None);
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut receiver = spawn(io::repeat(b'x')).unwrap();
        let error = receiver.blocking_recv().unwrap().unwrap_err();
        assert_eq!(error.to_string(), format!("line 1 is longer than {LINE_BYTES_MAX} bytes"));
    }
}
