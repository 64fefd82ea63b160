//! Events and commands of all contexts, as sagas and correlation rules name them: `booking.HoldSeats`.

use std::collections::HashMap;

use spina_core::ContextName;
use spina_core::event_shape::EventShape;

use crate::decide::Shapes;
use crate::node::{Node, Reading};
use crate::source::{Located, Place, quote};

/// The shapes of all contexts.
pub type Known = HashMap<ContextName, Shapes>;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Event,
    Command,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Command => "command",
        }
    }

    fn of(self, shapes: &Shapes) -> &[EventShape] {
        match self {
            Self::Event => &shapes.events,
            Self::Command => &shapes.commands,
        }
    }
}

/// What is read of other contexts.
impl Reading<'_> {
    /// The event or command that the text names.
    pub(crate) fn named<'k>(
        &mut self,
        node: &Located<Node>,
        what: &str,
        kind: Kind,
        known: &'k Known,
    ) -> Option<(String, &'k EventShape)> {
        let text = self.text(node, what)?.to_owned();
        match found(&text, kind, known) {
            Ok(shape) => Some((text, shape)),
            Err(message) => {
                self.complain(node.place, message);
                None
            }
        }
    }

    /// A command gets the fields that it has, and all that it needs.
    pub(crate) fn check_fields<T>(&mut self, fields: &[(Located<String>, T)], shape: &EventShape, place: Place) {
        let command = &shape.name;
        for (name, _) in fields.iter().filter(|(name, _)| !shape.fields.iter().any(|field| field.name == name.value)) {
            let known = shape.fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>().join(", ");
            self.complain(name.place, format!("{command} has no field {}, it has: {known}", quote(name)));
        }
        for field in shape.fields.iter().filter(|field| !field.has_default) {
            if !fields.iter().any(|(name, _)| name.value == field.name) {
                self.complain(place, format!("{command} needs the field {}", quote(&field.name)));
            }
        }
    }
}

/// The event or command of that name; an error says what there is.
fn found<'k>(text: &str, kind: Kind, known: &'k Known) -> Result<&'k EventShape, String> {
    let what = kind.name();
    let Some((context, name)) = text.split_once('.') else {
        return Err(format!("{} names no context: write `<context>.<{what}>`", quote(text)));
    };
    let Some((_, shapes)) = known.iter().find(|(name, _)| name.as_str() == context) else {
        let mut names: Vec<&str> = known.keys().map(ContextName::as_str).collect();
        names.sort_unstable();
        return Err(format!("there is no context {}; there are {}", quote(context), names.join(", ")));
    };
    let shapes = kind.of(shapes);
    shapes.iter().find(|shape| shape.name == name).ok_or_else(|| {
        let known: Vec<&str> = shapes.iter().map(|shape| shape.name.as_str()).collect();
        format!("context {context} has no {what} {}, it has {}", quote(name), known.join(", "))
    })
}
