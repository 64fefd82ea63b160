//! Published topics: flat records of a context's events, with schemas of their own.

use std::path::Path;
use std::sync::Arc;

use spina_codec::registry::subject;
use spina_log::names;
use spina_rules::context::{ContextDef, PublishDef};
use spina_rules::publish;
use spina_rules::source::{Problem, Source};

use super::{Desired, DesiredSubject, Role, Schema, Schemas, topics};

/// Adds the topics and subjects of what a context publishes, and tells what is wrong with it.
pub fn add(desired: &mut Desired, context: &ContextDef, events: &[Arc<Schema>], schemas: &Schemas) -> Vec<Problem> {
    // A file that was read a moment ago.
    let Ok(source) = Source::read(Path::new(&context.file)) else { return Vec::new() };
    let mut problems = Vec::new();
    for def in &context.publish {
        let topic = names::published_topic(&context.name, &def.name);
        desired.topics.extend(topics::published(context, &topic));
        match public_schema(&source, context, def, schemas) {
            Ok(schema) => {
                problems.extend(against_event(&source, context, def, events, &schema));
                desired.subjects.push(DesiredSubject {
                    name: subject(&topic, &schema.full_name),
                    schema,
                    past: None,
                    role: Role::Record,
                });
            }
            Err(found) => problems.extend(found),
        }
    }
    problems
}

fn public_schema(
    source: &Source,
    context: &ContextDef,
    def: &PublishDef,
    schemas: &Schemas,
) -> Result<Arc<Schema>, Option<Problem>> {
    let (folder, record) = (publish::folder(context), publish::record_name(context, &def.record));
    schemas.get(&record).cloned().ok_or_else(|| {
        // A file that is there but not valid has its own problem.
        let missing = schemas.file(&folder, &def.record).is_none();
        let file = schemas.dir().join(folder).join(format!("{}.avsc", def.record.value));
        let message = format!("`{}` has no schema: {} does not exist", def.record.value, file.display());
        missing.then(|| source.problem(def.record.place, message))
    })
}

fn against_event(
    source: &Source,
    context: &ContextDef,
    def: &PublishDef,
    events: &[Arc<Schema>],
    public: &Schema,
) -> Vec<Problem> {
    let Some(event) = events.iter().find(|schema| schema.shape.name() == def.event.value) else {
        let listed = context.events().any(|(_, event)| event.value == def.event.value);
        let message = format!("the context has no event `{}`", def.event.value);
        // One that is listed and has no schema has its own problem.
        return if listed { Vec::new() } else { vec![source.problem(def.event.place, message)] };
    };
    let compiled = publish::compile(source, context, def, &event.shape.outline(), &public.shape.outline());
    compiled.err().map(|problems| problems.0).unwrap_or_default()
}

/// Full names of the public records of a context.
pub fn records(context: &ContextDef) -> impl Iterator<Item = String> {
    context.publish.iter().map(|def| publish::record_name(context, &def.record))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::read;

    const CONTEXT: &str = "context: hotels\npartitions: 2\naggregates:\n  room: {events: [Booked]}\npublish:\n  \
                           bookings.v1: {event: Booked, record: Booking, mask: {guest: 0}}\n";
    const BOOKED: &str = r#"{"type": "record", "name": "Booked", "namespace": "hotels",
        "fields": [{"name": "guest", "type": "string"}, {"name": "cents", "type": "int"}]}"#;
    const BOOKING: &str = r#"{"type": "record", "name": "Booking", "namespace": "hotels_public",
        "fields": [{"name": "guest", "type": "string"}]}"#;

    /// Topics, subjects and problems of the publishing context with these schemas.
    fn of(context: &str, public: Option<&str>) -> (Vec<String>, Vec<String>, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("topology/hotels/context.yaml", context);
        put("schemas/hotels/Booked.avsc", BOOKED);
        let reply = BOOKING.replace("Booking", "Reply").replace("hotels_public", "spina");
        put("schemas/spina/Reply.avsc", &reply);
        if let Some(public) = public {
            put("schemas/hotels-public/Booking.avsc", public);
        }
        let files = read(&folder.path().join("topology"), &folder.path().join("schemas"));
        let topics = files.desired.topics.into_iter().map(|topic| topic.name);
        let subjects = files.desired.subjects.into_iter().map(|subject| subject.name);
        (topics.collect(), subjects.collect(), files.problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_published_topic_has_dead_letters_and_a_subject_of_its_own() {
        let (topics, subjects, problems) = of(CONTEXT, Some(BOOKING));
        assert_eq!(problems, [""; 0]);
        assert!(
            topics.ends_with(&["hotels.bookings.v1".to_owned(), "hotels.bookings.v1.dlq".to_owned()]),
            "{topics:?}"
        );
        assert!(subjects.contains(&"hotels.bookings.v1-hotels_public.Booking".to_owned()), "{subjects:?}");
    }

    #[test]
    fn a_public_record_that_the_event_cannot_fill_is_refused_in_place() {
        let more = BOOKING.replace("\"string\"}]", "\"string\"}, {\"name\": \"nights\", \"type\": \"int\"}]");
        for (context, public, expected) in [
            (CONTEXT.to_owned(), None, "context.yaml:6:40: `Booking` has no schema"),
            (CONTEXT.to_owned(), Some(more.as_str()), "context.yaml:6:40: Booked has no field `nights`"),
            (CONTEXT.replace("event: Booked,", "event: Left,"), Some(BOOKING), "the context has no event `Left`"),
            (CONTEXT.to_owned(), Some(&BOOKING.replace("string", "long")), "`guest` is Text in the event and Integer"),
        ] {
            let (_, _, problems) = of(&context, public);
            assert!(problems.iter().any(|problem| problem.contains(expected)), "{expected}: {problems:?}");
        }
    }
}
