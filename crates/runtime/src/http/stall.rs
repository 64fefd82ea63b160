//! Cutting off clients that take nothing.
//!
//! A client that does not read its response keeps a connection, and what the response holds, for as long as it likes. Its
//! socket fills; from then on it has to take something within the limit, or the connection ends. A client that has nothing
//! to read is not meant: nothing waits for it.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// What happens to clients that take nothing.
#[derive(Debug, Clone)]
pub struct StallLimit {
    /// Longest wait for a client to take anything.
    pub limit: Duration,
    /// Clients cut off.
    pub cut_off: Counter,
}

/// A connection that fails when its peer takes nothing for too long.
#[derive(Debug)]
pub(super) struct Unstalled<S> {
    stream: S,
    limit: StallLimit,
    /// Since when the peer takes nothing, as the time when it is too long.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Unstalled<S> {
    pub(super) fn new(stream: S, limit: StallLimit) -> Self {
        Self { stream, limit, stalled: None }
    }
}

impl<S: AsyncWrite + Unpin> Unstalled<S> {
    fn watch(&mut self, cx: &mut Context<'_>, written: Poll<Result<usize>>) -> Poll<Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let limit = self.limit.limit;
        ready!(self.stalled.get_or_insert_with(|| Box::pin(sleep(limit))).as_mut().poll(cx));
        self.limit.cut_off.inc();
        tracing::info!("a client took nothing for {} s and was cut off", limit.as_secs_f64());
        Poll::Ready(Err(Error::new(ErrorKind::TimedOut, "the client takes nothing")))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Unstalled<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Unstalled<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    fn pair() -> (Unstalled<tokio::io::DuplexStream>, tokio::io::DuplexStream, Counter) {
        let (ours, theirs) = duplex(8);
        let cut_off = Counter::default();
        (Unstalled::new(ours, StallLimit { limit: LIMIT, cut_off: cut_off.clone() }), theirs, cut_off)
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_cut_off() {
        let (mut ours, _theirs, cut_off) = pair();
        let error = ours.write_all(&[0; 100]).await.unwrap_err();
        assert_eq!((error.kind(), cut_off.get()), (ErrorKind::TimedOut, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_client_is_not() {
        let (mut ours, mut theirs, cut_off) = pair();
        let slow = async {
            for _ in 0..10 {
                sleep(LIMIT / 2).await;
                theirs.read_exact(&mut [0; 8]).await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(ours.write_all(&[0; 80]), slow);
        written.unwrap();
        assert_eq!(cut_off.get(), 0);
    }
}
