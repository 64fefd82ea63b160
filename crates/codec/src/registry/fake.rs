//! A registry for tests: an HTTP server on a free port that answers from a function.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Starts a server and gives its base URL. `answer` gets `"GET /path"` and the body, and gives status and body.
#[expect(clippy::disallowed_methods, reason = "the server ends with the test's runtime")]
pub(crate) async fn serve(answer: impl Fn(&str, &str) -> (u16, String) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/apis/ccompat/v7", listener.local_addr().unwrap());
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = Arc::clone(&answer);
            tokio::spawn(async move { exchange(stream, answer.as_ref()).await });
        }
    });
    base
}

async fn exchange(mut stream: TcpStream, answer: &(impl Fn(&str, &str) -> (u16, String) + Send + Sync)) {
    let mut request = Vec::new();
    let (head, body) = loop {
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk).await.unwrap();
        request.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8(request.clone()).unwrap();
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && body.len() >= content_length(head)
        {
            break (head.to_owned(), body.to_owned());
        }
        assert!(count > 0, "the client sends whole requests");
    };
    let line: Vec<&str> = head.lines().next().unwrap().split(' ').collect();
    let path = line[1].strip_prefix("/apis/ccompat/v7").unwrap();
    let (status, body) = answer(&format!("{} {path}", line[0]), &format!("{head}\n\n{body}"));
    let length = body.len();
    let answer = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
    stream.write_all(answer.as_bytes()).await.ok();
}

fn content_length(head: &str) -> usize {
    let length = |line: &str| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok();
    head.lines().find_map(length).unwrap_or(0)
}
