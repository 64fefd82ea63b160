//! One client's connection through the proxy: two pumps, and what is owed to which response.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::frame::{self, FRAME_BYTES_MAX, LENGTH_BYTES, Request};
use super::rule::{Act, Standing};
use super::stray::Stray;

/// What is to happen with a response when it comes.
#[derive(Debug, Clone, Copy)]
enum Owed {
    Nothing,
    Cut,
    /// The request was sent twice: the first answer passes.
    Once,
}

/// One connection.
struct Link {
    shared: Arc<Shared>,
    broker: u16,
    owed: Mutex<HashMap<i32, Owed>>,
    cut: Arc<CancellationToken>,
}

/// Carries requests and responses until a side closes, a rule cuts, or the proxy ends.
pub(super) async fn carry(shared: Arc<Shared>, client: TcpStream, broker: u16) -> io::Result<()> {
    let upstream = TcpStream::connect(("127.0.0.1", broker)).await?;
    client.set_nodelay(true)?;
    upstream.set_nodelay(true)?;
    let cut = Arc::new(shared.cut_all.child_token());
    let link = Link { shared, broker, owed: Mutex::default(), cut: Arc::clone(&cut) };
    let (from_client, to_client) = client.into_split();
    let (from_broker, to_broker) = upstream.into_split();
    tokio::select! {
        ended = link.requests(from_client, to_broker) => ended,
        ended = link.responses(from_broker, to_client) => ended,
        () = cut.cancelled() => Ok(()),
    }
}

impl Link {
    async fn requests(&self, mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> io::Result<()> {
        while let Some(frame) = read_frame(&mut from).await? {
            let Some(request) = Request::parse(&frame) else { return Err(io::ErrorKind::InvalidData.into()) };
            self.shared.count(request.api);
            let Some((rule, act)) = self.shared.judge(&request) else {
                to.write_all(&frame).await?;
                continue;
            };
            for _ in 0..self.copies(request, act, &rule, &frame).await {
                to.write_all(&frame).await?;
            }
        }
        Ok(())
    }

    /// How often the request goes on, when it does.
    async fn copies(&self, request: Request, act: Act, rule: &Standing, frame: &Bytes) -> usize {
        match act {
            Act::Hold => {
                let (pass, passed) = oneshot::channel();
                rule.hold(self.stray(request, frame, pass));
                usize::from(passed.await.is_ok())
            }
            Act::Steal => {
                let (pass, _) = oneshot::channel();
                rule.hold(self.stray(request, frame, pass));
                0
            }
            Act::Pass => 1,
            Act::DropRequest => 0,
            Act::DropResponse => self.owe(request.correlation, Owed::Nothing),
            Act::CutOnResponse => self.owe(request.correlation, Owed::Cut),
            Act::Cut => {
                self.cut.cancel();
                0
            }
            Act::Duplicate => self.owe(request.correlation, Owed::Once) + 1,
            Act::Delay(time) => {
                tokio::time::sleep(time).await;
                1
            }
        }
    }

    fn owe(&self, correlation: i32, owed: Owed) -> usize {
        self.owed.lock().expect("nobody panics with it").insert(correlation, owed);
        1
    }

    fn stray(&self, request: Request, frame: &Bytes, pass: oneshot::Sender<()>) -> Stray {
        let (frame, link) = (frame.clone(), Arc::clone(&self.cut));
        Stray { request, frame, broker: self.broker, link, pass: Some(pass) }
    }

    async fn responses(&self, mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> io::Result<()> {
        while let Some(frame) = read_frame(&mut from).await? {
            let correlation = frame::correlation(&frame).ok_or(io::ErrorKind::InvalidData)?;
            let owed = self.owed.lock().expect("nobody panics with it").remove(&correlation);
            match owed {
                None => to.write_all(&frame).await?,
                Some(Owed::Nothing) => {}
                Some(Owed::Cut) => return Ok(()),
                Some(Owed::Once) => {
                    self.owe(correlation, Owed::Nothing);
                    to.write_all(&frame).await?;
                }
            }
        }
        Ok(())
    }
}

/// A whole frame with its length, or `None` at the end.
pub(super) async fn read_frame(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Bytes>> {
    let mut length = [0; LENGTH_BYTES];
    match from.read_exact(&mut length).await {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let bytes = usize::try_from(u32::from_be_bytes(length)).expect("a u32 fits");
    if bytes > FRAME_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut frame = vec![0; LENGTH_BYTES + bytes];
    frame[..LENGTH_BYTES].copy_from_slice(&length);
    from.read_exact(&mut frame[LENGTH_BYTES..]).await?;
    Ok(Some(frame.into()))
}
