//! Stories of deciders that are rules: `context.yaml` and its schemas, read as they are served.
//!
//! ```no_run
//! use serde_json::json;
//! use spina_testkit::RuleStories;
//!
//! let shows = RuleStories::load("topology", "schemas", "theatre");
//! shows
//!     .given("show-1", [("ShowScheduled", json!({"title": "Faust", "seats": 2}))])
//!     .when("ReserveSeats", json!({"seats": 3}))
//!     .then_rejected("seats.none_left");
//! ```

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Map, Value};
use spina_codec::schema_files;
use spina_codec::shape::Shape;
use spina_core::aggregate::{Aggregate, Decided, Merged, Refused, Request};
use spina_core::{ContextName, EventHeaders, Position, Recorded, State, StreamId, Timestamp};
use spina_rules::context::ContextDef;
use spina_rules::decide::{self, RuleDecider, Shapes};
use spina_rules::source::Source;

/// The rules of a context.
#[derive(Debug)]
pub struct RuleStories {
    context: ContextName,
    deciders: HashMap<String, RuleDecider>,
    shapes: HashMap<String, Shape>,
}

impl RuleStories {
    /// Reads `<topology>/<context>/context.yaml` and `<schemas>/<context>/*.avsc`.
    ///
    /// # Panics
    /// If they are not valid; the message is what `spina topology plan` would say.
    #[track_caller]
    pub fn load(topology: impl AsRef<Path>, schemas: impl AsRef<Path>, context: &str) -> Self {
        let file = topology.as_ref().join(context).join("context.yaml");
        let source = Source::read(&file).unwrap_or_else(|problem| panic!("{problem}"));
        let def = ContextDef::parse(&source).unwrap_or_else(|problems| panic!("{problems}"));
        let files = schema_files::load(schemas.as_ref(), &def.name).unwrap_or_else(|error| panic!("{error:?}"));
        let shapes: HashMap<String, Shape> =
            files.into_iter().map(|file| (file.shape.name().to_owned(), file.shape)).collect();
        let outline = |name: &String| shapes.get(name).unwrap_or_else(|| panic!("`{name}` has no schema")).outline();
        let shapes_of = Shapes {
            events: def.events().map(|(_, event)| outline(event)).collect(),
            commands: def.commands().map(|(_, command)| outline(&command.name)).collect(),
        };
        let deciders = decide::compile(&source, &def, &shapes_of).unwrap_or_else(|problems| panic!("{problems}"));
        Self { context: def.name, deciders, shapes }
    }

    /// A stream with a past: events by name, with their fields.
    ///
    /// # Panics
    /// If the stream's id or an event is not valid.
    #[track_caller]
    pub fn given<'e>(&self, stream: &str, events: impl IntoIterator<Item = (&'e str, Value)>) -> GivenByRules<'_> {
        let stream: StreamId = stream.parse().unwrap_or_else(|error| panic!("{error}"));
        let decider = self.decider(&stream);
        let state = events.into_iter().fold(decider.begin(), |state, (name, fields)| {
            let event = self.recorded(&stream, &state, name, self.fields(name, fields));
            decider.fold(state, &event).unwrap_or_else(|unfit| panic!("{unfit}"))
        });
        GivenByRules { rules: self, stream, state }
    }

    fn decider(&self, stream: &StreamId) -> &dyn Aggregate {
        self.deciders.get(stream.category()).map_or(&Merged, |decider| decider)
    }

    /// The fields as they are read back from the log: checked, and with the schema's defaults.
    #[track_caller]
    fn fields(&self, name: &str, fields: Value) -> Map<String, Value> {
        let shape = self.shapes.get(name).unwrap_or_else(|| panic!("`{name}` has no schema"));
        let Value::Object(fields) = fields else { panic!("the fields of `{name}` are not an object: {fields}") };
        let avro = shape.encode(&fields).unwrap_or_else(|invalid| panic!("`{name}` is not valid: {invalid}"));
        shape.decode(&avro).expect("what was encoded can be decoded")
    }

    fn recorded(&self, stream: &StreamId, state: &State, name: &str, data: Map<String, Value>) -> Recorded {
        let version = state.version.plus(1);
        let headers = EventHeaders {
            id: format!("{stream}/{version}"),
            event_type: format!("{}.{}.{name}", self.context, stream.category()),
            stream: stream.clone(),
            version,
            time: Timestamp::default(),
            correlation_id: None,
            causation_id: None,
            traceparent: None,
            tracestate: None,
            epoch: 1,
            request_id: None,
        };
        Recorded { headers, position: Position { topic: String::new(), partition: 0, offset: 0 }, data }
    }
}

/// A stream with a past.
#[derive(Debug)]
pub struct GivenByRules<'r> {
    rules: &'r RuleStories,
    stream: StreamId,
    state: State,
}

impl<'r> GivenByRules<'r> {
    /// The command to decide on.
    ///
    /// # Panics
    /// If it is not valid.
    #[track_caller]
    pub fn when(self, command: &str, fields: Value) -> DecidedByRules<'r> {
        let data = self.rules.fields(command, fields);
        let request = Request { stream: &self.stream, name: command, data: &data };
        DecidedByRules { rules: self.rules, answer: self.rules.decider(&self.stream).decide(&self.state, request) }
    }

    /// The fields of the state that the past led to.
    pub fn state(self) -> Value {
        Value::Object(self.state.data)
    }
}

/// What the rules answered; say what it should be.
#[must_use = "a story without an end proves nothing"]
#[derive(Debug)]
pub struct DecidedByRules<'r> {
    rules: &'r RuleStories,
    answer: Result<Vec<Decided>, Refused>,
}

impl DecidedByRules<'_> {
    /// It led to exactly these events.
    ///
    /// # Panics
    /// If it did not, or if one of them would not be valid.
    #[track_caller]
    pub fn then<'e>(self, events: impl IntoIterator<Item = (&'e str, Value)>) {
        let expected: Vec<(String, Map<String, Value>)> =
            events.into_iter().map(|(name, fields)| (name.to_owned(), self.rules.fields(name, fields))).collect();
        let decided = self.answer.unwrap_or_else(|refused| panic!("it was refused: {refused}"));
        let decided: Vec<(String, Map<String, Value>)> = decided
            .into_iter()
            .map(|Decided { event, data }| {
                let fields = self.rules.fields(&event, Value::Object(data));
                (event, fields)
            })
            .collect();
        assert_eq!(decided, expected);
    }

    /// It was rejected by the rule with this code.
    ///
    /// # Panics
    /// If it was not, or by another rule.
    #[track_caller]
    pub fn then_rejected(self, code: &str) {
        match self.answer {
            Err(Refused::Rejected(rejection)) => assert_eq!(rejection.code, code, "{}", rejection.message),
            Err(Refused::Unfit(unfit)) => panic!("{unfit}"),
            Ok(events) => panic!("it led to {events:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn theatre() -> RuleStories {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/contexts/theatre");
        RuleStories::load(folder.join("topology"), folder.join("schemas"), "theatre")
    }

    #[test]
    fn rules_have_stories_as_deciders_in_rust_do() {
        let shows = theatre();
        let scheduled = |seats: i64| ("ShowScheduled", json!({"title": "Faust", "seats": seats}));
        shows.given("show-1", []).when("ReserveSeats", json!({"seats": 1})).then_rejected("show.unknown");
        shows
            .given("show-1", [scheduled(2)])
            .when("ReserveSeats", json!({"seats": 1}))
            .then([("SeatsReserved", json!({"seats": 1, "left": 1}))]);
        let reserved = ("SeatsReserved", json!({"seats": 1, "left": 1}));
        shows
            .given("show-1", [scheduled(2), reserved.clone()])
            .when("ReserveSeats", json!({"seats": 1}))
            .then([("SeatsReserved", json!({"seats": 1, "left": 0})), ("SoldOut", json!({}))]);
        let state = shows.given("show-1", [scheduled(2), reserved]).state();
        assert_eq!(state, json!({"title": "Faust", "seats_left": 1, "status": "SeatsReserved"}));
    }

    #[test]
    fn a_story_that_ends_otherwise_or_is_not_valid_fails() {
        let shows = theatre();
        let told = |story: &dyn Fn()| {
            let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(story)).unwrap_err();
            told.downcast_ref::<String>().cloned().unwrap_or_default()
        };
        let asked = || shows.given("show-1", []).when("ReserveSeats", json!({"seats": 1}));
        assert!(told(&|| asked().then([])).contains("there is no show 1"));
        assert!(told(&|| asked().then_rejected("seats.none_left")).contains("show.unknown"));
        assert!(told(&|| drop(shows.given("show-1", []).when("ReserveSeats", json!({})))).contains("not valid"));
    }
}
