//! A target of sagas' calls: it takes notices, fails now and then, and knows each by its idempotency key.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Every so many calls one fails, before or after it took effect.
const FAILS_EVERY: usize = 7;
/// How often each key fails below `/failing` before it is taken.
pub const FAILURES: usize = 100;
/// How often it is looked whether an answer may go out.
const LOOK: Duration = Duration::from_millis(20);

/// See the [module](self). Serves until the test's process ends.
#[derive(Debug, Clone)]
pub struct Notices {
    address: String,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    calls: usize,
    down: bool,
    hung_up: usize,
    hangs: bool,
    /// How often each key came.
    keys: BTreeMap<String, usize>,
    accepted: BTreeSet<String>,
    /// Where it is said later how a call went on, by key.
    later: BTreeMap<String, String>,
}

impl Notices {
    /// Listens on a free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let notices = Self { address: listener.local_addr().unwrap().to_string(), seen: Arc::default() };
        let served = notices.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let served = served.clone();
                // A caller that was killed has hung up.
                thread::spawn(move || served.answer(stream).ok());
            }
        });
        notices
    }

    /// Where it listens: notices are taken below `/notices`, and refused for good below `/refused`.
    pub fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// As if it were killed: nobody gets an answer, until it is started again. What it took it still knows then.
    pub fn hang_up(&self, down: bool) {
        self.seen.lock().unwrap().down = down;
    }

    /// Below `/hanging` notices are taken and not answered, until they may be.
    pub fn hang(&self, hangs: bool) {
        self.seen.lock().unwrap().hangs = hangs;
    }

    /// How often a key came.
    pub fn calls_of(&self, key: &str) -> usize {
        self.seen.lock().unwrap().keys.get(key).copied().unwrap_or(0)
    }

    /// How many were not answered because it was down.
    pub fn hung_up(&self) -> usize {
        self.seen.lock().unwrap().hung_up
    }

    /// The keys of all notices that took effect.
    pub fn accepted(&self) -> BTreeSet<String> {
        self.seen.lock().unwrap().accepted.clone()
    }

    /// Where to say later how a call went on that was taken below `/later`.
    pub fn callback_of(&self, key: &str) -> Option<String> {
        self.seen.lock().unwrap().later.get(key).cloned()
    }

    fn answer(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let (mut first, mut key, mut callback, mut length) = (String::new(), String::new(), String::new(), 0);
        reader.read_line(&mut first)?;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim().split_once(':') else { break };
            match name.to_ascii_lowercase().as_str() {
                "idempotency-key" => value.trim().clone_into(&mut key),
                "spina-callback" => value.trim().clone_into(&mut callback),
                "content-length" => length = value.trim().parse().unwrap_or(0),
                _ => {}
            }
        }
        reader.read_exact(&mut vec![0; length])?;
        if key.is_empty() {
            // The caller was killed before it had said what it wants.
            return Ok(());
        }
        {
            let mut seen = self.seen.lock().unwrap();
            if seen.down {
                seen.hung_up += 1;
                return Ok(());
            }
        }
        let status = match first.split(' ').nth(1).unwrap_or_default() {
            "/refused" => "410 Gone",
            "/failing" => self.fail_at_first(&key),
            "/hanging" => self.keep_waiting(&key),
            "/later" => self.take_for_later(&key, callback),
            _ => self.judge(&key),
        };
        let mut stream = stream;
        write!(
            stream,
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}"
        )
    }

    fn fail_at_first(&self, key: &str) -> &'static str {
        let mut seen = self.seen.lock().unwrap();
        let calls = seen.keys.entry(key.to_owned()).or_default();
        *calls += 1;
        if *calls <= FAILURES {
            return "503 Service Unavailable";
        }
        seen.accepted.insert(key.to_owned());
        "200 OK"
    }

    fn take_for_later(&self, key: &str, callback: String) -> &'static str {
        let mut seen = self.seen.lock().unwrap();
        *seen.keys.entry(key.to_owned()).or_default() += 1;
        seen.later.insert(key.to_owned(), callback);
        "202 Accepted"
    }

    fn keep_waiting(&self, key: &str) -> &'static str {
        let mut seen = self.seen.lock().unwrap();
        *seen.keys.entry(key.to_owned()).or_default() += 1;
        seen.accepted.insert(key.to_owned());
        while seen.hangs {
            drop(seen);
            thread::sleep(LOOK);
            seen = self.seen.lock().unwrap();
        }
        "200 OK"
    }

    fn judge(&self, key: &str) -> &'static str {
        let mut seen = self.seen.lock().unwrap();
        seen.calls += 1;
        let calls = seen.calls;
        *seen.keys.entry(key.to_owned()).or_default() += 1;
        if calls.is_multiple_of(FAILS_EVERY) {
            return "503 Service Unavailable";
        }
        seen.accepted.insert(key.to_owned());
        // Done, and the answer says otherwise.
        if calls % FAILS_EVERY == 3 { "500 Internal Server Error" } else { "200 OK" }
    }
}
