//! Read models: `topology/<context>/projections.yaml` must compile against the schemas of the context's events. Models that
//! say `topic: true` ask for a compacted topic, and for the schemas of its records, which follow from their columns.

use std::path::Path;
use std::sync::Arc;

use spina_codec::model_record::ModelSchemas;
use spina_codec::registry::subject;
use spina_log::names;
use spina_rules::context::ContextDef;
use spina_rules::projection::{self, Model};
use spina_rules::source::{Problem, Source};

use super::{Desired, DesiredSubject, Role, Schema, topics};

/// The read models' file name within the context's folder.
const PROJECTIONS_FILE: &str = "projections.yaml";

/// Adds what the read models of a context ask for, and tells what is wrong with them; a context need not have any.
pub fn add(desired: &mut Desired, context: &ContextDef, topology_dir: &Path, events: &[Arc<Schema>]) -> Vec<Problem> {
    let path = topology_dir.join(context.name.as_str()).join(PROJECTIONS_FILE);
    if !path.exists() {
        return Vec::new();
    }
    let shapes: Vec<_> = events.iter().map(|schema| schema.shape.outline()).collect();
    let compiled = Source::read(&path).map_err(Into::into).and_then(|source| projection::compile(&source, &shapes));
    let mut problems = match compiled {
        Ok(models) => {
            let told = models.iter().filter(|model| model.has_topic());
            let file = path.display().to_string();
            return told.filter_map(|model| topic_of(desired, context, model, &file).err()).collect();
        }
        Err(problems) => problems.0,
    };
    // A model that uses an event whose schema is missing or broken: that would be the same mistake told twice.
    let known = |event: &str| shapes.iter().any(|shape| shape.name == event);
    for (_, event) in context.events().filter(|(_, event)| !known(event)) {
        problems.retain(|problem| !problem.message.contains(&format!("`{}`", event.value)));
    }
    problems
}

fn topic_of(desired: &mut Desired, context: &ContextDef, model: &Model, file: &str) -> Result<(), Problem> {
    let topic = names::model_topic(&context.name, model.name());
    let schemas = ModelSchemas::of(&context.name, model.name(), model.shape());
    for (text, role) in [(schemas.key, Role::RowKey), (schemas.value, Role::Row)] {
        let schema = Arc::new(Schema::derived(file, text)?);
        let name = subject(&topic, &schema.full_name);
        desired.subjects.push(DesiredSubject { name, schema, past: None, role });
    }
    desired.topics.push(topics::model(context, topic));
    Ok(())
}
