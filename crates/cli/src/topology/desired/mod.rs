//! What the files ask for: topics and registered schemas.

mod projections;
mod schemas;
mod topics;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use spina_codec::registry::subject;
use spina_core::ContextName;
use spina_log::names;
use spina_rules::context::{self, ContextDef};
use spina_rules::source::Problem;

pub use schemas::{Schema, Schemas};
#[cfg(test)]
pub use topics::of as topics_of;
pub use topics::{Configs, DesiredTopic, Purpose};

/// Full name of the record that answers a request; it belongs to Spina and not to a context.
pub const REPLY_RECORD: &str = "spina.Reply";

/// What the files ask for.
#[derive(Debug, Default)]
pub struct Desired {
    /// The contexts, by name.
    pub contexts: Vec<ContextName>,
    /// Their topics.
    pub topics: Vec<DesiredTopic>,
    /// The subjects of the registry that must exist.
    pub subjects: Vec<DesiredSubject>,
}

/// A schema under one subject.
#[derive(Debug, Clone)]
pub struct DesiredSubject {
    /// `<topic>-<full name>`.
    pub name: String,
    /// The schema.
    pub schema: Arc<Schema>,
}

/// The files, read and checked.
#[derive(Debug, Default)]
pub struct Files {
    /// What they ask for; only good for use where there is no problem.
    pub desired: Desired,
    /// What looks odd but does no harm.
    pub warnings: Vec<Problem>,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

/// Reads and checks all definitions and schemas.
pub fn read(topology_dir: &Path, schemas_dir: &Path) -> Files {
    let (contexts, mut problems) = context::read_all(topology_dir);
    let (schemas, found) = Schemas::read(schemas_dir);
    problems.extend(found);
    let mut files = Files { problems, ..Files::default() };
    let reply = schemas.get(REPLY_RECORD);
    if reply.is_none() && schemas.file("spina", "Reply").is_none() {
        let message = format!("the schema of {REPLY_RECORD} is missing");
        files.problems.push(schemas::whole(&schemas_dir.join("spina/Reply.avsc"), message));
    }
    for context in &contexts {
        let events = resolve_events(context, &schemas, &mut files.problems);
        files.desired.topics.extend(topics::of(context));
        files.desired.subjects.extend(subjects(context, &events, reply));
        files.problems.extend(projections::check(context, topology_dir, &events));
        files.desired.contexts.push(context.name.clone());
    }
    files.warnings.extend(unlisted(&contexts, &schemas));
    files
}

/// The schemas of the context's events, by the event's name. Complains about each event that has none.
fn resolve_events(context: &ContextDef, schemas: &Schemas, problems: &mut Vec<Problem>) -> Vec<Arc<Schema>> {
    let mut found = Vec::new();
    for (_, event) in context.events() {
        match schemas.get(&context.record_name(event)) {
            Some(schema) => found.push(schema.clone()),
            // A file that is there but not valid has its own problem.
            None if schemas.file(context.name.as_str(), event).is_some() => {}
            None => {
                let file = schemas.dir().join(context.name.as_str()).join(format!("{}.avsc", event.value));
                let message = format!("event `{}` has no schema: {} does not exist", event.value, file.display());
                problems.push(Problem { file: context.file.clone(), place: event.place, message });
            }
        }
    }
    found
}

/// Events go to the events topic, and any client may publish them through the commands topic; replies are Spina's.
fn subjects(context: &ContextDef, events: &[Arc<Schema>], reply: Option<&Arc<Schema>>) -> Vec<DesiredSubject> {
    let under = |topic: &str, schema: &Arc<Schema>| DesiredSubject {
        name: subject(topic, &schema.full_name),
        schema: schema.clone(),
    };
    let topics = [names::commands_topic(&context.name), names::events_topic(&context.name)];
    let events = topics.iter().flat_map(|topic| events.iter().map(|schema| under(topic, schema)));
    let replies = names::replies_topic(&context.name);
    events.chain(reply.map(|schema| under(&replies, schema))).collect()
}

/// Schemas that no context lists.
fn unlisted(contexts: &[ContextDef], schemas: &Schemas) -> Vec<Problem> {
    let listed: BTreeSet<String> = contexts
        .iter()
        .flat_map(|context| context.events().map(|(_, event)| context.record_name(event)))
        .chain([REPLY_RECORD.to_owned()])
        .collect();
    let unlisted = schemas.iter().filter(|schema| !listed.contains(&schema.full_name));
    unlisted
        .map(|schema| schema.problem(None, "no context lists this event, so it is not registered".to_owned()))
        .collect()
}

#[cfg(test)]
mod tests;
