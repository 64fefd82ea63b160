//! The servers that the whole run shares, and where things lie.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// How to run these tests; what everybody is told who runs them otherwise.
const HOW: &str = "system tests need servers of their own: run `make test-integration`, \
                   or `dev/with-servers cargo test -p spina-tests --test system`";

/// Kafka, the registry and PostgreSQL, as `dev/with-servers` started them.
#[derive(Debug, Clone)]
pub struct Stack {
    /// Its folder.
    pub dir: PathBuf,
    /// Kafka's bootstrap servers.
    pub kafka: String,
    /// The registry's Confluent API.
    pub registry: String,
    /// URL of the database.
    pub postgres: String,
    description: Value,
}

impl Stack {
    /// The servers of this run.
    ///
    /// # Panics
    /// Without servers: a system test is never skipped.
    pub fn get() -> Self {
        let dir = PathBuf::from(std::env::var_os("SPINA_TEST_STACK").expect(HOW));
        let text = std::fs::read(dir.join("stack.json")).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
        let description: Value = serde_json::from_slice(&text).unwrap();
        let endpoint = |name: &str| description["endpoints"][name].as_str().expect(HOW).to_owned();
        Self {
            kafka: endpoint("kafka"),
            registry: endpoint("registry"),
            postgres: endpoint("postgres"),
            dir,
            description,
        }
    }

    /// Base URL of a service that `spina up` runs in the stack.
    pub fn service(&self, name: &str) -> String {
        self.description["endpoints"]["services"][name].as_str().expect("`spina up` ran").to_owned()
    }

    /// Base URL of the Connect worker's REST API.
    pub fn connect(&self) -> String {
        self.description["endpoints"]["connect"].as_str().expect("`spina up --connect` ran").to_owned()
    }

    /// Process id of a server as it is now.
    pub fn pid(&self, server: &str) -> u64 {
        let text = std::fs::read(self.dir.join("stack.json")).unwrap();
        let description: Value = serde_json::from_slice(&text).unwrap();
        description["processes"][server]["pid"].as_u64().expect("the server runs")
    }

    /// Process id of the broker.
    pub fn kafka_pid(&self) -> u64 {
        self.description["processes"]["kafka"]["pid"].as_u64().expect("the broker runs")
    }

    /// The same servers with another Kafka.
    pub fn with_kafka(&self, bootstrap: String) -> Self {
        Self { kafka: bootstrap, ..self.clone() }
    }

    /// A folder for files of a test; it goes with the stack.
    pub fn folder(&self, name: &str) -> PathBuf {
        let folder = self.dir.join("test").join(name);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }
}

/// The project's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root")
}

/// A program of ours, built beside the tests.
///
/// # Panics
/// When it is not built.
pub fn binary(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let folder = own.parent().expect("a program lies in a folder");
    let profile = if folder.ends_with("deps") { folder.parent().expect("deps lies in one too") } else { folder };
    let file = profile.join(name);
    assert!(file.is_file(), "{} is not built: cargo build --workspace --bins", file.display());
    file
}

/// Ports are taken from below what the system gives to outgoing connections: one of those could sit on the port of a process
/// that is down just then, which could not come back.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// A port that nobody listens on now.
pub fn free_port() -> u16 {
    let tries = std::iter::repeat_with(|| {
        let (random, _) = uuid::Uuid::new_v4().as_u64_pair();
        PORTS.start + u16::try_from(random % u64::from(PORTS.end - PORTS.start)).expect("it is below the end")
    });
    let free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    tries.take(1_000).find(free).expect("there are free ports")
}
