//! Schema files: `schemas/<context>/<Event>.avsc`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use spina_codec::shape::Shape;
use spina_rules::node::{Node, Reading};
use spina_rules::source::{Located, Place, Problem, Source};

/// A schema that compiles, and where its fields are written.
#[derive(Debug)]
pub struct Schema {
    /// The file as the user named it.
    pub file: String,
    /// Name with namespace: `flights.FlightLanded`.
    pub full_name: String,
    /// The file's text.
    pub text: String,
    /// Its compiled form.
    pub shape: Shape,
    fields: BTreeMap<String, Place>,
}

impl Schema {
    /// Reads one file's text.
    pub fn parse(source: &Source) -> Result<Self, Problem> {
        let (_, root) = Reading::begin(source)?;
        // JSON is stricter than YAML, and the registry wants JSON.
        serde_json::from_str::<serde_json::Value>(source.text()).map_err(|error| {
            let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
            let place = Place { line: small(error.line()), column: small(error.column()) };
            source.problem(place, format!("not JSON: {error}"))
        })?;
        let shape = Shape::compile(source.text()).map_err(|error| {
            let message = error.to_string();
            source.problem(named_in(source.text(), &message).unwrap_or(root.place), message)
        })?;
        Ok(Self {
            file: source.file().to_owned(),
            full_name: shape.full_name().to_owned(),
            text: source.text().to_owned(),
            fields: field_places(&root),
            shape,
        })
    }

    /// A schema that no file holds: it follows from a definition in the file.
    pub fn derived(file: &str, text: String) -> Result<Self, Problem> {
        let whole = |error: spina_codec::shape::ShapeError| whole(Path::new(file), error.to_string());
        let shape = Shape::compile(&text).map_err(whole)?;
        let (file, full_name) = (file.to_owned(), shape.full_name().to_owned());
        Ok(Self { file, full_name, text, shape, fields: BTreeMap::new() })
    }

    /// A problem with the schema, at the place of one of its fields.
    pub fn problem(&self, field: Option<&str>, message: String) -> Problem {
        let place = field.and_then(|field| self.fields.get(field)).copied().unwrap_or(Place::FILE);
        Problem { file: self.file.clone(), place, message }
    }
}

/// Where the file has the type that an error message names (in quotes, or with its namespace): the last such place,
/// because a type is used after it is defined. The compiler of schemas knows names and not places.
fn named_in(text: &str, message: &str) -> Option<Place> {
    let quoted = message.split(['`', '"', '\'']).skip(1).step_by(2);
    let dotted = message.split_whitespace().filter(|word| word.contains('.'));
    let written = quoted.chain(dotted).map(|name| format!("\"{}\"", name.rsplit('.').next().unwrap_or(name)));
    let at = written.filter(|name| name.len() > 2).find_map(|name| text.rfind(&name))?;
    let before = &text[..at];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let line = small(before.matches('\n').count()).saturating_add(1);
    Some(Place { line, column: small(before[line_start..].chars().count()).saturating_add(1) })
}

/// Where each field of the record begins.
fn field_places(root: &Located<Node>) -> BTreeMap<String, Place> {
    let Node::Map(record) = &root.value else { return BTreeMap::new() };
    let Some(Node::List(fields)) = record.get("fields").map(|fields| &fields.value) else { return BTreeMap::new() };
    let named = fields.iter().filter_map(|field| match &field.value {
        Node::Map(entries) => match &entries.get("name")?.value {
            Node::Text(name) => Some((name.clone(), field.place)),
            Node::Null | Node::Bool(_) | Node::Int(_) | Node::Float(_) | Node::List(_) | Node::Map(_) => None,
        },
        Node::Null | Node::Bool(_) | Node::Int(_) | Node::Float(_) | Node::Text(_) | Node::List(_) => None,
    });
    named.collect()
}

/// All schema files of a folder.
#[derive(Debug, Default)]
pub struct Schemas {
    dir: PathBuf,
    by_name: BTreeMap<String, Arc<Schema>>,
    files: Vec<PathBuf>,
}

impl Schemas {
    /// Reads `<dir>/<context>/<Event>.avsc`; also tells what is wrong with the files.
    pub fn read(dir: &Path) -> (Self, Vec<Problem>) {
        let mut schemas = Self { dir: dir.to_owned(), ..Self::default() };
        let mut problems = Vec::new();
        match schema_files(dir) {
            Ok(files) => schemas.files = files,
            Err(error) => problems.push(whole(dir, format!("cannot be read: {error}"))),
        }
        for path in &schemas.files {
            match Source::read(path).and_then(|source| Schema::parse(&source)).and_then(|s| well_placed(s, path)) {
                Ok(schema) => _ = schemas.by_name.insert(schema.full_name.clone(), Arc::new(schema)),
                Err(problem) => problems.push(problem),
            }
        }
        (schemas, problems)
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The schema of a record by its full name.
    pub fn get(&self, full_name: &str) -> Option<&Arc<Schema>> {
        self.by_name.get(full_name)
    }

    /// The file of an event, whether it is valid or not.
    pub fn file(&self, context: &str, event: &str) -> Option<&Path> {
        let path = self.dir.join(context).join(format!("{event}.avsc"));
        self.files.iter().find(|file| **file == path).map(PathBuf::as_path)
    }

    /// All schemas, by full name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Schema>> {
        self.by_name.values()
    }
}

/// A schema's file is named after the record and lies in the folder of its namespace, so that both can be found.
fn well_placed(schema: Schema, path: &Path) -> Result<Schema, Problem> {
    let folder = path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().replace('-', "_");
    let expected = format!("{folder}.{}", path.file_stem().unwrap_or_default().to_string_lossy());
    if schema.full_name == expected {
        return Ok(schema);
    }
    Err(schema.problem(None, format!("holds record {}; a file at this place holds {expected}", schema.full_name)))
}

fn schema_files(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for folder in std::fs::read_dir(dir)? {
        let folder = folder?.path();
        if !folder.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(folder)? {
            let file = file?.path();
            if file.extension().is_some_and(|extension| extension == "avsc") {
                files.push(file);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// A problem with a file or folder as a whole.
pub fn whole(path: &Path, message: String) -> Problem {
    Problem { file: path.display().to_string(), place: Place::FILE, message }
}
