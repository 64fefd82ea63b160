//! Published topics: events of one type as flat records for everybody.
//!
//! ```yaml
//! publish:
//!   late-landings.v1:              # topic flights.late-landings.v1; another version is another topic
//!     event: FlightLanded
//!     record: LateLanding          # schemas/flights-public/LateLanding.avsc
//!     when: data.arrival_delay_min >= 15          # optional
//!     fields: { airport: data.dest }              # what is not named is the event's field of the same name
//!     mask: { tail_number: 2 }                    # all but the last two characters become ***
//! ```
//!
//! Only what the public record has goes out: a field is private until its schema names it.

use serde_json::{Map, Value};
use spina_core::Recorded;
use spina_core::event_shape::{EventField, EventShape, FieldKind};

use crate::context::{ContextDef, PublishDef};
use crate::expr::{EvalError, Expr};
use crate::source::{Located, Place, Problems, Source, quote};

/// What namespaces and folders of public schemas end with.
const PUBLIC: &str = "public";
/// What stands for hidden characters, however many they are.
const HIDDEN: &str = "***";

/// A published topic, ready to be filled.
#[derive(Debug)]
pub struct Published {
    /// Its name without the context: `late-landings.v1`.
    pub name: String,
    /// Name of the event that is published.
    pub event: String,
    /// Full name of the public record.
    pub record: String,
    when: Option<Expr>,
    fields: Vec<(String, Expr)>,
    mask: Vec<(String, u32)>,
}

/// Full name of a public record of a context: `flights_public.LateLanding`.
pub fn record_name(context: &ContextDef, record: &str) -> String {
    format!("{}_{PUBLIC}.{record}", context.namespace())
}

/// Folder of a context's public schemas below that of all schemas: `flights-public`.
pub fn folder(context: &ContextDef) -> String {
    format!("{}-{PUBLIC}", context.name)
}

/// Compiles one declaration against the event and the public record.
///
/// # Errors
/// Everything that is wrong, in place: fields that are not there, or not of the kind that the public record has.
pub fn compile(
    source: &Source,
    context: &ContextDef,
    def: &PublishDef,
    event: &EventShape,
    public: &EventShape,
) -> Result<Published, Problems> {
    let mut problems = Problems::default();
    let mut compile = |text: &Located<String>| match Expr::compile(source, text) {
        Ok(expr) => Some(expr),
        Err(problem) => {
            problems.push(problem);
            None
        }
    };
    let when = def.when.as_ref().and_then(&mut compile);
    let declared: Vec<(&Located<String>, Expr)> =
        def.fields.iter().filter_map(|(name, text)| Some((name, compile(text)?))).collect();
    let named = declared.iter().map(|(name, _)| *name).chain(def.mask.iter().map(|(name, _)| name));
    for name in named.filter(|name| !public.fields.iter().any(|field| field.name == name.value)) {
        problems.push(source.problem(name.place, format!("{} has no field {}", def.record.value, quote(name))));
    }
    let mut complain = |place: Place, message: String| problems.push(source.problem(place, message));
    for expr in when.iter().chain(declared.iter().map(|(_, expr)| expr)) {
        for path in &expr.uses().data {
            if let Err(unknown) = event.field(path) {
                let known = unknown.known.join(", ");
                complain(path.place, format!("{} has no field {}, it has {known}", event.name, quote(&unknown.name)));
            }
        }
    }
    let mut fields = Vec::new();
    for field in &public.fields {
        match declared.iter().position(|(name, _)| name.value == field.name) {
            Some(at) => {
                let (name, expr) = &declared[at];
                if let Some((found, nullable)) = expr.data_path().and_then(|path| event.field(path).ok()) {
                    check(field, found, nullable, name.place, &mut complain);
                }
            }
            None => match event.fields.iter().find(|found| found.name == field.name) {
                Some(found) => {
                    check(field, found, found.nullable, def.record.place, &mut complain);
                    fields.push(same(source, field, def));
                }
                None if field.has_default => {}
                None => complain(
                    def.record.place,
                    format!("{} has no field {}: name in `fields` what it is", event.name, quote(&field.name)),
                ),
            },
        }
        if matches!(field.kind, FieldKind::Record(_) | FieldKind::Nested) {
            complain(def.record.place, format!("{} is not flat: published records are", quote(&field.name)));
        }
        if def.mask.iter().any(|(name, _)| name.value == field.name) && field.kind != FieldKind::Text {
            complain(def.record.place, format!("{} is no text, so it cannot be masked", quote(&field.name)));
        }
    }
    let mut own = Vec::new();
    for same in fields {
        match same {
            Ok(field) => own.push(field),
            Err(problem) => problems.push(problem),
        }
    }
    own.extend(declared.into_iter().map(|(name, expr)| (name.value.clone(), expr)));
    problems.none_or(Published {
        name: def.name.value.clone(),
        event: event.name.clone(),
        record: record_name(context, &def.record),
        when,
        fields: own,
        mask: def.mask.iter().map(|(name, kept)| (name.value.clone(), *kept)).collect(),
    })
}

/// The event's field of the same name.
fn same(source: &Source, field: &EventField, def: &PublishDef) -> Result<(String, Expr), crate::source::Problem> {
    let text = Located::new(format!("data.{}", field.name), def.record.place);
    Ok((field.name.clone(), Expr::compile(source, &text)?))
}

/// A field that is passed on as it is must be of the public field's kind.
fn check(
    public: &EventField,
    found: &EventField,
    nullable: bool,
    place: Place,
    complain: &mut impl FnMut(Place, String),
) {
    let widened = public.kind == FieldKind::Double && found.kind == FieldKind::Integer;
    if public.kind != found.kind && !widened {
        let message =
            format!("{} is {:?} in the event and {:?} in the record", quote(&public.name), found.kind, public.kind);
        complain(place, message);
    } else if nullable && !public.nullable {
        complain(place, format!("{} may be null in the event, and may not in the record", quote(&public.name)));
    }
}

impl Published {
    /// The public record's fields for an event, unless it is not published.
    ///
    /// # Errors
    /// When an expression fails on this event.
    pub fn of(&self, event: &Recorded) -> Result<Option<Map<String, Value>>, EvalError> {
        if event.headers.event_name() != self.event {
            return Ok(None);
        }
        if let Some(when) = &self.when
            && !when.holds(event)?
        {
            return Ok(None);
        }
        let mut record = Map::new();
        for (name, expr) in &self.fields {
            record.insert(name.clone(), expr.eval(event)?.into_owned());
        }
        for (name, kept) in &self.mask {
            if let Some(Value::String(text)) = record.get_mut(name) {
                *text = masked(text, *kept);
            }
        }
        Ok(Some(record))
    }
}

/// The text with all but its last characters hidden; all of it, where there are no more than those.
fn masked(text: &str, kept: u32) -> String {
    let (all, kept) = (text.chars().count(), usize::try_from(kept).unwrap_or(usize::MAX));
    let shown: String = if all > kept { text.chars().skip(all - kept).collect() } else { String::new() };
    format!("{HIDDEN}{shown}")
}

#[cfg(test)]
mod tests;
