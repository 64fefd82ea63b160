//! The built-in contexts of flights and bookings, and their saga, under names of a test's own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::context::Context;
use crate::http::Http;
use crate::service::Service;
use crate::spina::Spina;
use crate::stack::{Stack, root};

/// The contexts `flights` and `booking` under names of the test's own, and the saga under one too.
#[derive(Debug)]
pub struct Booking {
    /// The servers.
    pub stack: Stack,
    /// The context `booking`; its folders declare both.
    pub context: Context,
    /// The name of the context `flights`.
    pub flights: String,
    /// The name of the saga `rebook`.
    pub saga: String,
    mark: String,
}

impl Booking {
    /// Declares and applies them.
    pub fn declare() -> Self {
        let stack = Stack::get();
        let mark = uuid::Uuid::new_v4().simple().to_string()[..6].to_owned();
        let (flights, booking, saga) = (format!("fl{mark}"), format!("bk{mark}"), format!("rebook{mark}"));
        let folder = stack.folder(&booking);
        let renamed = |text: String| {
            let text = text.replace("context: flights", &format!("context: {flights}"));
            let text = text.replace("context: booking", &format!("context: {booking}"));
            let text = text.replace("\"namespace\": \"flights\"", &format!("\"namespace\": \"{flights}\""));
            let text = text.replace("\"namespace\": \"booking\"", &format!("\"namespace\": \"{booking}\""));
            let text = text.replace("saga: rebook\n", &format!("saga: {saga}\n"));
            text.replace(" flights.", &format!(" {flights}.")).replace(" booking.", &format!(" {booking}."))
        };
        let declared = [
            ("topology/flights/context.yaml", format!("topology/{flights}/context.yaml")),
            ("topology/booking/context.yaml", format!("topology/{booking}/context.yaml")),
            ("topology/booking/sagas/rebook.yaml", format!("topology/{booking}/sagas/rebook.yaml")),
            ("schemas/flights", format!("schemas/{flights}")),
            ("schemas/booking", format!("schemas/{booking}")),
            ("schemas/spina", "schemas/spina".to_owned()),
        ];
        for (from, to) in declared {
            copy(&root().join(from), &folder.join(to), &renamed);
        }
        Self { context: Context::of(&stack, &folder, &booking), stack, flights, saga, mark }
    }

    /// Adds a version of another saga to those of the context, and tells its name: `saga` with the test's mark.
    pub fn define(&self, saga: &str, version: u32, text: &str) -> String {
        let name = format!("{saga}{}", self.mark);
        let text = text.replace(&format!("saga: {saga}\n"), &format!("saga: {name}\n"));
        let text = text.replace(" booking.", &format!(" {}.", self.context.name));
        let folder = self.context.topology_dir.join(&self.context.name).join("sagas");
        fs::write(folder.join(format!("{saga}-{version}.yaml")), text).unwrap();
        name
    }

    /// Lines in a file of its own.
    pub fn file(&self, name: &str, lines: impl IntoIterator<Item = String>) -> PathBuf {
        let file = self.stack.folder(&self.context.name).join(name);
        fs::write(&file, lines.into_iter().collect::<Vec<String>>().join("\n")).unwrap();
        file
    }

    /// The command that imports a file.
    pub fn import(&self, context: &str, url: &str, file: &Path) -> Spina {
        Spina::of(&self.stack).env("SPINA_EVENT_STORE_URL", url).args(["import", "--context", context]).arg(file)
    }

    /// How many sagas there are in each state.
    pub async fn states(&self, orchestrator: &Service) -> Option<BTreeMap<String, usize>> {
        let (http, mut after, mut states) = (Http::new(&orchestrator.url), String::new(), BTreeMap::new());
        loop {
            let page = http.get(&format!("/v1/sagas?definition={}&limit=1000&after={after}", self.saga)).await.ok()?;
            let sagas = page.body["sagas"].as_array()?;
            for saga in sagas {
                *states.entry(saga["state"].as_str()?.to_owned()).or_default() += 1;
            }
            match sagas.last() {
                Some(last) => last["id"].as_str()?.clone_into(&mut after),
                None => return Some(states),
            }
        }
    }
}

fn copy(from: &Path, to: &Path, renamed: &impl Fn(String) -> String) {
    if from.is_dir() {
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            // Released versions are not needed here.
            if entry.path().is_file() {
                copy(&entry.path(), &to.join(entry.file_name()), renamed);
            }
        }
    } else {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(to, renamed(fs::read_to_string(from).unwrap())).unwrap();
    }
}
