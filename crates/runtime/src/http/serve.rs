//! Taking connections, with limits against clients that hold them without using them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::stall::{StallLimit, Unstalled};

/// Longest wait for the whole header of a request; an idle connection is closed after it, too.
const HEADER_LIMIT: Duration = Duration::from_secs(30);

/// Largest header of a request in bytes.
const HEADER_BYTES_MAX: usize = 64 << 10;

/// Pause after a failed accept, which mostly means that the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1_024;

/// Bytes that the system keeps of what a client has not taken yet. By itself it would let them grow to megabytes, for
/// each of thousands of clients that do not read.
const SEND_BUFFER_BYTES: u32 = 256 << 10;

/// Listens on an address.
///
/// # Errors
/// If the system refuses: mostly because somebody else listens there.
pub fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    // Accepted connections have what their listener has.
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves HTTP/1.1 until `draining` is cancelled; then takes no more connections, lets running requests end for at
/// most `grace`, and returns whether all of them did.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    connections_max: usize,
    stall: StallLimit,
    draining: CancellationToken,
    grace: Duration,
) -> bool {
    let connections = GracefulShutdown::new();
    let permits = Arc::new(Semaphore::new(connections_max));
    while let Some((stream, permit)) = draining.run_until_cancelled(accept(&listener, &permits)).await {
        let connection = talk(Unstalled::new(stream, stall.clone()), router.clone(), connections.watcher(), permit);
        #[expect(clippy::disallowed_methods, reason = "a connection that fails is its client's affair alone")]
        tokio::spawn(connection);
    }
    drop(listener);
    tokio::time::timeout(grace, connections.shutdown()).await.is_ok()
}

async fn accept(listener: &TcpListener, permits: &Arc<Semaphore>) -> (TcpStream, OwnedSemaphorePermit) {
    let permit = permits.clone().acquire_owned().await.expect("the semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok((stream, _peer)) => {
                // Answers are small and awaited: never hold them back to fill a packet.
                let _ = stream.set_nodelay(true);
                return (stream, permit);
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn talk(stream: Unstalled<TcpStream>, router: Router, watcher: Watcher, permit: OwnedSemaphorePermit) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_LIMIT)
        .max_header_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "connection ended early");
    }
    drop(permit);
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::Notify;

    use super::*;

    const GRACE: Duration = Duration::from_secs(5);

    fn stall() -> StallLimit {
        StallLimit { limit: GRACE, cut_off: prometheus_client::metrics::counter::Counter::default() }
    }

    async fn listen() -> (TcpListener, std::net::SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        (listener, address)
    }

    async fn ask(address: std::net::SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("the server listens");
        stream.write_all(request.as_bytes()).await.expect("the server reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("the answer is text");
        answer
    }

    #[tokio::test]
    async fn a_running_request_ends_before_the_server_does() {
        let (listener, address) = listen().await;
        let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (enter, left) = (entered.clone(), leave.clone());
        let route = get(async move || {
            enter.notify_one();
            left.notified().await;
            "done"
        });
        let draining = CancellationToken::new();
        let server = serve(listener, Router::new().route("/", route), 8, stall(), draining.clone(), GRACE);
        let client = ask(address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        let story = async {
            entered.notified().await;
            draining.cancel();
            leave.notify_one();
        };
        let (all_ended, answer, ()) = tokio::join!(server, client, story);
        assert!(all_ended);
        assert!(answer.ends_with("done"), "{answer}");
    }

    #[tokio::test]
    async fn a_request_that_never_ends_is_cut_off() {
        let (listener, address) = listen().await;
        let entered = Arc::new(Notify::new());
        let enter = entered.clone();
        let route = get(async move || {
            enter.notify_one();
            std::future::pending::<()>().await;
        });
        let draining = CancellationToken::new();
        let grace = Duration::from_millis(20);
        let server = serve(listener, Router::new().route("/", route), 8, stall(), draining.clone(), grace);
        let mut client = TcpStream::connect(address).await.expect("the server listens");
        client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("the server reads");
        let story = async {
            entered.notified().await;
            draining.cancel();
        };
        let (all_ended, ()) = tokio::join!(server, story);
        assert!(!all_ended);
    }
}
