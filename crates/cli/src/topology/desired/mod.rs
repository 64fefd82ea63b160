//! What the files ask for: topics and registered schemas.

mod commands;
mod correlation;
mod intake;
mod notices;
mod projections;
mod published;
mod sagas;
mod schemas;
mod topics;
mod unique;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use spina_codec::registry::subject;
use spina_codec::shape::Shape;
use spina_core::ContextName;
use spina_core::saga::Plan;
use spina_log::names;
use spina_rules::context::{self, ContextDef};
use spina_rules::decide::Shapes;
use spina_rules::known::Known;
use spina_rules::source::{Located, Problem};
use spina_rules::upcast::UPCASTERS_FILE;

use super::connectors::{self, DesiredConnector};
use super::diff::{COMPATIBILITY, LEFT_TO_THE_PLAN};
use super::evolution::{Break, breaks_upcast};
use super::frozen::Past;

pub use schemas::{Schema, Schemas, whole};
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
    /// The connectors that must exist.
    pub connectors: Vec<DesiredConnector>,
    /// What the sagas do, every version of each.
    pub sagas: Vec<Plan>,
}

/// A schema under one subject.
#[derive(Debug, Clone)]
pub struct DesiredSubject {
    /// `<topic>-<full name>`.
    pub name: String,
    /// The schema.
    pub schema: Arc<Schema>,
    /// How older events of its context are read; `None` for records that are no events.
    pub past: Option<Arc<Past>>,
    /// What records it is for.
    pub role: Role,
}

/// What a schema is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Events, commands and the like. It only goes forward.
    Record,
    /// Rows of a read model. It may go back to an earlier version: writers go by its text, not by which came last.
    Row,
    /// Keys of rows. It never changes: the same row would have another key.
    RowKey,
}

impl DesiredSubject {
    /// How the registry is to judge further schemas.
    pub fn compatibility(&self) -> &'static str {
        let beyond = self.past.as_ref().is_some_and(|past| past.is_beyond_avro(&self.schema.shape, &self.schema.text));
        if beyond { LEFT_TO_THE_PLAN } else { COMPATIBILITY }
    }

    /// Why events of an older schema could not be read any more.
    pub fn breaks(&self, older: &str) -> Vec<Break> {
        let fields = self.past.as_ref().zip(Shape::compile(older).ok()).map(|(past, shape)| past.fields_today(&shape));
        breaks_upcast(&self.schema.text, older, fields.as_deref())
    }
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
    let mut known = Known::new();
    for context in &contexts {
        let named = context.events().map(|(_, event)| event);
        let events = resolve("event", context, named, &schemas, &mut files.problems);
        let named = context.commands().map(|(_, command)| &command.name);
        let commands = resolve("command", context, named, &schemas, &mut files.problems);
        files.desired.topics.extend(topics::of(context));
        let past = match Past::read(context, topology_dir, schemas_dir) {
            Ok(past) => Some(Arc::new(past)),
            Err(found) => {
                // A schema that is missing or not valid has its own problem.
                files.problems.extend(found.into_iter().filter(|problem| problem.file.ends_with(UPCASTERS_FILE)));
                None
            }
        };
        if let Some(past) = &past {
            files.problems.extend(past.problems());
            files.warnings.extend(past.unreleased().map(|shape| unreleased(context, schemas_dir, shape)));
        }
        files.desired.subjects.extend(subjects(context, &events, &commands, reply, past.as_ref()));
        files.problems.extend(commands::check(context, &events, &commands));
        let records: Vec<_> = events.iter().chain(&commands).collect();
        files.problems.extend(intake::add(&mut files.desired, context, &records));
        files.problems.extend(unique::add(&mut files.desired, context, &schemas));
        files.problems.extend(published::add(&mut files.desired, context, &events, &schemas));
        let (declared, found) = connectors::declared(context, topology_dir);
        files.desired.connectors.extend(declared);
        files.problems.extend(found);
        files.desired.contexts.push(context.name.clone());
        let outlines = |schemas: &[Arc<Schema>]| schemas.iter().map(|schema| schema.shape.outline()).collect();
        let outlined = Shapes { events: outlines(&events), commands: outlines(&commands) };
        known.insert(context.name.clone(), outlined);
    }
    let all = projections::Contexts { defs: &contexts, known: &known };
    for context in &contexts {
        files.problems.extend(projections::add(&mut files.desired, context, topology_dir, &all));
    }
    files.problems.extend(correlation::add(&mut files.desired, topology_dir, &schemas, &known));
    sagas::add(&mut files, topology_dir, &schemas, &known);
    notices::add(&mut files.desired, topology_dir, &schemas);
    files.warnings.extend(unlisted(&contexts, &schemas));
    files
}

/// The schemas of the context's events or commands, by their names. Complains about each that has none.
fn resolve<'n>(
    what: &str,
    context: &ContextDef,
    names: impl Iterator<Item = &'n Located<String>>,
    schemas: &Schemas,
    problems: &mut Vec<Problem>,
) -> Vec<Arc<Schema>> {
    let mut found = Vec::new();
    for name in names {
        match schemas.get(&context.record_name(name)) {
            Some(schema) => found.push(schema.clone()),
            // A file that is there but not valid has its own problem.
            None if schemas.file(context.name.as_str(), name).is_some() => {}
            None => {
                let file = schemas.dir().join(context.name.as_str()).join(format!("{}.avsc", name.value));
                let message = format!("{what} `{}` has no schema: {} does not exist", name.value, file.display());
                problems.push(Problem { file: context.file.clone(), place: name.place, message });
            }
        }
    }
    found
}

/// Events go to the events topic, and any client may publish them through the commands topic, beside commands; replies
/// are Spina's.
fn subjects(
    context: &ContextDef,
    events: &[Arc<Schema>],
    commands: &[Arc<Schema>],
    reply: Option<&Arc<Schema>>,
    past: Option<&Arc<Past>>,
) -> Vec<DesiredSubject> {
    let under = |topic: &str, schema: &Arc<Schema>, past: Option<&Arc<Past>>| DesiredSubject {
        name: subject(topic, &schema.full_name),
        schema: schema.clone(),
        past: past.cloned(),
        role: Role::Record,
    };
    let topics = [names::commands_topic(&context.name), names::events_topic(&context.name)];
    let events = topics.iter().flat_map(|topic| events.iter().map(|schema| under(topic, schema, past)));
    let commands = commands.iter().map(|schema| under(&topics[0], schema, None));
    let replies = names::replies_topic(&context.name);
    events.chain(commands).chain(reply.map(|schema| under(&replies, schema, None))).collect()
}

/// A schema that could not be read any more if nobody kept it.
fn unreleased(context: &ContextDef, schemas_dir: &Path, shape: &Shape) -> Problem {
    let file = schemas_dir.join(context.name.as_str()).join(format!("{}.avsc", shape.name()));
    schemas::whole(&file, "is not frozen as a released schema yet: `spina topology freeze` keeps it".to_owned())
}

/// Schemas that no context lists.
fn unlisted(contexts: &[ContextDef], schemas: &Schemas) -> Vec<Problem> {
    let listed: BTreeSet<String> = contexts
        .iter()
        .flat_map(|context| {
            let events = context.events().map(|(_, event)| event);
            events.chain(context.commands().map(|(_, command)| &command.name)).map(|name| context.record_name(name))
        })
        .chain(contexts.iter().flat_map(published::records))
        .chain([REPLY_RECORD, names::SCHEMA_RECORD, names::JOB_RECORD].map(str::to_owned))
        .chain(spina_core::unique::RECORDS.map(str::to_owned))
        .chain(correlation::records())
        .chain(sagas::RECORDS.map(|(_, record)| record.to_owned()))
        .collect();
    let unlisted = schemas.iter().filter(|schema| !listed.contains(&schema.full_name));
    unlisted
        .map(|schema| {
            schema.problem(None, "no context lists this event or command, so it is not registered".to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests;
