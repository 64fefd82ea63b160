//! PostgreSQL: a cluster of our own, apart from any that the system runs.
//!
//! The server refuses to run as root. Started by root, it runs as the user
//! `postgres`, and lives where that user can reach it.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use tokio_postgres::{Client, NoTls};

use super::{launch, leftover, part::Part, state::Stack, template, versions::version};

const SETTINGS: &str = include_str!("../../../../dev/postgres/postgresql.conf");
/// The registry keeps its content in a database of its own.
const DATABASES: [&str; 2] = ["spina", "registry"];
/// Crash recovery replays the write-ahead log first.
const START_LIMIT: Duration = Duration::from_secs(120);
/// Room for users who may not enter the stack's folder, for example below `/root`.
const SHARED_ROOM: &str = "/var/lib/spina";

/// Brings the server up, unless it runs, with the databases of the stack.
pub async fn up(stack: &Stack) -> Result<()> {
    let port = stack.port("postgres")?;
    let prepare = async || {
        let cluster = Cluster::of(stack)?;
        cluster.initialise().await?;
        cluster.configure(port)?;
        leftover::clear(&cluster.data()).await?;
        let mut server = cluster.command("postgres")?;
        server.arg("-D").arg(cluster.data());
        Ok(server)
    };
    launch::bring_up(stack, Part::Postgres, START_LIMIT, prepare, || create_databases(port)).await
}

/// The folder that holds the cluster of `stack`.
pub fn home(stack: &Stack) -> PathBuf {
    let inside = stack.dir().join("postgres");
    let shared = shared_home(stack);
    if inside.exists() || (!shared.exists() && (!runs_as_root() || everyone_may_enter(stack.dir()))) {
        inside
    } else {
        shared
    }
}

/// The cluster on disk, and who owns it.
struct Cluster {
    home: PathBuf,
    owner: Option<Owner>,
}

#[derive(Clone, Copy)]
struct Owner {
    uid: u32,
    gid: u32,
}

impl Cluster {
    fn of(stack: &Stack) -> Result<Self> {
        let owner = if runs_as_root() { Some(Owner::postgres()?) } else { None };
        Ok(Self { home: home(stack), owner })
    }

    fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    /// Creates the cluster once, under another name until it is complete.
    async fn initialise(&self) -> Result<()> {
        if self.data().exists() {
            return Ok(());
        }
        let draft = self.home.join("draft");
        if draft.exists() {
            fs::remove_dir_all(&draft).context("clear an unfinished initdb")?;
        }
        fs::create_dir_all(&self.home)
            .and_then(|()| self.own(&self.home))
            .with_context(|| format!("create {}", self.home.display()))?;
        let mut initdb = self.command("initdb")?;
        initdb
            .args(["--username=spina", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"])
            .args(["--no-instructions", "--pgdata"])
            .arg(&draft);
        launch::to_end("initdb", initdb).await?;
        fs::rename(&draft, self.data()).context("keep the new PostgreSQL cluster")
    }

    fn configure(&self, port: u16) -> Result<()> {
        let settings = template::fill(SETTINGS, &[("POSTGRES_PORT", &port.to_string())])?;
        // Read after postgresql.conf, and not written by initdb.
        let file = self.data().join("postgresql.auto.conf");
        fs::write(&file, settings).and_then(|()| self.own(&file)).with_context(|| format!("write {}", file.display()))
    }

    fn own(&self, path: &Path) -> std::io::Result<()> {
        match self.owner {
            Some(owner) => chown(path, Some(owner.uid), Some(owner.gid)),
            None => Ok(()),
        }
    }

    fn command(&self, name: &str) -> Result<Command> {
        let major = version("POSTGRES_MAJOR")?;
        let debian = PathBuf::from(format!("/usr/lib/postgresql/{major}/bin"));
        let mut command = Command::new(launch::program(name, &[debian])?);
        command.current_dir(&self.home);
        if let Some(owner) = self.owner {
            command.uid(owner.uid).gid(owner.gid);
        }
        Ok(command)
    }
}

impl Owner {
    fn postgres() -> Result<Self> {
        let users = fs::read_to_string("/etc/passwd").context("read the system's users")?;
        users
            .lines()
            .find_map(|line| match line.split(':').collect::<Vec<_>>().as_slice() {
                ["postgres", _, uid, gid, ..] => Some(Self { uid: uid.parse().ok()?, gid: gid.parse().ok()? }),
                _ => None,
            })
            .context("this system has no user postgres; run `make install`")
    }
}

fn shared_home(stack: &Stack) -> PathBuf {
    let name = Sha256::digest(stack.dir().as_os_str().as_encoded_bytes());
    Path::new(SHARED_ROOM).join(format!("{name:x}").chars().take(16).collect::<String>())
}

fn runs_as_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn everyone_may_enter(dir: &Path) -> bool {
    dir.ancestors().all(|folder| fs::metadata(folder).is_ok_and(|it| it.mode() & 0o001 != 0))
}

/// Also the readiness probe: a server on which this succeeds is usable.
async fn create_databases(port: u16) -> Result<()> {
    let address = format!("host=127.0.0.1 port={port} user=spina dbname=postgres");
    let (client, connection) = tokio_postgres::connect(&address, NoTls).await.context("connect to PostgreSQL")?;
    // The connection works only while it is polled, and ends when the client is dropped.
    let statements = async move {
        for database in DATABASES {
            create_if_missing(&client, database).await?;
        }
        Ok(())
    };
    let (connection, statements) = tokio::join!(connection, statements);
    connection.context("talk to PostgreSQL").and(statements)
}

async fn create_if_missing(client: &Client, database: &str) -> Result<()> {
    let known = client
        .query_opt("select from pg_database where datname = $1", &[&database])
        .await
        .context("list the databases")?;
    if known.is_some() {
        return Ok(());
    }
    let statement = format!("create database {database}");
    client.batch_execute(&statement).await.with_context(|| format!("create the database {database}"))
}
