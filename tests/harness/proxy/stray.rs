//! A request that is held: it can go on, be forgotten, or come in late on another connection when its own is gone.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::connection::read_frame;
use super::frame::Request;

/// A held request. Dropping it forgets it, and its connection goes on without it.
#[derive(Debug)]
pub struct Stray {
    /// What it says of itself.
    pub request: Request,
    pub(super) frame: Bytes,
    pub(super) broker: u16,
    pub(super) link: Arc<CancellationToken>,
    pub(super) pass: Option<oneshot::Sender<()>>,
}

impl Stray {
    /// Lets it go on where it waits.
    pub fn pass(mut self) {
        if let Some(pass) = self.pass.take() {
            // An error means that the connection is gone, and the request with it.
            let _ = pass.send(());
        }
    }

    /// Cuts the connection it came on: the client will send it again. This one stays in the network.
    pub fn cut(&self) {
        self.link.cancel();
    }

    /// Lets it arrive at the broker now, on a connection of its own, and returns the error code of the answer.
    ///
    /// # Panics
    /// When the broker does not answer.
    pub async fn arrive(&self) -> i16 {
        let response = self.send().await.expect("the broker answers");
        self.request.error_code(&response).expect("the answer has an error code")
    }

    async fn send(&self) -> io::Result<Bytes> {
        let mut broker = TcpStream::connect(("127.0.0.1", self.broker)).await?;
        broker.set_nodelay(true)?;
        broker.write_all(&self.frame).await?;
        read_frame(&mut broker).await?.ok_or(io::ErrorKind::UnexpectedEof.into())
    }
}
