//! `spina topology compatibility`: which versions of a schema read what which others have written.
//!
//! The judgement is our own, by the rules that plans are held to; beside it stands what the registry's level promises.

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use spina_codec::registry::RegistryClient;

use super::desired::DesiredSubject;
use super::evolution::{breaks, same_json};
use crate::output::{self, Format};
use crate::table::Table;

/// Requests to the registry that run at the same time.
const REGISTRY_REQUESTS_MAX: usize = 8;
/// Most versions of a subject that are compared: the newest.
const VERSIONS_MAX: usize = 20;
/// What the file's schema is called where it is not registered.
const FILE: &str = "file";

/// A subject's versions, each against each.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Matrix {
    subject: String,
    /// The registry's level, if the subject has one.
    level: Option<String>,
    /// Numbers of the versions, oldest first; `file` last, where the file's schema is none of them.
    versions: Vec<String>,
    pairs: Vec<Pair>,
}

/// One version as the reader of what another has written.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Pair {
    reader: String,
    writer: String,
    reads: bool,
    /// Whether the registry's level says that it must.
    promised: bool,
    /// Why it does not.
    reasons: Vec<String>,
}

/// A schema, and what it is called.
struct Candidate {
    name: String,
    schema: String,
}

/// Reads the versions of the subjects whose names contain the text, and judges them.
pub async fn read(subjects: &[DesiredSubject], part: &str, registry: &RegistryClient) -> Result<Vec<Matrix>> {
    let one = |subject| async move {
        let (level, candidates) =
            ask(subject, registry).await.with_context(|| format!("ask about {}", subject.name))?;
        anyhow::Ok(matrix(subject, level, &candidates))
    };
    let wanted = subjects.iter().filter(|subject| subject.name.contains(part));
    stream::iter(wanted.map(one)).buffered(REGISTRY_REQUESTS_MAX).try_collect().await
}

async fn ask(subject: &DesiredSubject, registry: &RegistryClient) -> Result<(Option<String>, Vec<Candidate>)> {
    let mut numbers = registry.versions(&subject.name).await?;
    numbers.sort_unstable();
    let newest = numbers.split_off(numbers.len().saturating_sub(VERSIONS_MAX));
    let mut candidates = Vec::new();
    for number in newest {
        if let Some(found) = registry.version(&subject.name, number).await? {
            candidates.push(Candidate { name: number.to_string(), schema: found.schema });
        }
    }
    if !candidates.iter().any(|known| same_json(&known.schema, &subject.schema.text)) {
        candidates.push(Candidate { name: FILE.to_owned(), schema: subject.schema.text.clone() });
    }
    Ok((registry.compatibility(&subject.name).await?, candidates))
}

fn matrix(subject: &DesiredSubject, level: Option<String>, candidates: &[Candidate]) -> Matrix {
    let mut pairs = Vec::new();
    for (at, reader) in candidates.iter().enumerate() {
        for (from, writer) in candidates.iter().enumerate().filter(|(from, _)| *from != at) {
            // Today's schema reads through the upcasters.
            let found = match same_json(&reader.schema, &subject.schema.text) {
                true => subject.breaks(&writer.schema),
                false => breaks(&reader.schema, &writer.schema),
            };
            pairs.push(Pair {
                reader: reader.name.clone(),
                writer: writer.name.clone(),
                reads: found.is_empty(),
                promised: level.as_deref().is_some_and(|level| promises(level, at, from)),
                reasons: found.into_iter().map(|broken| broken.reason).collect(),
            });
        }
    }
    let versions = candidates.iter().map(|candidate| candidate.name.clone()).collect();
    Matrix { subject: subject.name.clone(), level, versions, pairs }
}

/// Whether a level says that the version at one place reads what the version at another has written.
fn promises(level: &str, reader: usize, writer: usize) -> bool {
    let (kind, transitive) = level.strip_suffix("_TRANSITIVE").map_or((level, false), |kind| (kind, true));
    let near = transitive || reader.abs_diff(writer) == 1;
    near && match kind {
        "BACKWARD" => reader > writer,
        "FORWARD" => reader < writer,
        "FULL" => true,
        _ => false,
    }
}

/// Prints the matrices.
pub fn print(matrices: &[Matrix], format: Format) -> Result<()> {
    match format {
        Format::Json => output::json(&serde_json::json!({ "subjects": matrices })),
        Format::Ndjson => matrices.iter().try_for_each(output::json),
        Format::Text if matrices.is_empty() => output::line("There is no such subject."),
        Format::Text => matrices.iter().try_for_each(|matrix| output::line(text(matrix))),
    }
}

/// Readers in rows, writers in columns.
fn text(matrix: &Matrix) -> String {
    let level = matrix.level.as_deref().unwrap_or("no level");
    let [_, _, ..] = matrix.versions.as_slice() else {
        return format!("{} ({level}): {} only", matrix.subject, matrix.versions.join(", "));
    };
    let mut table = Table::new(["reads".to_owned()].into_iter().chain(matrix.versions.iter().cloned()));
    for reader in &matrix.versions {
        let cell = |writer: &String| {
            let pair = matrix.pairs.iter().find(|pair| pair.reader == *reader && pair.writer == *writer);
            pair.map_or("", |pair| match (pair.reads, pair.promised) {
                (true, _) => "yes",
                (false, false) => "no",
                (false, true) => "no, though promised",
            })
        };
        table.row([reader.as_str()].into_iter().chain(matrix.versions.iter().map(cell)));
    }
    let mut out = format!("{} ({level})\n{table}", matrix.subject);
    for pair in &matrix.pairs {
        for reason in &pair.reasons {
            out.push_str(&format!("\n  {} does not read {}: {reason}", pair.reader, pair.writer));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use spina_rules::source::Source;

    use super::super::desired::{Role, Schema};
    use super::*;

    fn schema(fields: &str) -> String {
        format!(r#"{{"type": "record", "name": "Booked", "namespace": "hotels", "fields": [{fields}]}}"#)
    }

    const GUEST: &str = r#"{"name": "guest", "type": "string"}"#;
    const NIGHTS: &str = r#"{"name": "nights", "type": "int"}"#;

    fn compared(versions: &[&str]) -> Matrix {
        let latest = schema(versions.last().unwrap());
        let schema_of = Schema::parse(&Source::new("Booked.avsc", latest)).unwrap();
        let name = "hotels.events.v1-hotels.Booked".to_owned();
        let subject = DesiredSubject { name, schema: Arc::new(schema_of), past: None, role: Role::Record };
        let candidates = versions
            .iter()
            .zip(1..)
            .map(|(fields, number)| Candidate { name: number.to_string(), schema: schema(fields) });
        matrix(&subject, Some("BACKWARD_TRANSITIVE".to_owned()), &candidates.collect::<Vec<_>>())
    }

    #[test]
    fn what_a_level_promises() {
        for (level, reader, writer, promised) in [
            ("BACKWARD", 1, 0, true),
            ("BACKWARD", 2, 0, false),
            ("BACKWARD_TRANSITIVE", 2, 0, true),
            ("BACKWARD_TRANSITIVE", 0, 2, false),
            ("FORWARD", 0, 1, true),
            ("FULL_TRANSITIVE", 0, 2, true),
            ("NONE", 1, 0, false),
        ] {
            assert_eq!(promises(level, reader, writer), promised, "{level} {reader} {writer}");
        }
    }

    #[test]
    fn each_version_is_held_against_each() {
        let both = format!("{GUEST}, {NIGHTS}");
        let found = compared(&[&both, GUEST, &both]);
        let reads = |reader: &str, writer: &str| {
            let pair = found.pairs.iter().find(|pair| pair.reader == reader && pair.writer == writer).unwrap();
            (pair.reads, pair.promised)
        };
        assert_eq!((reads("2", "1"), reads("1", "2")), ((true, true), (false, false)));
        assert_eq!((reads("3", "1"), reads("3", "2")), ((true, true), (false, true)));
        let told = text(&found);
        assert!(told.contains("no, though promised"), "{told}");
        assert!(told.ends_with("3 does not read 2: field nights was added without a default"), "{told}");
    }

    #[test]
    fn one_version_is_one_line() {
        assert_eq!(text(&compared(&[GUEST])), "hotels.events.v1-hotels.Booked (BACKWARD_TRANSITIVE): 1 only");
    }
}
