//! Samples that are kept, and what may change about them.

use std::fs;
use std::path::PathBuf;

use spina_rules::context;

use super::*;

const CONTEXT: &str = "context: flights\npartitions: 1\naggregates: {flight: {events: [FlightLanded]}}\n";

fn landed(fields: &str) -> String {
    format!(r#"{{"type": "record", "name": "FlightLanded", "namespace": "flights", "fields": [{fields}]}}"#)
}

const DELAY: &str = r#"{"name": "delay", "type": "int"}"#;
const DELAY_MIN: &str = r#"{"name": "delay_min", "type": "int"}"#;
const RENAME: &str = "upcasters:\n  FlightLanded:\n    steps:\n      - rename: { delay: delay_min }\n";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("topology/flights/context.yaml", CONTEXT);
        folder.write("schemas/flights/FlightLanded.avsc", &landed(DELAY));
        folder
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    /// Freezes; the names of the new files, or the error.
    fn freeze(&self) -> Result<Vec<String>, String> {
        let files = freeze(&self.path("topology"), &self.path("schemas")).map_err(|error| format!("{error:#}"))?;
        Ok(files.iter().map(|file| file.file_name().unwrap().to_string_lossy().into_owned()).collect())
    }

    fn past(&self) -> Result<Past, Vec<Problem>> {
        let contexts = context::load_all(&self.path("topology")).unwrap();
        Past::read(&contexts[0], &self.path("topology"), &self.path("schemas"))
    }

    fn problems(&self) -> String {
        let problems = self.past().map_or_else(|problems| problems, |past| past.problems());
        problems.iter().map(|problem| format!("{problem}\n")).collect()
    }
}

#[test]
fn each_released_version_is_frozen_once_and_read_for_ever() {
    let folder = Folder::new();
    assert_eq!(folder.freeze().unwrap(), ["FlightLanded.1.json", "FlightLanded.1.avsc"]);
    assert_eq!(folder.freeze().unwrap(), [""; 0]);
    assert_eq!(folder.problems(), "");

    // A new schema that cannot read the old events by itself, and nothing declared about it.
    folder.write("schemas/flights/FlightLanded.avsc", &landed(DELAY_MIN));
    let refused = folder.freeze().unwrap_err();
    assert!(refused.contains("is read as what is no FlightLanded today"), "{refused}");
    assert!(!folder.path("schemas/flights/released/FlightLanded.2.avsc").exists());

    // Declared, but how the first version is read was not agreed to.
    folder.write("topology/flights/upcasters.yaml", RENAME);
    let refused = folder.freeze().unwrap_err();
    assert!(refused.contains(r#"is read as {"type":"FlightLanded","data":{"delay_min":1234}} now"#), "{refused}");
    let first = "schemas/flights/released/FlightLanded.1.json";
    let (written, read) = folder.text(first).split_once("\"read\"").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    folder.write(first, &format!("{written}\"read\"{}", read.replace("delay", "delay_min")));
    assert_eq!(folder.freeze().unwrap(), ["FlightLanded.2.json", "FlightLanded.2.avsc"]);
    assert_eq!(folder.problems(), "");
    let past = folder.past().unwrap();
    assert_eq!(past.unreleased().count(), 0);
    let today = folder.text("schemas/flights/FlightLanded.avsc");
    assert!(past.is_beyond_avro(&Shape::compile(&today).unwrap(), &today));
}

#[test]
fn a_frozen_file_that_was_changed_is_told() {
    let folder = Folder::new();
    folder.freeze().unwrap();
    let (schema, sample) =
        ("schemas/flights/released/FlightLanded.1.avsc", "schemas/flights/released/FlightLanded.1.json");
    let (kept_schema, kept) = (folder.text(schema), folder.text(sample));
    for (path, text, complaint) in [
        (sample, kept.replace("a413", "a415"), "`avro` does not say what `written` says"),
        (sample, kept.replace("a413", "a4"), "`avro` cannot be decoded"),
        (sample, kept.replace("a413", "a41"), "not pairs of hexadecimal digits"),
        (sample, "{}".to_owned(), "is no sample"),
        (schema, landed(&format!("{DELAY}, {DELAY_MIN}")), "`avro` cannot be decoded"),
    ] {
        folder.write(path, &text);
        assert!(folder.problems().contains(complaint), "{complaint}: {}", folder.problems());
        folder.write(schema, &kept_schema);
        folder.write(sample, &kept);
    }
    fs::remove_file(folder.path(sample)).unwrap();
    assert!(folder.problems().contains("every released schema has a sample"));
    assert_eq!(folder.freeze().unwrap(), ["FlightLanded.1.json"]);
    assert_eq!(folder.text(sample), kept);
    fs::rename(folder.path(schema), folder.path("schemas/flights/released/Landed.1.avsc")).unwrap();
    assert!(folder.problems().contains("a released schema is called <Event>.<n>.avsc"));
}

/// The contexts of this repository: every schema that was released has its sample and is read as the sample says.
#[test]
fn every_released_schema_of_this_repository_has_a_sample_and_is_read_as_it_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (topology, schemas) = (root.join("topology"), root.join("schemas"));
    for context in context::load_all(&topology).unwrap() {
        let past = Past::read(&context, &topology, &schemas).unwrap();
        assert_eq!(past.problems(), []);
        assert_eq!(past.unreleased().map(Shape::name).collect::<Vec<_>>(), [""; 0], "run `spina topology freeze`");
        assert!(past.released.len() >= context.events().count(), "{} has released its events", context.name);
    }
}
