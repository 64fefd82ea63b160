//! Read models: `topology/<context>/projections.yaml` must compile against the schemas of the context's events.

use std::path::Path;
use std::sync::Arc;

use spina_codec::shape::{Field, Kind};
use spina_rules::context::ContextDef;
use spina_rules::event_shape::{EventField, EventShape, FieldKind};
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
    let shapes: Vec<EventShape> = events.iter().map(|schema| event_shape(schema)).collect();
    let compiled = Source::read(&path).map_err(Into::into).and_then(|source| projection::compile(&source, &shapes));
    let mut problems = compiled.err().unwrap_or_default().0;
    // A model that uses an event whose schema is missing or broken: that would be the same mistake told twice.
    let known = |event: &str| shapes.iter().any(|shape| shape.name == event);
    for (_, event) in context.events().filter(|(_, event)| !known(event)) {
        problems.retain(|problem| !problem.message.contains(&format!("`{}`", event.value)));
    }
    problems
}

fn event_shape(schema: &Schema) -> EventShape {
    EventShape { name: schema.shape.name().to_owned(), fields: fields(schema.shape.fields()) }
}

fn fields(fields: &[Field]) -> Vec<EventField> {
    fields
        .iter()
        .map(|field| EventField {
            name: field.name().to_owned(),
            kind: field_kind(field.kind()),
            nullable: field.nullable(),
        })
        .collect()
}

fn field_kind(kind: &Kind) -> FieldKind {
    match kind {
        Kind::Boolean => FieldKind::Bool,
        Kind::Int | Kind::Long => FieldKind::Integer,
        Kind::Float | Kind::Double => FieldKind::Double,
        Kind::String | Kind::Bytes | Kind::Fixed(_) | Kind::Enum(_) | Kind::TimeOfDay(_) | Kind::LocalTimestamp(_) => {
            FieldKind::Text
        }
        Kind::Date => FieldKind::Date,
        Kind::Timestamp(_) => FieldKind::Timestamp,
        Kind::Decimal(_) => FieldKind::Decimal,
        Kind::Uuid(_) => FieldKind::Uuid,
        Kind::Record(record) => FieldKind::Record(fields(record.fields())),
        Kind::Nullable(nullable) => field_kind(&nullable.value),
        Kind::Null | Kind::Array(_) | Kind::Map(_) | Kind::Union(_) => FieldKind::Nested,
    }
}
