//! Read models: `topology/<context>/projections.yaml` must compile against the schemas of the context's events.

use std::path::Path;
use std::sync::Arc;

use spina_rules::context::ContextDef;
use spina_rules::projection;
use spina_rules::source::{Problem, Source};

use super::Schema;

/// The read models' file name within the context's folder.
const PROJECTIONS_FILE: &str = "projections.yaml";

/// What is wrong with the read models of a context; a context need not have any.
pub fn check(context: &ContextDef, topology_dir: &Path, events: &[Arc<Schema>]) -> Vec<Problem> {
    let path = topology_dir.join(context.name.as_str()).join(PROJECTIONS_FILE);
    if !path.exists() {
        return Vec::new();
    }
    let shapes: Vec<_> = events.iter().map(|schema| schema.shape.outline()).collect();
    let compiled = Source::read(&path).map_err(Into::into).and_then(|source| projection::compile(&source, &shapes));
    let mut problems = compiled.err().unwrap_or_default().0;
    // A model that uses an event whose schema is missing or broken: that would be the same mistake told twice.
    let known = |event: &str| shapes.iter().any(|shape| shape.name == event);
    for (_, event) in context.events().filter(|(_, event)| !known(event)) {
        problems.retain(|problem| !problem.message.contains(&format!("`{}`", event.value)));
    }
    problems
}
