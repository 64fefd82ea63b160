//! Commands: the rules of `context.yaml` must compile against the schemas of the context's commands and events.

use std::path::Path;
use std::sync::Arc;

use spina_rules::context::ContextDef;
use spina_rules::decide::{self, Shapes};
use spina_rules::source::{Problem, Source};

use super::Schema;

/// What is wrong with the commands of a context. As long as a schema is missing nothing is said: most of it would follow
/// from that.
pub fn check(context: &ContextDef, events: &[Arc<Schema>], commands: &[Arc<Schema>]) -> Vec<Problem> {
    let complete = events.len() == context.events().count() && commands.len() == context.commands().count();
    let source = match Source::read(Path::new(&context.file)) {
        Ok(source) if complete => source,
        Ok(_) | Err(_) => return Vec::new(),
    };
    let outlines = |schemas: &[Arc<Schema>]| schemas.iter().map(|schema| schema.shape.outline()).collect();
    let shapes = Shapes { events: outlines(events), commands: outlines(commands) };
    decide::compile(&source, context, &shapes).err().unwrap_or_default().0
}
