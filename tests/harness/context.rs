//! A bounded context of a test's own: the flights' topology and schemas under another name.

use std::fs;
use std::path::{Path, PathBuf};

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
        Self::like(stack, prefix, root(), "flights")
    }

    /// The same after the model of another context than the flights: `model`, declared below `folder`.
    pub fn like(stack: &Stack, prefix: &str, from: &Path, model: &str) -> Self {
        let name = format!("{prefix}{}", &uuid::Uuid::new_v4().simple().to_string()[..6]);
        let folder = stack.folder(&name);
        let context = Self { topology_dir: folder.join("topology"), schemas_dir: folder.join("schemas"), name };
        context.declare(from, model);
        context.apply(stack);
        context
    }

    /// The same after two contexts that are declared below `folder`, the first of which has models that read both. Also the
    /// name of the second.
    pub fn pair(stack: &Stack, prefix: &str, from: &Path, [first, second]: [&str; 2]) -> (Self, String) {
        let name = format!("{prefix}{}", &uuid::Uuid::new_v4().simple().to_string()[..6]);
        let folder = stack.folder(&name);
        let context = Self { topology_dir: folder.join("topology"), schemas_dir: folder.join("schemas"), name };
        let other = Self { name: format!("{}b", context.name), ..context.clone() };
        context.declare(from, first);
        other.declare(from, second);
        let models = context.topology_dir.join(&context.name).join("projections.yaml");
        let text = fs::read_to_string(&models).unwrap().replace(&format!("{second}."), &format!("{}.", other.name));
        fs::write(&models, text).unwrap();
        context.apply(stack);
        (context, other.name)
    }

    /// The context as it is declared below a folder, under its own name.
    pub fn of(stack: &Stack, folder: &Path, name: &str) -> Self {
        let (topology_dir, schemas_dir) = (folder.join("topology"), folder.join("schemas"));
        let context = Self { name: name.to_owned(), topology_dir, schemas_dir };
        context.apply(stack);
        context
    }

    fn apply(&self, stack: &Stack) {
        self.topology(Spina::of(stack), "apply").succeeds();
    }

    /// The command `spina topology <verb>` about this context.
    pub fn topology(&self, spina: Spina, verb: &str) -> Spina {
        self.folders(spina.args(["topology", verb]))
    }

    /// A command that takes the declarations from here.
    pub fn folders(&self, spina: Spina) -> Spina {
        spina.arg("--topology-dir").arg(&self.topology_dir).arg("--schemas-dir").arg(&self.schemas_dir)
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

    fn declare(&self, from: &Path, model: &str) {
        let name = &self.name;
        let copy = |from: PathBuf, to: PathBuf, word: &str, words: &str| {
            fs::create_dir_all(&to).unwrap();
            for entry in fs::read_dir(&from).unwrap() {
                let file = entry.unwrap();
                if file.path().is_dir() {
                    continue;
                }
                let text = fs::read_to_string(file.path()).unwrap().replace(word, words);
                fs::write(to.join(file.file_name()), text).unwrap();
            }
        };
        let (topology, schemas) = (from.join("topology").join(model), from.join("schemas").join(model));
        copy(topology, self.topology_dir.join(name), &format!("context: {model}"), &format!("context: {name}"));
        let namespace = |of: &str| format!("\"namespace\": \"{of}\"");
        copy(schemas.clone(), self.schemas_dir.join(name), &namespace(model), &namespace(name));
        if schemas.join("released").exists() {
            let to = self.schemas_dir.join(name).join("released");
            copy(schemas.join("released"), to, &namespace(model), &namespace(name));
        }
        copy(root().join("schemas/spina"), self.schemas_dir.join("spina"), "", "");
    }
}
