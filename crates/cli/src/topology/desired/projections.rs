//! Read models: `topology/<context>/projections.yaml` must compile against the schemas of the context's events, and of the
//! events of other contexts that it names. Models that say `topic: true` ask for a compacted topic, and for the schemas of its
//! records, which follow from their columns.

use std::path::Path;
use std::sync::Arc;

use spina_codec::model_record::ModelSchemas;
use spina_codec::registry::subject;
use spina_log::names;
use spina_rules::context::ContextDef;
use spina_rules::known::Known;
use spina_rules::projection::{self, ContextEvents, Model};
use spina_rules::source::{Problem, Source};

use super::{Desired, DesiredSubject, Role, Schema, topics};

/// The read models' file name within the context's folder.
const PROJECTIONS_FILE: &str = "projections.yaml";

/// All contexts.
pub struct Contexts<'a> {
    /// As they are declared.
    pub defs: &'a [ContextDef],
    /// The shapes of their events; those whose schema is missing or broken are left out.
    pub known: &'a Known,
}

/// Adds what the read models of a context ask for, and tells what is wrong with them; a context need not have any.
pub fn add(desired: &mut Desired, context: &ContextDef, topology_dir: &Path, contexts: &Contexts<'_>) -> Vec<Problem> {
    let path = topology_dir.join(context.name.as_str()).join(PROJECTIONS_FILE);
    if !path.exists() {
        return Vec::new();
    }
    let events = |def: &ContextDef| contexts.known.get(&def.name).map_or(&[][..], |shapes| &shapes.events);
    let others = contexts.defs.iter().filter(|def| def.name != context.name);
    let others = others.map(|def| ContextEvents { context: def.name.to_string(), events: events(def).to_vec() });
    let others: Vec<_> = others.collect();
    let source = Source::read(&path).map_err(Into::into);
    let mut problems = match source.and_then(|source| projection::compile(&source, events(context), &others)) {
        Ok(models) => {
            let told = models.iter().filter(|model| model.has_topic());
            let file = path.display().to_string();
            return told.filter_map(|model| topic_of(desired, context, model, &file).err()).collect();
        }
        Err(problems) => problems.0,
    };
    // A model that uses an event whose schema is missing or broken: that would be the same mistake told twice.
    let known = |def: &ContextDef, event: &str| events(def).iter().any(|shape| shape.name == event);
    for def in contexts.defs {
        for (_, event) in def.events().filter(|(_, event)| !known(def, event)) {
            problems.retain(|problem| !problem.message.contains(&format!("`{}`", event.value)));
        }
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
