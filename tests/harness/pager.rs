//! A receiver of notifications: it keeps what it took, and can be out of reach.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

/// A notification as it came.
#[derive(Debug, Clone)]
pub struct Page {
    /// Its idempotency key.
    pub key: String,
    /// Its body.
    pub body: Value,
}

#[derive(Debug, Default)]
struct Seen {
    answers: AtomicBool,
    failed: AtomicUsize,
    taken: Mutex<Vec<Page>>,
}

/// See the [module](self). Serves until the test's process ends.
#[derive(Debug, Clone)]
pub struct Pager {
    address: String,
    seen: Arc<Seen>,
}

impl Pager {
    /// Listens on a free port, and fails until it is told to answer.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let pager = Self { address: listener.local_addr().unwrap().to_string(), seen: Arc::default() };
        let served = pager.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let served = served.clone();
                // A caller that was killed has hung up.
                thread::spawn(move || served.serve(&stream).ok());
            }
        });
        pager
    }

    /// Where it takes notifications.
    pub fn url(&self) -> String {
        format!("http://{}/page", self.address)
    }

    /// Where it refuses them for good.
    pub fn refusing(&self) -> String {
        format!("http://{}/refused", self.address)
    }

    /// Whether it takes notifications from now on.
    pub fn answer(&self, answers: bool) {
        self.seen.answers.store(answers, Ordering::SeqCst);
    }

    /// How often it failed.
    pub fn failed(&self) -> usize {
        self.seen.failed.load(Ordering::SeqCst)
    }

    /// What it took, in order.
    pub fn taken(&self) -> Vec<Page> {
        self.seen.taken.lock().unwrap().clone()
    }

    /// Answers what comes on one connection until the caller is done with it.
    fn serve(&self, stream: &TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut stream = stream;
        loop {
            let (mut first, mut key, mut length) = (String::new(), String::new(), 0);
            if reader.read_line(&mut first)? == 0 {
                return Ok(());
            }
            loop {
                let mut line = String::new();
                reader.read_line(&mut line)?;
                let Some((name, value)) = line.trim().split_once(':') else { break };
                match name.to_ascii_lowercase().as_str() {
                    "idempotency-key" => value.trim().clone_into(&mut key),
                    "content-length" => length = value.trim().parse().unwrap_or(0),
                    _ => {}
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body)?;
            let status = if first.contains("/refused") {
                "410 Gone"
            } else if self.seen.answers.load(Ordering::SeqCst) {
                let body = serde_json::from_slice(&body).unwrap_or_default();
                self.seen.taken.lock().unwrap().push(Page { key, body });
                "200 OK"
            } else {
                self.seen.failed.fetch_add(1, Ordering::SeqCst);
                "503 Service Unavailable"
            };
            write!(stream, "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}")?;
        }
    }
}
