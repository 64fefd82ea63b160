//! Unique fields: the events topic also holds claims of their values, whose records belong to Spina.

use std::sync::Arc;

use spina_codec::registry::subject;
use spina_core::unique::RECORDS;
use spina_log::names;
use spina_rules::context::ContextDef;
use spina_rules::source::Problem;

use super::{Desired, DesiredSubject, Role, Schemas};

/// Adds the subjects of claims, if an aggregate of the context has unique fields.
pub fn add(desired: &mut Desired, context: &ContextDef, schemas: &Schemas) -> Vec<Problem> {
    let Some(field) = context.aggregates.iter().find_map(|aggregate| aggregate.unique.first()) else {
        return Vec::new();
    };
    let topic = names::events_topic(&context.name);
    let mut problems = Vec::new();
    for record in RECORDS {
        match schemas.get(record) {
            Some(schema) => desired.subjects.push(DesiredSubject {
                name: subject(&topic, record),
                schema: Arc::clone(schema),
                past: None,
                role: Role::Record,
            }),
            None => {
                let message = format!("unique fields need the schema of {record}, which is missing");
                problems.push(Problem { file: context.file.clone(), place: field.place, message });
            }
        }
    }
    problems
}
