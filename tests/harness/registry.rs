//! A proxy before the schema registry, which can be silent, gone or lie.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use reqwest::{Client, Method, Url};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::stack::Stack;

/// What the proxy does with requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    /// Passes them on.
    Passes,
    /// Takes them and does not answer as long as it is in this mood.
    Holds,
    /// Closes the connection.
    Refuses,
}

/// See the [module](self). Ends with the test's runtime.
#[derive(Debug)]
pub struct Registry {
    /// Its base URL, to be used instead of the registry's.
    pub url: String,
    real: String,
    mood: watch::Sender<Mood>,
    lies: Arc<Mutex<HashMap<String, Value>>>,
}

impl Registry {
    /// A proxy that passes everything on.
    #[expect(clippy::disallowed_methods, reason = "the proxy ends with the test's runtime")]
    pub async fn before(stack: &Stack) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut url: Url = stack.registry.parse().unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        let (mood, moods) = watch::channel(Mood::Passes);
        let lies: Arc<Mutex<HashMap<String, Value>>> = Arc::default();
        let told = Arc::clone(&lies);
        let origin: Url = stack.registry.parse().unwrap();
        let client = Client::builder().no_proxy().build().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let call = Call { origin: origin.clone(), client: client.clone(), lies: Arc::clone(&told) };
                let moods = moods.clone();
                tokio::spawn(async move { call.exchange(stream, moods).await });
            }
        });
        Self { url: url.to_string(), real: stack.registry.clone(), mood, lies }
    }

    /// Answers again.
    pub fn passes(&self) {
        self.mood.send_replace(Mood::Passes);
    }

    /// Takes requests and does not answer them from now on.
    pub fn holds(&self) {
        self.mood.send_replace(Mood::Holds);
    }

    /// Is not there from now on.
    pub fn refuses(&self) {
        self.mood.send_replace(Mood::Refuses);
    }

    /// Says from now on that the id stands for that schema.
    pub fn lies_about_id(&self, id: u32, schema: &Value) {
        self.lie(&format!("/schemas/ids/{id}"), json!({ "schema": schema.to_string() }));
    }

    /// Says from now on that the subject's latest schema is that one with that id.
    pub fn lies_about_latest(&self, subject: &str, id: u32, schema: &Value) {
        let answer = json!({ "subject": subject, "id": id, "version": 1, "schema": schema.to_string() });
        self.lie(&format!("/subjects/{subject}/versions/latest"), answer);
    }

    /// Says the truth again.
    pub fn is_honest(&self) {
        self.lies.lock().unwrap().clear();
    }

    fn lie(&self, path: &str, answer: Value) {
        self.lies.lock().unwrap().insert(path.to_owned(), answer);
    }

    /// The latest schema of a subject and its id, by the real registry.
    pub async fn latest(&self, subject: &str) -> (u32, Value) {
        let url = format!("{}/subjects/{subject}/versions/latest", self.real);
        let text = client().get(&url).send().await.unwrap().text().await.unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap();
        let id = answer["id"].as_u64().unwrap_or_else(|| panic!("{url}: {answer}"));
        (u32::try_from(id).unwrap(), serde_json::from_str(answer["schema"].as_str().unwrap()).unwrap())
    }

    /// Registers a schema with the real registry and gives its id.
    pub async fn register(&self, subject: &str, schema: &Value) -> u32 {
        let url = format!("{}/subjects/{subject}/versions", self.real);
        let body = json!({ "schema": schema.to_string(), "schemaType": "AVRO" });
        let text = client().post(&url).json(&body).send().await.unwrap().text().await.unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap();
        u32::try_from(answer["id"].as_u64().unwrap_or_else(|| panic!("{url}: {answer}"))).unwrap()
    }
}

fn client() -> Client {
    Client::builder().no_proxy().build().unwrap()
}

struct Call {
    origin: Url,
    client: Client,
    lies: Arc<Mutex<HashMap<String, Value>>>,
}

impl Call {
    /// One request and its answer; connections are not kept.
    async fn exchange(self, mut stream: TcpStream, mut moods: watch::Receiver<Mood>) {
        let Some((method, path, body)) = request(&mut stream).await else { return };
        let mood = *moods.borrow_and_update();
        match mood {
            Mood::Refuses => return,
            Mood::Holds => {
                let _ended = moods.wait_for(|mood| *mood != Mood::Holds).await;
                return;
            }
            Mood::Passes => {}
        }
        let under = path.strip_prefix(self.origin.path().trim_end_matches('/')).unwrap_or(&path).to_owned();
        let lie = self.lies.lock().unwrap().get(&under).map(Value::to_string);
        let (status, text) = match lie {
            Some(lie) => (200, lie),
            None => {
                let url = self.origin.join(&path).unwrap();
                let method: Method = method.parse().unwrap();
                let sent = self.client.request(method, url).header("content-type", "application/json").body(body);
                let Ok(answer) = sent.send().await else { return };
                (answer.status().as_u16(), answer.text().await.unwrap_or_default())
            }
        };
        let length = text.len();
        let head = "content-type: application/json\r\nconnection: close";
        let answer = format!("HTTP/1.1 {status} X\r\n{head}\r\ncontent-length: {length}\r\n\r\n{text}");
        let _gone = stream.write_all(answer.as_bytes()).await;
    }
}

/// Method, path and body of a request.
async fn request(stream: &mut TcpStream) -> Option<(String, String, String)> {
    let mut received = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk).await.ok().filter(|count| *count > 0)?;
        received.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&received);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = |line: &str| line.to_lowercase().strip_prefix("content-length:")?.trim().parse::<usize>().ok();
        if body.len() >= head.lines().find_map(length).unwrap_or(0) {
            let mut words = head.split(' ');
            return Some((words.next()?.to_owned(), words.next()?.to_owned(), body.to_owned()));
        }
    }
}
