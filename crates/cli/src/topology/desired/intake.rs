//! Topics of plain JSON that a context takes in: they must be there, and what is made of them must have a schema.

use std::path::Path;
use std::sync::Arc;

use spina_log::names;
use spina_rules::context::{ContextDef, IntakeDef};
use spina_rules::intake;
use spina_rules::source::{Problem, Source};

use super::{Desired, Schema, topics};

/// Adds the topics, and tells what is wrong with the declarations.
pub fn add(desired: &mut Desired, context: &ContextDef, records: &[&Arc<Schema>]) -> Vec<Problem> {
    // A file that was read a moment ago.
    let Ok(source) = Source::read(Path::new(&context.file)) else { return Vec::new() };
    let mut problems = Vec::new();
    for def in &context.intake {
        if names::is_ours(&def.topic) || names::is_versioned_topic_of(&context.name, &def.topic) {
            let message = format!("`{}` is named like a topic of Spina's own", def.topic.value);
            problems.push(source.problem(def.topic.place, message));
            continue;
        }
        // Another context may take the same one in.
        if !desired.topics.iter().any(|topic| topic.name == def.topic.value) {
            desired.topics.extend(topics::intake(context, &def.topic));
        }
        problems.extend(against_record(&source, context, def, records));
    }
    problems
}

fn against_record(source: &Source, context: &ContextDef, def: &IntakeDef, records: &[&Arc<Schema>]) -> Vec<Problem> {
    let Some(record) = records.iter().find(|schema| schema.shape.name() == def.r#type.value) else {
        let named = |name: &str| name == def.r#type.value;
        let listed =
            context.events().any(|(_, event)| named(event)) || context.commands().any(|(_, it)| named(&it.name));
        let message = format!("the context has no event or command `{}`", def.r#type.value);
        // One that is listed and has no schema has its own problem.
        return if listed { Vec::new() } else { vec![source.problem(def.r#type.place, message)] };
    };
    let compiled = intake::compile(source, def, &record.shape.outline());
    compiled.err().map(|problems| problems.0).unwrap_or_default()
}
