//! The contexts and their models, read from the topology and schema folders.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use spina_codec::{Readings, schema_files};
use spina_core::ContextName;
use spina_rules::context::ContextDef;
use spina_rules::projection::{Model, compile};
use spina_rules::source::Source;

/// The file of a context's models within its folder.
const FILE: &str = "projections.yaml";

/// A context with its models.
#[derive(Debug)]
pub struct Definition {
    /// Its name.
    pub context: ContextName,
    /// Number of partitions of its topics.
    pub partitions: usize,
    /// Its models.
    pub models: Vec<Arc<Model>>,
}

/// Reads every context that has models. A mistake anywhere is an error that names file, line and column.
pub fn load(
    topology_dir: &Path,
    schemas_dir: &Path,
    contexts: &[ContextDef],
    readings: &Readings,
) -> anyhow::Result<Vec<Definition>> {
    let mut definitions = Vec::new();
    for def in contexts {
        let path = topology_dir.join(def.name.as_str()).join(FILE);
        if !path.exists() {
            continue;
        }
        let files = schema_files::load(schemas_dir, &def.name).context("read the schemas")?;
        let mut events = Vec::new();
        for (_, event) in def.events() {
            let record = def.record_name(event);
            let file = files.iter().find(|file| file.full_name == record);
            let file = file.with_context(|| format!("no schema file defines {record}"))?;
            events.push(file.shape.outline());
        }
        let models = compile(&Source::read(&path)?, &events)?;
        definitions.push(Definition {
            partitions: usize::try_from(def.partitions.value).context("count the partitions")?,
            context: def.name.clone(),
            models: models.into_iter().map(|model| Arc::new(read_as(model, &def.name, readings))).collect(),
        });
    }
    Ok(definitions)
}

/// The model over the events that it looks at, as upcasters give them.
fn read_as(model: Model, context: &ContextName, readings: &Readings) -> Model {
    let events: Vec<&str> = model.events().map(|(event, _)| event).collect();
    let fingerprint = readings.fingerprint(context, &events);
    model.reading(&fingerprint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_models_of_this_repository_compile() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let contexts = spina_rules::context::load_all(&root.join("topology")).unwrap();
        let definitions = load(&root.join("topology"), &root.join("schemas"), &contexts, &Readings::default()).unwrap();
        let flights = definitions.iter().find(|def| def.context.as_str() == "flights").unwrap();
        let names: Vec<_> = flights.models.iter().map(|model| model.name()).collect();
        assert_eq!(names, ["flight_status", "carrier_punctuality", "airport_day", "aircraft"]);
    }
}
