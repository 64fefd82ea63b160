//! What was sent and not confirmed yet, so that it can be sent again.
//!
//! ```text
//!   input -> lines -> [ confirmed | retained, some of it sent | not read yet ]
//!                                 ^ confirm(line) moves this    ^ next_from(line) moves this
//! ```
//!
//! It works alike for files and pipes: nothing is read twice. Memory is bounded: when much is unconfirmed, reading waits.

use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc};

use super::lines::Chunk;

/// Most bytes that wait for confirmation: some 180,000 flight events, several seconds of import.
const RETAINED_BYTES_MAX: usize = 64 << 20;

/// Lines between the input and the event-store's confirmation.
pub struct Backlog {
    input: tokio::sync::Mutex<mpsc::Receiver<io::Result<Chunk>>>,
    kept: Mutex<Kept>,
    confirmed: Notify,
}

#[derive(Default)]
struct Kept {
    retained: VecDeque<Chunk>,
    bytes: usize,
    confirmed: u64,
    failure: Option<io::Error>,
}

impl Backlog {
    /// A backlog over an input of which nothing was read.
    pub fn new(input: mpsc::Receiver<io::Result<Chunk>>) -> Self {
        Self { input: tokio::sync::Mutex::new(input), kept: Mutex::default(), confirmed: Notify::new() }
    }

    /// The lines from number `line` on, as many as come in one piece; `None` at the end of the input.
    ///
    /// Waits while too much is unconfirmed. May be dropped while it waits. Fails once if the input could not be read; why
    /// is told by [`Backlog::failure`].
    pub async fn next_from(&self, line: u64) -> io::Result<Option<Chunk>> {
        loop {
            let confirmed = self.confirmed.notified();
            if let Some(chunk) = self.kept().find(line) {
                return Ok(Some(chunk));
            }
            if self.kept().bytes >= RETAINED_BYTES_MAX {
                confirmed.await;
                continue;
            }
            match self.input.lock().await.recv().await {
                None => return Ok(None),
                Some(Ok(chunk)) => self.kept().keep(chunk),
                Some(Err(error)) => {
                    let told = io::Error::new(error.kind(), error.to_string());
                    self.kept().failure = Some(error);
                    return Err(told);
                }
            }
        }
    }

    /// Notes that all lines up to number `line` need not be sent again.
    pub fn confirm(&self, line: u64) {
        self.kept().confirm(line);
        self.confirmed.notify_waiters();
    }

    /// Number of the last line confirmed.
    pub fn confirmed(&self) -> u64 {
        self.kept().confirmed
    }

    /// Whether lines were sent that wait for confirmation.
    pub fn is_waiting(&self) -> bool {
        !self.kept().retained.is_empty()
    }

    /// Why the input could not be read, if so.
    pub fn failure(&self) -> Option<io::Error> {
        self.kept().failure.take()
    }

    /// Nothing under the lock can panic half-way, so a poisoned lock is sound.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn keep(&mut self, chunk: Chunk) {
        self.bytes += chunk.bytes.len();
        self.retained.push_back(chunk);
    }

    fn find(&self, line: u64) -> Option<Chunk> {
        let index = self.retained.partition_point(|chunk| chunk.next() <= line);
        self.retained.get(index)?.rest_from(line)
    }

    fn confirm(&mut self, line: u64) {
        self.confirmed = self.confirmed.max(line);
        while let Some(chunk) = self.retained.front() {
            if chunk.next() > self.confirmed + 1 {
                return;
            }
            self.bytes -= chunk.bytes.len();
            self.retained.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::import::lines;

    async fn text_from(backlog: &Backlog, mut line: u64) -> String {
        let mut text = Vec::new();
        while let Some(chunk) = backlog.next_from(line).await.unwrap() {
            assert_eq!(chunk.first, line);
            line = chunk.next();
            text.extend_from_slice(&chunk.bytes);
        }
        String::from_utf8(text).unwrap()
    }

    #[tokio::test]
    async fn what_was_not_confirmed_is_sent_again() {
        let backlog = Backlog::new(lines::spawn(io::Cursor::new("1\n2\n3\n4\n")).unwrap());
        assert_eq!(text_from(&backlog, 1).await, "1\n2\n3\n4\n");
        backlog.confirm(2);
        assert!(backlog.is_waiting());
        assert_eq!(text_from(&backlog, backlog.confirmed() + 1).await, "3\n4\n");
        backlog.confirm(4);
        assert_eq!((backlog.confirmed(), backlog.is_waiting()), (4, false));
        assert_eq!(text_from(&backlog, 5).await, "");
    }

    #[tokio::test]
    async fn much_unconfirmed_input_makes_reading_wait() {
        let line = format!("{}\n", "x".repeat(1 << 20));
        let text = line.repeat(2 * RETAINED_BYTES_MAX / line.len());
        let backlog = Arc::new(Backlog::new(lines::spawn(io::Cursor::new(text)).unwrap()));
        let mut next = 1;
        while !backlog.kept().bytes.ge(&RETAINED_BYTES_MAX) {
            next = backlog.next_from(next).await.unwrap().unwrap().next();
        }
        let mut waiting = Box::pin(backlog.next_from(next));
        assert!(futures::poll!(&mut waiting).is_pending());
        backlog.confirm(1);
        assert_eq!(waiting.await.unwrap().unwrap().first, next);
    }

    #[tokio::test]
    async fn an_input_that_cannot_be_read_is_not_an_end() {
        let (sender, receiver) = mpsc::channel(1);
        sender.send(Err(io::Error::other("disk"))).await.unwrap();
        let backlog = Backlog::new(receiver);
        assert!(backlog.next_from(1).await.is_err());
        assert_eq!(backlog.failure().unwrap().to_string(), "disk");
    }
}
