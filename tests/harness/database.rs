//! The database in between: reachable or not, with answers or without, killed and started again.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls};

use crate::eventually;
use crate::http::Http;
use crate::spina::Spina;
use crate::stack::Stack;

/// A commit as a client asks for it.
const COMMIT: &[u8] = b"COMMIT\0";
const CHUNK_BYTES: usize = 1 << 16;

/// Stands between a service and PostgreSQL.
#[derive(Debug)]
pub struct DatabaseProxy {
    /// URL of the database behind it.
    pub url: String,
    away: watch::Sender<bool>,
    cuts: Arc<AtomicUsize>,
    /// Ends with the proxy, and all connections with it.
    _accepting: JoinSet<()>,
}

impl DatabaseProxy {
    /// Listens in front of the stack's database.
    pub async fn start(stack: &Stack) -> Self {
        let (before, address) = stack.postgres.split_once('@').unwrap();
        let (target, database) = address.split_once('/').unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("{before}@{}/{database}", listener.local_addr().unwrap());
        let (away, watch) = watch::channel(false);
        let cuts = Arc::new(AtomicUsize::new(0));
        let connection = Connection { target: target.to_owned(), away: watch, cuts: Arc::clone(&cuts) };
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(connection.clone().run(client));
            }
        });
        Self { url, away, cuts, _accepting: accepting }
    }

    /// Breaks all connections and takes no new ones, or takes them again.
    pub fn set_away(&self, away: bool) {
        self.away.send_replace(away);
    }

    /// The next so many commits reach the database; their answers are lost with the connection.
    pub fn lose_answers(&self, commits: usize) {
        self.cuts.store(commits, Ordering::SeqCst);
    }

    /// Answers that are still to be lost.
    pub fn answers_to_lose(&self) -> usize {
        self.cuts.load(Ordering::SeqCst)
    }
}

#[derive(Debug, Clone)]
struct Connection {
    target: String,
    away: watch::Receiver<bool>,
    cuts: Arc<AtomicUsize>,
}

impl Connection {
    async fn run(mut self, client: TcpStream) {
        let mut away = self.away.clone();
        let Ok(server) = TcpStream::connect(&self.target).await else { return };
        let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
        tokio::select! {
            _ = away.wait_for(|away| *away) => {}
            () = self.relay(from_client, to_server, from_server, to_client) => {}
        }
    }

    /// Ends when one side does, or with the answer that is to be lost.
    async fn relay(
        &mut self,
        mut from_client: OwnedReadHalf,
        mut to_server: OwnedWriteHalf,
        mut from_server: OwnedReadHalf,
        mut to_client: OwnedWriteHalf,
    ) {
        let (mut asked, mut answered) = (vec![0; CHUNK_BYTES], vec![0; CHUNK_BYTES]);
        let mut cut = false;
        loop {
            tokio::select! {
                biased;
                Ok(read) = from_client.read(&mut asked) => {
                    let chunk = &asked[..read];
                    cut |= chunk.ends_with(COMMIT) && self.take_cut();
                    if read == 0 || to_server.write_all(chunk).await.is_err() {
                        return;
                    }
                }
                Ok(read) = from_server.read(&mut answered) => {
                    if read == 0 || cut || to_client.write_all(&answered[..read]).await.is_err() {
                        return;
                    }
                }
                else => return,
            }
        }
    }

    fn take_cut(&self) -> bool {
        self.cuts.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |cuts| cuts.checked_sub(1)).is_ok()
    }
}

/// A connection to the stack's database; dropping it ends it.
#[derive(Debug)]
pub struct Database {
    client: Client,
    /// Moves the connection's bytes.
    _connection: JoinSet<Result<(), tokio_postgres::Error>>,
}

impl Database {
    /// Connects.
    pub async fn connect(stack: &Stack) -> Self {
        Self::connect_to(&stack.postgres).await
    }

    /// Connects to any database.
    pub async fn connect_to(url: &str) -> Self {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        let mut moving = JoinSet::new();
        moving.spawn(connection);
        Self { client, _connection: moving }
    }
}

impl Deref for Database {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

/// `kill -9` of the stack's database server, and nothing else.
pub fn kill(stack: &Stack) {
    let pid = i32::try_from(stack.pid("postgres")).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

/// Starts it again on its port, and waits until it and the registry, which lives in it too, have recovered.
pub async fn start_again(stack: &Stack) {
    Spina::of(stack).args(["up", "--servers-only", "--free-ports", "--dir"]).arg(&stack.dir).succeeds();
    let registry = Http::new(&stack.registry);
    eventually("the registry has its database back", async || {
        registry.get("/subjects").await.ok().filter(|answer| answer.status == 200).map(drop)
    })
    .await;
}
