//! Whether the unique fields of an aggregate are such that their values can be told apart, and end up in its state.

use spina_core::event_shape::{EventShape, FieldKind};
use spina_core::unique::RECORDS;

use crate::context::{AggregateDef, ContextDef};
use crate::source::{Located, Place, quote};

/// Events of a context with unique fields that are named as those of claims are: whoever goes by the name would take one for
/// the other.
pub(super) fn ambiguous(context: &ContextDef) -> Vec<(Place, String)> {
    if context.aggregates.iter().all(|aggregate| aggregate.unique.is_empty()) {
        return Vec::new();
    }
    let of_claims = |name: &str| RECORDS.iter().any(|record| record.rsplit('.').next() == Some(name));
    let events = context.events().map(|(_, event)| event).filter(|event| of_claims(event));
    let message = |event: &str| format!("event {} is named as Spina's own about unique fields", quote(event));
    events.map(|event| (event.place, message(event))).collect()
}

/// What is wrong with the unique fields, and where.
pub(super) fn check(aggregate: &AggregateDef, shapes: &[EventShape]) -> Vec<(Place, String)> {
    let own = |shape: &&EventShape| aggregate.events.iter().any(|event| event.value == shape.name);
    let events: Vec<&EventShape> = shapes.iter().filter(own).collect();
    aggregate.unique.iter().flat_map(|field| of_field(aggregate, &events, field)).collect()
}

fn of_field(aggregate: &AggregateDef, events: &[&EventShape], unique: &Located<String>) -> Vec<(Place, String)> {
    let complain = |message: String| (unique.place, format!("unique field {}: {message}", quote(unique)));
    let mut complaints = Vec::new();
    let mut given = false;
    for event in events {
        let Some(field) = event.fields.iter().find(|field| field.name == unique.value) else { continue };
        given = true;
        if let Some(kind) = indistinct(&field.kind) {
            complaints.push(complain(format!("in {} it is {kind}, which cannot be unique", event.name)));
        }
        let evolve = aggregate.evolve.iter().find(|evolve| evolve.event.value == event.name);
        if evolve.is_some_and(|evolve| evolve.set.iter().all(|(name, _)| name.value != unique.value)) {
            complaints.push(complain(format!("`evolve` of {} does not set it in the state", event.name)));
        }
    }
    if !given {
        let names: Vec<&str> = events.iter().map(|event| event.name.as_str()).collect();
        complaints.push(complain(format!("none of {} has it", names.join(", "))));
    }
    if unique.value == "status" {
        complaints.push(complain("the state's `status` is the name of the last event".to_owned()));
    }
    complaints
}

/// What a field is whose values cannot be unique.
fn indistinct(kind: &FieldKind) -> Option<&'static str> {
    match kind {
        FieldKind::Integer
        | FieldKind::Text
        | FieldKind::Uuid
        | FieldKind::Decimal
        | FieldKind::Date
        | FieldKind::Timestamp => None,
        FieldKind::Bool => Some("a boolean"),
        FieldKind::Double => Some("a floating-point number"),
        FieldKind::Record(_) => Some("a record"),
        FieldKind::Nested => Some("an array, a map or a union"),
    }
}
