//! All rules of a topology together.

use std::collections::BTreeMap;
use std::path::Path;

use spina_core::correlation::labels::digest;

use super::{FileRules, Mapping, Receiver, Rule, ServiceGraph, compile};
use crate::known::Known;
use crate::source::{Place, Problem, Problems, Source, quote};

/// The file's name within a context's folder.
pub const CORRELATION_FILE: &str = "correlation.yaml";

/// The rules that are in force.
#[derive(Debug, Default)]
pub struct RuleSet {
    /// The files, by context.
    pub files: Vec<FileRules>,
    /// The services of all files.
    pub services: ServiceGraph,
    /// Names the files' text: the same text has the same version.
    pub version: String,
    /// The text, by context.
    pub texts: BTreeMap<String, String>,
}

impl RuleSet {
    /// Compiles the files' texts, by context, against the events and commands of all contexts.
    ///
    /// # Errors
    /// Everything that is wrong in any of them.
    pub fn of(texts: &BTreeMap<String, String>, known: &Known) -> Result<Self, Problems> {
        Self::build(texts, Some(known))
    }

    /// Compiles texts that were checked before, without what makes signals of events and without looking at commands.
    ///
    /// # Errors
    /// As [`RuleSet::of`]; possible only if the rules of today are stricter.
    pub fn recorded(texts: &BTreeMap<String, String>) -> Result<Self, Problems> {
        Self::build(texts, None)
    }

    fn build(texts: &BTreeMap<String, String>, known: Option<&Known>) -> Result<Self, Problems> {
        let (mut files, mut problems) = (Vec::new(), Vec::new());
        for (context, text) in texts {
            let source = Source::new(format!("{context}/{CORRELATION_FILE}"), text.clone());
            match compile(&source, context, known) {
                Ok(file) => files.push(file),
                Err(found) => problems.extend(found.0),
            }
        }
        for file in &files {
            problems.extend(unknown_sources(file, texts));
        }
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        let mut services = ServiceGraph::default();
        files.iter().for_each(|file| services.extend(&file.services));
        let parts: Vec<&str> = texts.iter().flat_map(|(context, text)| [context.as_str(), text.as_str()]).collect();
        Ok(Self { files, services, version: digest(&parts), texts: texts.clone() })
    }

    /// Reads the texts of a topology folder, by context; contexts without a file are left out.
    ///
    /// # Errors
    /// When the folder or a file cannot be read.
    pub fn read_texts(topology_dir: &Path) -> Result<BTreeMap<String, String>, Problem> {
        let refuse = |error: std::io::Error| Problem {
            file: topology_dir.display().to_string(),
            place: Place::FILE,
            message: format!("cannot be read: {error}"),
        };
        let mut texts = BTreeMap::new();
        for entry in std::fs::read_dir(topology_dir).map_err(refuse)? {
            let folder = entry.map_err(refuse)?.path();
            let file = folder.join(CORRELATION_FILE);
            if file.is_file() {
                let context = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
                texts.insert(context, Source::read(&file)?.text().to_owned());
            }
        }
        Ok(texts)
    }

    /// All rules, in the order of contexts and files.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.files.iter().flat_map(|file| &file.rules)
    }

    /// The rule of that name: `<context>/<rule>`.
    pub fn rule(&self, name: &str) -> Option<&Rule> {
        self.rules().find(|rule| rule.name == name)
    }

    /// How the events of a context become signals.
    pub fn mappings(&self, context: &str) -> &[Mapping] {
        self.files.iter().find(|file| file.context == context).map_or(&[], |file| &file.mappings)
    }

    /// The receiver of that name.
    pub fn receiver(&self, name: &str) -> Option<&Receiver> {
        self.files.iter().flat_map(|file| &file.receivers).find(|receiver| receiver.name == name)
    }
}

/// A rule that looks at a source that nobody declares would wait for ever.
fn unknown_sources(file: &FileRules, texts: &BTreeMap<String, String>) -> Vec<Problem> {
    let sources = file.rules.iter().flat_map(|rule| &rule.sources);
    let unknown = sources.filter(|source| !texts.contains_key(&source.value));
    let known: Vec<&str> = texts.keys().map(String::as_str).collect();
    unknown
        .map(|source| Problem {
            file: file.file.clone(),
            place: source.place,
            message: format!(
                "there is no source {}; contexts with a {CORRELATION_FILE} are {}",
                quote(source),
                known.join(", ")
            ),
        })
        .collect()
}
