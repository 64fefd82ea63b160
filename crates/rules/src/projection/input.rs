//! What a model reads: the events of its own context, and of others that its rules name as `<context>.<Event>`.

use std::collections::{BTreeSet, HashMap};

use super::compile::Compiler;
use super::definition::{FileDef, ModelDef};
use super::model::{Rule, WantedFields};
use crate::event_shape::EventShape;
use crate::source::{Entries, Located, Problems, Source, quote};

/// Most contexts whose events a model may read, its own among them.
const INPUTS_MAX: usize = 8;

/// The events of another context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextEvents {
    /// The context's name.
    pub context: String,
    /// Its events.
    pub events: Vec<EventShape>,
}

/// The contexts that the rules of a file name beside their own, whether there are such contexts or not.
///
/// # Errors
/// When the file cannot be parsed.
pub fn contexts_named(source: &Source) -> Result<BTreeSet<String>, Problems> {
    let file: FileDef = source.parse()?;
    let named = file.models.iter().flat_map(|(_, model)| events_named(model));
    Ok(named.filter_map(|event| context_of(event)).map(str::to_owned).collect())
}

/// One of the contexts whose events a model reads, and what it does with them.
#[derive(Debug)]
pub struct Input {
    pub(super) context: Option<String>,
    pub(super) rules: HashMap<String, Rule>,
    /// What the model needs of each event type that it looks at.
    pub(super) wanted: HashMap<String, WantedFields>,
}

impl Input {
    pub(super) fn of(context: Option<&str>) -> Self {
        Self { context: context.map(str::to_owned), rules: HashMap::new(), wanted: HashMap::new() }
    }

    /// The context; `None` for the model's own.
    pub fn context(&self) -> Option<&str> {
        self.context.as_deref()
    }

    /// The names of the event types that the model looks at, and the fields it needs of them.
    pub fn events(&self) -> impl Iterator<Item = (&str, &WantedFields)> {
        self.wanted.iter().map(|(name, wanted)| (name.as_str(), wanted))
    }

    /// The fields the model needs of an event type; `None` if it does not look at that type.
    pub fn wants(&self, event_name: &str) -> Option<&WantedFields> {
        self.wanted.get(event_name)
    }
}

/// An event as a rule names it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct NamedEvent<'s> {
    /// The other context that it is of.
    pub context: Option<&'s str>,
    pub shape: &'s EventShape,
}

impl<'s> Compiler<'s> {
    /// The event that a rule names, if there is one.
    pub(super) fn event(&self, name: &str) -> Option<NamedEvent<'s>> {
        let (context, events, name) = match name.split_once('.') {
            None => (None, self.own, name),
            Some((context, name)) => {
                let other = self.others.iter().find(|other| other.context == context)?;
                (Some(other.context.as_str()), other.events.as_slice(), name)
            }
        };
        events.iter().find(|shape| shape.name == name).map(|shape| NamedEvent { context, shape })
    }

    /// Says why there is no such event.
    pub(super) fn unknown_event(&mut self, event: &Located<String>) {
        let names =
            |events: &[EventShape]| events.iter().map(|event| event.name.clone()).collect::<Vec<_>>().join(", ");
        let message = match event.split_once('.') {
            None => format!("unknown event {}, the context has {}", quote(event), names(self.own)),
            Some((context, name)) => match self.others.iter().find(|other| other.context == context) {
                Some(other) => {
                    format!("context {context} has no event {}, it has {}", quote(name), names(&other.events))
                }
                None => format!(
                    "there is no other context {}; events of the model's own context are named without it",
                    quote(context)
                ),
            },
        };
        self.note(event.place, message);
    }

    /// The inputs of a model without their rules: its own context first, the others by name.
    pub(super) fn inputs(&mut self, name: &Located<String>, def: &ModelDef) -> Vec<Input> {
        let contexts: BTreeSet<Option<&str>> = events_named(def).map(|event| context_of(event)).collect();
        if !contexts.is_empty() && !contexts.contains(&None) {
            let message = format!("{} reads no event of its own context: declare it where its events are", quote(name));
            self.note(name.place, message);
        }
        if contexts.len() > INPUTS_MAX {
            self.note(name.place, format!("a model reads at most {INPUTS_MAX} contexts, its own among them"));
        }
        contexts.into_iter().map(Input::of).collect()
    }
}

/// The context that an event's name begins with; `None` is the model's own.
pub(super) fn context_of(event: &str) -> Option<&str> {
    event.split_once('.').map(|(context, _)| context)
}

fn events_named(def: &ModelDef) -> impl Iterator<Item = &Located<String>> {
    let children = def.children.iter().flat_map(|(_, child)| names(&child.on));
    names(&def.on).chain(children)
}

fn names<T>(on: &Entries<T>) -> impl Iterator<Item = &Located<String>> {
    on.iter().map(|(event, _)| event)
}
