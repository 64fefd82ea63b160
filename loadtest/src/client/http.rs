//! A lean HTTP client: one kept-alive connection, nothing but hyper's HTTP/1, so that little of what is measured is ours.

use std::net::SocketAddr;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use spina_core::Token;
use spina_testkit::history::{Outcome, Place};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::Client;
use crate::script::Script;

/// See the [module](self).
pub struct HttpClient {
    requests: SendRequest<Full<Bytes>>,
    host: HeaderValue,
    /// Moves the connection's bytes; ends with the client.
    _connection: JoinSet<hyper::Result<()>>,
}

/// The part of an append's answer that matters here.
#[derive(Debug, Deserialize)]
struct Appended {
    version: u64,
    token: String,
}

impl HttpClient {
    /// Connects.
    pub async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("connect to {address}"))?;
        stream.set_nodelay(true).context("switch off Nagle's algorithm")?;
        let (requests, connection) = handshake(TokioIo::new(stream)).await.context("begin to speak HTTP")?;
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        let host = HeaderValue::from_str(&address.to_string()).context("name the host")?;
        Ok(Self { requests, host, _connection: driver })
    }

    /// As many clients.
    pub async fn connect_many(address: SocketAddr, count: u16) -> anyhow::Result<Vec<Self>> {
        futures::future::try_join_all((0..count).map(|_| Self::connect(address))).await
    }

    /// Sends a request and returns as soon as the answer begins.
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        content_type: &'static str,
        body: Bytes,
    ) -> anyhow::Result<Response<Incoming>> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.host.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static(content_type))
            .body(Full::new(body))
            .context("form a request")?;
        self.requests.ready().await.context("use the connection")?;
        self.requests.send_request(request).await.context("send a request")
    }

    /// Posts JSON and waits for the whole answer; its status.
    pub async fn post(&mut self, path: &str, body: Bytes) -> anyhow::Result<StatusCode> {
        Self::drain(self.send(Method::POST, path, "application/json", body).await?).await
    }

    /// Reads an answer to its end; its status.
    pub async fn drain(answer: Response<Incoming>) -> anyhow::Result<StatusCode> {
        let status = answer.status();
        answer.into_body().collect().await.context("read an answer")?;
        Ok(status)
    }

    /// Gets a page, whatever its status.
    pub async fn get(&mut self, path: &str) -> anyhow::Result<(StatusCode, Bytes)> {
        self.ask(Method::GET, path, Bytes::new()).await
    }

    /// Sends JSON and reads the whole answer, whatever its status.
    pub async fn ask(&mut self, method: Method, path: &str, body: Bytes) -> anyhow::Result<(StatusCode, Bytes)> {
        let answer = self.send(method, path, "application/json", body).await?;
        let status = answer.status();
        Ok((status, answer.into_body().collect().await.context("read an answer")?.to_bytes()))
    }
}

impl Client for HttpClient {
    async fn append(&mut self, script: &Script, n: u64) -> anyhow::Result<Outcome> {
        let (path, body) = script.append(n);
        let answer = self.send(Method::POST, &path, "application/json", body).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await.context("read an answer")?.to_bytes();
        match status {
            StatusCode::CREATED => {
                let appended: Appended = serde_json::from_slice(&body).context("read an append's answer")?;
                place(&appended).map(Some).map(Outcome::Ok)
            }
            StatusCode::GATEWAY_TIMEOUT => Ok(Outcome::Unknown),
            StatusCode::CONFLICT => Ok(Outcome::Conflict),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Ok(Outcome::Failed),
            status => anyhow::bail!("{path} answered {status}: {}", String::from_utf8_lossy(&body)),
        }
    }
}

/// Every append here has one event.
fn place(appended: &Appended) -> anyhow::Result<Place> {
    let token: Token = appended.token.parse()?;
    let (partition, offset) = token.offsets().next().context("find a place in an append's token")?;
    Ok(Place { first: appended.version, last: appended.version, partition, offset })
}
