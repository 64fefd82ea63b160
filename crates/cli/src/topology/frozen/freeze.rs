//! Freezing: what is released gets a number and a sample. What has them already is not touched.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use spina_codec::schema_files::{self, RELEASED_FOLDER};
use spina_rules::context::{self, ContextDef};
use spina_rules::source::Problem;

use super::Past;
use super::sample::Sample;
use crate::failure::{Exit, Failure};

/// Writes a schema and a sample for each event whose schema was not released before, and a sample where one is missing.
/// Tells which files it made.
///
/// # Errors
/// When the files have problems, those of older samples included: then nothing is written.
pub fn freeze(topology_dir: &Path, schemas_dir: &Path) -> Result<Vec<PathBuf>> {
    let contexts = context::load_all(topology_dir)?;
    let mut files = Vec::new();
    let mut problems = Vec::new();
    for context in &contexts {
        match new_files(context, topology_dir, schemas_dir)? {
            Ok(found) => files.extend(found),
            Err(found) => problems.extend(found),
        }
    }
    if !problems.is_empty() {
        let told: String = problems.iter().map(|problem| format!("\n  {problem}")).collect();
        let message = format!("nothing is frozen:{told}");
        return Err(Failure::new(Exit::Refused, "validation.topology", message).into());
    }
    for (path, text) in &files {
        write_new(path, text).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(files.into_iter().map(|(path, _)| path).collect())
}

type NewFiles = Vec<(PathBuf, String)>;

fn new_files(context: &ContextDef, topology_dir: &Path, schemas_dir: &Path) -> Result<Result<NewFiles, Vec<Problem>>> {
    let mut files = Vec::new();
    let released = schema_files::released(schemas_dir, &context.name)?;
    // A schema that was put there by hand gets its sample.
    for file in released.iter().filter(|file| !file.path.with_extension("json").exists()) {
        let sample = Sample::of(&file.shape).map_err(anyhow::Error::msg)?;
        files.push((file.path.with_extension("json"), sample.to_text()));
    }
    let folder = schemas_dir.join(context.name.as_str()).join(RELEASED_FOLDER);
    for schema in schema_files::load(schemas_dir, &context.name)? {
        let name = schema.shape.name();
        let listed = context.events().any(|(_, event)| event.value == name);
        let mut versions = released.iter().filter(|file| file.name == name);
        if !listed || versions.clone().any(|file| file.shape == schema.shape) {
            continue;
        }
        let number = versions.next_back().map_or(1, |last| last.version + 1);
        let path = folder.join(format!("{name}.{number}.avsc"));
        let sample = Sample::of(&schema.shape).map_err(anyhow::Error::msg)?;
        files.push((path.with_extension("json"), sample.to_text()));
        files.push((path, schema.text));
    }
    let problems = match Past::read(context, topology_dir, schemas_dir) {
        Ok(past) => past.problems(),
        Err(problems) => problems,
    };
    // What is missing is about to be made.
    let about_to_be = |problem: &Problem| files.iter().any(|(path, _)| path.display().to_string() == problem.file);
    let left: Vec<Problem> = problems.into_iter().filter(|problem| !about_to_be(problem)).collect();
    Ok(if left.is_empty() { Ok(files) } else { Err(left) })
}

/// Never over a file that is there.
fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
    File::create_new(path)?.write_all(text.as_bytes())
}
