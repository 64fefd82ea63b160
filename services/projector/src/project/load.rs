//! The contexts and their models, read from the topology and schema folders.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use spina_codec::{Readings, schema_files};
use spina_core::ContextName;
use spina_log::names;
use spina_rules::context::ContextDef;
use spina_rules::event_shape::EventShape;
use spina_rules::projection::{ContextEvents, Model, compile, contexts_named};
use spina_rules::source::Source;
use spina_store::read_model::{Input, Inputs};

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
    pub models: Vec<DefinedModel>,
}

/// A model, and the topics that it reads.
#[derive(Debug)]
pub struct DefinedModel {
    /// The model.
    pub model: Arc<Model>,
    /// The topics, in the order of the model's inputs.
    pub inputs: Inputs,
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
        let source = Source::read(&path)?;
        let named = contexts_named(&source)?;
        let others = contexts.iter().filter(|other| other.name != def.name && named.contains(other.name.as_str()));
        let of = |other: &ContextDef| {
            Ok(ContextEvents { context: other.name.to_string(), events: events_of(schemas_dir, other)? })
        };
        let others = others.map(of).collect::<anyhow::Result<Vec<_>>>()?;
        let models = compile(&source, &events_of(schemas_dir, def)?, &others)?;
        let defined = models.into_iter().map(|model| defined(model, def, contexts, readings));
        definitions.push(Definition {
            partitions: partitions_of(def)?,
            context: def.name.clone(),
            models: defined.collect::<anyhow::Result<_>>()?,
        });
    }
    Ok(definitions)
}

fn events_of(schemas_dir: &Path, def: &ContextDef) -> anyhow::Result<Vec<EventShape>> {
    let files = schema_files::load(schemas_dir, &def.name).context("read the schemas")?;
    let mut events = Vec::new();
    for (_, event) in def.events() {
        let record = def.record_name(event);
        let file = files.iter().find(|file| file.full_name == record);
        let file = file.with_context(|| format!("no schema file defines {record}"))?;
        events.push(file.shape.outline());
    }
    Ok(events)
}

fn partitions_of(def: &ContextDef) -> anyhow::Result<usize> {
    usize::try_from(def.partitions.value).context("count the partitions")
}

/// The model over the events that it looks at, as upcasters give them, and the topics that have them.
fn defined(
    mut model: Model,
    own: &ContextDef,
    contexts: &[ContextDef],
    readings: &Readings,
) -> anyhow::Result<DefinedModel> {
    let mut inputs = Vec::new();
    for at in 0..model.inputs().len() {
        let input = &model.inputs()[at];
        let other = |name: &str| contexts.iter().find(|def| def.name.as_str() == name);
        let def = input.context().map_or(Some(own), other).context("find a context that a model reads")?;
        let events: Vec<&str> = input.events().map(|(event, _)| event).collect();
        let fingerprint = readings.fingerprint(&def.name, &events);
        inputs.push(Input { topic: names::events_topic(&def.name), partitions: partitions_of(def)? });
        model = model.reading(&fingerprint);
    }
    Ok(DefinedModel { model: Arc::new(model), inputs: Inputs::of(inputs) })
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
        let names: Vec<_> = flights.models.iter().map(|defined| defined.model.name()).collect();
        assert_eq!(names, ["flight_status", "carrier_punctuality", "airport_day", "aircraft"]);
    }
}
