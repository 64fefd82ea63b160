//! Released schemas, each with a sample of what was written with it: `schemas/<context>/released/<Event>.<n>.avsc` and
//! `<Event>.<n>.json`.
//!
//! ```text
//! sample: avro (as written, hex) --the schema of its version--> written --upcasters, today's defaults--> read
//! ```
//!
//! A released schema and its sample never change; only `read` does, by hand, when old events are to be read otherwise.
//! So whoever changes how the past is read sees it in a diff, and a plan is refused that would change it unseen.

mod freeze;
mod sample;

use std::path::Path;
use std::sync::Arc;

use spina_codec::Readings;
use spina_codec::reading::Schemas;
use spina_codec::schema_files::{self, ReleasedFile, SchemaFileError};
use spina_codec::shape::Shape;
use spina_core::upcast::Written;
use spina_rules::context::ContextDef;
use spina_rules::source::{Place, Problem};
use spina_rules::upcast::{Released, Upcasters};

pub use freeze::freeze;
use sample::Sample;

use super::evolution::{self, Now};

/// How the past of a context is read.
#[derive(Debug)]
pub struct Past {
    upcasters: Arc<Upcasters>,
    released: Vec<ReleasedFile>,
    readings: Readings,
    today: Vec<Shape>,
}

impl Past {
    /// Reads released schemas and upcasters, or tells what is wrong with them.
    pub fn read(context: &ContextDef, topology_dir: &Path, schemas_dir: &Path) -> Result<Self, Vec<Problem>> {
        let records: Vec<String> = context.events().map(|(_, event)| context.record_name(event)).collect();
        let unusable = |error: SchemaFileError| vec![file_problem(schemas_dir, &error)];
        let files = schema_files::load(schemas_dir, &context.name).map_err(unusable)?;
        let today = files.into_iter().filter(|file| records.contains(&file.full_name)).map(|file| file.shape).collect();
        let released = schema_files::released(schemas_dir, &context.name).map_err(unusable)?;
        let schemas = Schemas::load(schemas_dir, &context.name, &records).map_err(unusable)?;
        let numbered: Vec<Released> = schemas.released().map(|(version, shape)| Released { version, shape }).collect();
        let upcasters = Upcasters::load(topology_dir, context, &schemas.events(), &numbered);
        let upcasters = Arc::new(upcasters.map_err(|problems| problems.0)?);
        let readings = Readings::new([(context.name.clone(), schemas.read_with(upcasters.clone()))]);
        Ok(Self { upcasters, released, readings, today })
    }

    /// How a context's events are read, for those who read them.
    pub fn readings(&self) -> &Readings {
        &self.readings
    }

    /// What a released schema's sample, or its absence, tells against the files.
    pub fn problems(&self) -> Vec<Problem> {
        self.released.iter().filter_map(|file| self.check(file)).collect()
    }

    /// Events whose schema was not released yet, in a context that has released some.
    pub fn unreleased(&self) -> impl Iterator<Item = &Shape> {
        let released = |shape: &Shape| self.released.iter().any(|file| file.shape == *shape);
        self.today.iter().filter(move |shape| !self.released.is_empty() && !released(shape))
    }

    /// The fields of an older schema of a record as upcasters leave them.
    pub fn fields_today(&self, older: &Shape) -> Vec<Now> {
        let fields: Vec<&str> = older.fields().iter().map(|field| field.name()).collect();
        let version = self.released.iter().find(|file| file.shape == *older).map(|file| file.version);
        self.upcasters.fields_today(&Written { record: older.full_name(), version, fields: &fields })
    }

    /// Whether events of a released version of the record can be read with its schema by upcasters only, so that no
    /// registry would let the schema pass.
    pub fn is_beyond_avro(&self, schema: &Shape, text: &str) -> bool {
        let mut older = self.released.iter().filter(|file| file.shape.full_name() == schema.full_name());
        older.any(|file| {
            let before = std::fs::read_to_string(&file.path).unwrap_or_default();
            !evolution::breaks(text, &before).is_empty()
        })
    }

    fn check(&self, file: &ReleasedFile) -> Option<Problem> {
        let path = file.path.with_extension("json");
        let refuse = |message: String| Problem { file: path.display().to_string(), place: Place::FILE, message };
        match Sample::read(&path) {
            Ok(sample) => self.differs(file, &sample).map(refuse),
            Err(message) => Some(refuse(message)),
        }
    }

    /// How the sample is read otherwise than it says.
    fn differs(&self, file: &ReleasedFile, sample: &Sample) -> Option<String> {
        let written = match sample.decode(&file.shape) {
            Ok(written) => written,
            Err(message) => return Some(message),
        };
        if written != sample.written {
            return Some("`avro` does not say what `written` says: neither may ever change".to_owned());
        }
        let read = match self.today(&file.shape, written) {
            Ok(read) => read,
            Err(message) => return Some(message),
        };
        if read != sample.read {
            let (read, was) = (read.to_json(), sample.read.to_json());
            return Some(format!("is read as {read} now, not as {was}: if that is meant, put it under `read`"));
        }
        None
    }

    /// The fields as they are read today, if today's schema can say them.
    fn today(&self, shape: &Shape, written: sample::Fields) -> Result<sample::Read, String> {
        let mut read = sample::Read { event: shape.name().to_owned(), data: written };
        if let Some(reading) = self.readings.of(shape) {
            read.data = reading.fields(read.data).map_err(|error| error.to_string())?;
            read.event = reading.name().unwrap_or(shape.name()).to_owned();
        }
        // An event that the context does not have any more is read as it was written.
        let today = self.today.iter().find(|today| today.name() == read.event);
        if let Some(Err(invalid)) = today.map(|today| today.encode(&read.data)) {
            return Err(format!("is read as what is no {} today: {}: {invalid}", read.event, invalid.path));
        }
        Ok(read)
    }
}

fn file_problem(schemas_dir: &Path, error: &SchemaFileError) -> Problem {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    super::desired::whole(schemas_dir, format!("{error}{cause}"))
}

#[cfg(test)]
mod tests;
