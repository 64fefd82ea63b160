//! The schema files of a context: `<schemas>/<context>/*.avsc`, one record each, as they are today; and
//! `<schemas>/<context>/released/<Event>.<n>.avsc`, as they were when they were released.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use spina_core::ContextName;

use crate::shape::{SCHEMA_BYTES_MAX, Shape, ShapeError};

/// Most schema files of one context.
const FILES_MAX: usize = 1_000;
/// The folder of released schemas within that of the context.
pub const RELEASED_FOLDER: &str = "released";

/// One schema file.
#[derive(Debug, Clone, PartialEq)]
pub struct SchemaFile {
    /// Where it is.
    pub path: PathBuf,
    /// Full name of its record: `flights.FlightLanded`.
    pub full_name: String,
    /// Its text, as it is registered.
    pub text: String,
    /// The schema, compiled.
    pub shape: Shape,
}

/// A schema as it was released.
#[derive(Debug, Clone, PartialEq)]
pub struct ReleasedFile {
    /// Where it is.
    pub path: PathBuf,
    /// The record's name without namespace.
    pub name: String,
    /// Its number, from 1, by which upcasters know it. Registries number otherwise.
    pub version: u32,
    /// The schema, compiled.
    pub shape: Shape,
}

/// Why the schema files of a context cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SchemaFileError {
    /// A file or folder that cannot be read.
    #[error("read {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file that is not a usable schema.
    #[error("schema file {}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ShapeError,
    },
    /// Two files of one record name.
    #[error("{} and {} both define `{full_name}`", first.display(), second.display())]
    Twice {
        /// The record's full name.
        full_name: String,
        /// One file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// A released schema that is not called `<Event>.<n>.avsc` after its record.
    #[error("{} holds record `{full_name}`: a released schema is called <Event>.<n>.avsc", path.display())]
    Misnamed {
        /// The file.
        path: PathBuf,
        /// The record's full name.
        full_name: String,
    },
    /// More files than any context has.
    #[error("{} has more than {FILES_MAX} schema files", path.display())]
    TooMany {
        /// The folder.
        path: PathBuf,
    },
}

/// Reads and compiles the schema files of a context, in the order of their names.
///
/// # Errors
/// When the folder or a file cannot be read, or a file is not a usable schema.
pub fn load(dir: &Path, context: &ContextName) -> Result<Vec<SchemaFile>, SchemaFileError> {
    let folder = dir.join(context.as_str());
    let paths = avsc_files(&folder).map_err(|source| SchemaFileError::Read { path: folder.clone(), source })?;
    if paths.len() > FILES_MAX {
        return Err(SchemaFileError::TooMany { path: folder });
    }
    let mut files: Vec<SchemaFile> = Vec::with_capacity(paths.len());
    for path in paths {
        let file = read(path)?;
        if let Some(first) = files.iter().find(|known| known.full_name == file.full_name) {
            let (first, second) = (first.path.clone(), file.path);
            return Err(SchemaFileError::Twice { full_name: file.full_name, first, second });
        }
        files.push(file);
    }
    Ok(files)
}

/// Reads and compiles the released schemas of a context, by name and number; none if it has none.
///
/// # Errors
/// As [`load`].
pub fn released(dir: &Path, context: &ContextName) -> Result<Vec<ReleasedFile>, SchemaFileError> {
    let folder = dir.join(context.as_str()).join(RELEASED_FOLDER);
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let paths = avsc_files(&folder).map_err(|source| SchemaFileError::Read { path: folder.clone(), source })?;
    if paths.len() > FILES_MAX {
        return Err(SchemaFileError::TooMany { path: folder });
    }
    let mut files = Vec::with_capacity(paths.len());
    for path in paths {
        let file = read(path)?;
        let name = file.shape.name().to_owned();
        let stem = file.path.file_stem().unwrap_or_default().to_string_lossy();
        let version = stem.strip_prefix(&name).and_then(|rest| rest.strip_prefix('.')?.parse().ok());
        match version.filter(|version| *version > 0) {
            Some(version) => files.push(ReleasedFile { version, name, shape: file.shape, path: file.path }),
            None => return Err(SchemaFileError::Misnamed { full_name: file.full_name, path: file.path }),
        }
    }
    files.sort_by(|one, other| (&one.name, one.version).cmp(&(&other.name, other.version)));
    Ok(files)
}

fn avsc_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let paths: io::Result<Vec<PathBuf>> = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect();
    let mut paths = paths?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "avsc"));
    paths.sort();
    Ok(paths)
}

fn read(path: PathBuf) -> Result<SchemaFile, SchemaFileError> {
    const MAX: u64 = SCHEMA_BYTES_MAX as u64;
    let length = fs::metadata(&path).map(|metadata| metadata.len());
    let text = length.and_then(|length| match length {
        0..=MAX => fs::read_to_string(&path),
        _ => Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("longer than {MAX} bytes"))),
    });
    let text = text.map_err(|source| SchemaFileError::Read { path: path.clone(), source })?;
    match Shape::compile(&text) {
        Ok(shape) => Ok(SchemaFile { path, full_name: shape.full_name().to_owned(), text, shape }),
        Err(source) => Err(SchemaFileError::Unusable { path, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of schema files that is gone at the end of the test.
    struct Schemas(PathBuf);

    impl Schemas {
        fn with(test: &str, files: &[(&str, &str)]) -> Self {
            let dir = std::env::temp_dir().join(format!("spina-schema-files-{test}-{}", std::process::id()));
            fs::create_dir_all(dir.join("flights")).unwrap();
            for (name, text) in files {
                fs::write(dir.join("flights").join(name), text).unwrap();
            }
            Self(dir)
        }

        fn load(&self) -> Result<Vec<SchemaFile>, SchemaFileError> {
            load(&self.0, &"flights".parse().unwrap())
        }
    }

    impl Drop for Schemas {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).ok();
        }
    }

    const A: &str = r#"{"type": "record", "name": "flights.A", "fields": []}"#;
    const B: &str = r#"{"type": "record", "name": "flights.B", "fields": []}"#;

    #[test]
    fn schema_files_are_read_in_order_and_others_are_not() {
        let schemas = Schemas::with("order", &[("b.avsc", B), ("a.avsc", A), ("README.md", "about")]);
        let names: Vec<String> = schemas.load().unwrap().into_iter().map(|file| file.full_name).collect();
        assert_eq!(names, ["flights.A", "flights.B"]);
    }

    #[test]
    fn files_that_cannot_be_used_are_named() {
        let twice = Schemas::with("twice", &[("a.avsc", A), ("b.avsc", A)]);
        assert!(matches!(twice.load(), Err(SchemaFileError::Twice { full_name, .. }) if full_name == "flights.A"));
        let broken = Schemas::with("broken", &[("a.avsc", "{")]);
        assert!(matches!(broken.load(), Err(SchemaFileError::Unusable { path, .. }) if path.ends_with("a.avsc")));
        let long = Schemas::with("long", &[("a.avsc", &" ".repeat(SCHEMA_BYTES_MAX + 1))]);
        assert!(matches!(long.load(), Err(SchemaFileError::Read { .. })));
        let absent = load(Path::new("/nonexistent"), &"flights".parse().unwrap());
        assert!(matches!(absent, Err(SchemaFileError::Read { .. })));
    }
}
