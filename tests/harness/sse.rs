//! A client of server-sent events, as far as browsers and `curl -N` have one.

use futures::StreamExt;
use reqwest::Client;
use serde_json::Value;

use crate::PATIENCE;

/// One connection.
pub struct Sse {
    bytes: futures::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    received: Vec<u8>,
    last_id: Option<String>,
}

/// A message with data.
#[derive(Debug, Clone)]
pub struct Message {
    /// Where to go on after it.
    pub id: String,
    /// Name of the event.
    pub name: String,
    /// The event.
    pub data: Value,
}

impl Sse {
    /// Connects; with the id of the last message that an earlier connection had, if there was one.
    pub async fn connect(url: &str, last_id: Option<&str>) -> Self {
        Self::connect_by(&Client::builder().no_proxy().build().unwrap(), url, last_id).await
    }

    /// The same by a client that has other connections, too.
    pub async fn connect_by(client: &Client, url: &str, last_id: Option<&str>) -> Self {
        let mut request = client.get(url).header("accept", "text/event-stream");
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200, "{url}");
        let bytes = response.bytes_stream().boxed();
        Self { bytes, received: Vec::new(), last_id: last_id.map(str::to_owned) }
    }

    /// The id to come back with: of the last message seen, with data or without.
    pub fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// Waits for the first message, which says where the subscription stands.
    pub async fn begun(&mut self) {
        let block = self.block().await;
        assert!(self.message(&block).is_none() && self.last_id.is_some(), "{block}");
    }

    /// The next message with data.
    pub async fn next(&mut self) -> Message {
        loop {
            let block = self.block().await;
            if let Some(message) = self.message(&block) {
                return message;
            }
        }
    }

    /// Whether the next thing said has no data: only that the place has moved.
    pub async fn is_silent(&mut self) -> bool {
        let block = self.block().await;
        self.message(&block).is_none()
    }

    /// What stands before the next empty line.
    async fn block(&mut self) -> String {
        loop {
            if let Some(end) = self.received.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = self.received.drain(..end + 2).collect();
                return String::from_utf8(block).unwrap();
            }
            let part = tokio::time::timeout(PATIENCE, self.bytes.next()).await.expect("there is a sign of life");
            self.received.extend_from_slice(&part.expect("the server does not end it").unwrap());
        }
    }

    fn message(&mut self, block: &str) -> Option<Message> {
        let field = |name: &str| {
            block
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
                .map(|value| value.trim().to_owned())
        };
        if let Some(id) = field("id") {
            self.last_id = Some(id);
        }
        let data = serde_json::from_str(&field("data")?).unwrap();
        let id = self.last_id.clone().expect("a message has an id");
        Some(Message { id, name: field("event").unwrap_or_default(), data })
    }
}
