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

    /// Process id of the broker.
    pub fn kafka_pid(&self) -> u64 {
        self.description["processes"]["kafka"]["pid"].as_u64().expect("the broker runs")
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
    let file = own.ancestors().nth(2).expect("tests lie in target/<profile>/deps").join(name);
    assert!(file.is_file(), "{} is not built: cargo build --workspace --bins", file.display());
    file
}

/// A port that nobody listens on now.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}
