//! A bounded context of a test's own: the flights' topology and schemas under another name.

use std::fs;
use std::path::PathBuf;

use crate::spina::Spina;
use crate::stack::{Stack, root};

/// Declarations in a folder, applied to the cluster and the registry.
#[derive(Debug, Clone)]
pub struct Context {
    /// Its name, unlike any other.
    pub name: String,
    /// The folder above its topology.
    pub topology_dir: PathBuf,
    /// The folder above its schemas.
    pub schemas_dir: PathBuf,
}

impl Context {
    /// Declares and applies a context whose name begins with `prefix`.
    pub fn create(stack: &Stack, prefix: &str) -> Self {
        let name = format!("{prefix}{}", &uuid::Uuid::new_v4().simple().to_string()[..6]);
        let folder = stack.folder(&name);
        let context = Self { topology_dir: folder.join("topology"), schemas_dir: folder.join("schemas"), name };
        context.declare();
        Spina::of(stack)
            .args(["topology", "apply", "--topology-dir"])
            .arg(&context.topology_dir)
            .arg("--schemas-dir")
            .arg(&context.schemas_dir)
            .succeeds();
        context
    }

    /// The topic of its events.
    pub fn events_topic(&self) -> String {
        format!("{}.events.v1", self.name)
    }

    /// The topic that any Kafka client publishes to.
    pub fn commands_topic(&self) -> String {
        format!("{}.commands.v1", self.name)
    }

    /// The topic of the answers to those.
    pub fn replies_topic(&self) -> String {
        format!("{}.replies.v1", self.name)
    }

    fn declare(&self) {
        let name = &self.name;
        let copy = |from: PathBuf, to: PathBuf, word: &str, words: &str| {
            fs::create_dir_all(&to).unwrap();
            for entry in fs::read_dir(&from).unwrap() {
                let file = entry.unwrap();
                let text = fs::read_to_string(file.path()).unwrap().replace(word, words);
                fs::write(to.join(file.file_name()), text).unwrap();
            }
        };
        let (topology, schemas) = (root().join("topology/flights"), root().join("schemas/flights"));
        copy(topology, self.topology_dir.join(name), "context: flights", &format!("context: {name}"));
        let namespace = |of: &str| format!("\"namespace\": \"{of}\"");
        copy(schemas, self.schemas_dir.join(name), &namespace("flights"), &namespace(name));
        copy(root().join("schemas/spina"), self.schemas_dir.join("spina"), "", "");
    }
}
