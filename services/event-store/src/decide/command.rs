//! A command on its way to a decision, and how it is decided once the stream's state is known.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};
use spina_codec::catalog::{Catalog, TypeKind};
use spina_codec::frame::frame;
use spina_core::aggregate::{Aggregate, Merged, Refused, Request};
use spina_core::ledger::{Ask, decided_event_id};
use spina_core::{
    EventHeaders, ExpectedVersion, Position, Recorded, Rejection, State, StreamId, StreamKey, Timestamp, Version,
};

use super::append::{Append, NewEvent, Outcome, Trace};

/// Most events that one command may lead to.
pub const DECIDED_EVENTS_MAX: usize = 100;
/// Largest state that a command may lead to, in bytes as [`weight`] counts them.
pub const STATE_BYTES_MAX: usize = 1 << 20;

/// A command: valid, not decided yet.
#[derive(Debug, Clone)]
pub struct Intent {
    /// The stream that decides.
    pub stream: StreamId,
    /// The command's name.
    pub name: String,
    /// Its fields, as its schema has them.
    pub data: Map<String, Value>,
    /// Hash of its type and fields: what a repeat is recognised by.
    pub fingerprint: u64,
    /// Idempotency key.
    pub request_id: String,
    /// What the sender expects of the stream.
    pub expected: ExpectedVersion,
    /// When it happened: the time of its events.
    pub time: Timestamp,
    /// The business transaction it belongs to.
    pub correlation_id: Option<String>,
    /// Trace of the request.
    pub trace: Trace,
}

impl Intent {
    /// The command as the ledger sees it, if it leads to so many events.
    pub fn ask(&self, events: usize) -> Ask {
        Ask {
            stream: StreamKey::of(self.stream.as_str()),
            expected: self.expected,
            request: Some(StreamKey::of(&self.request_id)),
            fingerprint: self.fingerprint,
            events: u32::try_from(events).unwrap_or(u32::MAX),
        }
    }
}

/// What decides, by the aggregate's name.
pub type Aggregates = HashMap<String, Arc<dyn Aggregate>>;

/// What decides in a context: its aggregates, and the schemas of the events they emit.
#[derive(Clone)]
pub struct Deciders {
    /// The context's types.
    pub catalog: Arc<Catalog>,
    /// What decides, by aggregate. Those without commands are not here.
    pub aggregates: Arc<Aggregates>,
    /// Largest encoded event.
    pub event_bytes_max: usize,
}

/// What a command has led to.
pub struct Decision {
    /// Events to append, or the answer that is known without any.
    pub append: Append,
    /// The state after the events; `None` if there are none.
    pub state: Option<State>,
}

impl Deciders {
    /// What decides for the streams of a category.
    pub fn of(&self, category: &str) -> &dyn Aggregate {
        self.aggregates.get(category).map_or(&Merged, |aggregate| &**aggregate)
    }

    /// Decides. Pure: the same state and command give the same answer.
    pub fn decide(&self, intent: &Intent, state: &State) -> Decision {
        match self.events(intent, state) {
            Ok((events, _)) if events.is_empty() => {
                Decision { append: Append::answered(intent, Outcome::Nothing(state.version)), state: None }
            }
            Ok((events, after)) => {
                Decision { append: Append::decided(intent, state.version, events), state: Some(after) }
            }
            Err(rejection) => Decision { append: Append::answered(intent, Outcome::Rejected(rejection)), state: None },
        }
    }

    fn events(&self, intent: &Intent, state: &State) -> Result<(Vec<NewEvent>, State), Rejection> {
        let aggregate = self.of(intent.stream.category());
        let request = Request { stream: &intent.stream, name: &intent.name, data: &intent.data };
        let decided = aggregate.decide(state, request).map_err(|refused| match refused {
            Refused::Rejected(rejection) => rejection,
            Refused::Unfit(unfit) => Rejection::new("validation.rule_failed", unfit.to_string()),
        })?;
        if decided.len() > DECIDED_EVENTS_MAX {
            let message =
                format!("the command leads to {} events, at most {DECIDED_EVENTS_MAX} are allowed", decided.len());
            return Err(Rejection::new("validation.events", message));
        }
        let mut after = state.clone();
        let mut events = Vec::with_capacity(decided.len());
        for (place, decided) in decided.into_iter().enumerate() {
            let (event, data) = self.encode(intent, place, &decided.event, &decided.data)?;
            let recorded = recorded(&event, &intent.stream, after.version.plus(1), data);
            let folded = aggregate.fold(after, &recorded);
            after = folded.map_err(|unfit| Rejection::new("validation.rule_failed", unfit.to_string()))?;
            events.push(event);
        }
        let bytes = weight(&after.data);
        if !events.is_empty() && bytes > STATE_BYTES_MAX {
            let message = format!("the state would take {bytes} bytes, at most {STATE_BYTES_MAX} are allowed");
            return Err(Rejection::new("validation.state_too_large", message));
        }
        Ok((events, after))
    }

    /// An event as it is written, and its fields as they will be read: with the schema's defaults.
    fn encode(
        &self,
        intent: &Intent,
        place: usize,
        name: &str,
        data: &Map<String, Value>,
    ) -> Result<(NewEvent, Map<String, Value>), Rejection> {
        let category = intent.stream.category();
        let fits = |kind: TypeKind, aggregate: &str| kind == TypeKind::Event && aggregate == category;
        let known = self.catalog.by_name(name).filter(|known| fits(known.kind, &known.aggregate));
        let event_type = known.ok_or_else(|| {
            let message = format!("`{}` led to `{name}`, which is no event of aggregate `{category}`", intent.name);
            Rejection::new("validation.unknown_type", message)
        })?;
        let avro = event_type.shape.encode(data).map_err(|invalid| {
            Rejection::new(invalid.code, format!("`{}` led to a `{name}` that cannot be: {invalid}", intent.name))
        })?;
        if avro.len() > self.event_bytes_max {
            let message = format!("`{name}` takes {} bytes, at most {} are allowed", avro.len(), self.event_bytes_max);
            return Err(Rejection::new("validation.too_large", message));
        }
        let read = event_type.shape.decode(&avro);
        let data = read.map_err(|malformed| Rejection::new("validation.malformed", malformed.to_string()))?;
        let event = NewEvent {
            event_type: Arc::clone(event_type),
            id: decided_event_id(StreamKey::of(&intent.request_id), intent.fingerprint, place),
            time: intent.time,
            correlation_id: intent.correlation_id.clone(),
            causation_id: Some(intent.request_id.clone()),
            value: frame(event_type.schema_id, &avro).into(),
        };
        Ok((event, data))
    }
}

/// An event as its aggregate will read it once it is in the log; where it will stand does not matter to a fold.
pub fn recorded(event: &NewEvent, stream: &StreamId, version: Version, data: Map<String, Value>) -> Recorded {
    let headers = EventHeaders {
        id: event.id.clone(),
        event_type: event.event_type.ce_type.clone(),
        stream: stream.clone(),
        version,
        time: event.time,
        correlation_id: event.correlation_id.clone(),
        causation_id: event.causation_id.clone(),
        traceparent: None,
        tracestate: None,
        epoch: 0,
        request_id: None,
    };
    Recorded { headers, position: Position { topic: String::new(), partition: 0, offset: 0 }, data }
}

/// About how many bytes a document takes in memory.
pub fn weight(fields: &Map<String, Value>) -> usize {
    const VALUE_BYTES: usize = size_of::<Value>();
    fn of(value: &Value) -> usize {
        VALUE_BYTES
            + match value {
                Value::Null | Value::Bool(_) | Value::Number(_) => 0,
                Value::String(text) => text.len(),
                Value::Array(items) => items.iter().map(of).sum(),
                Value::Object(fields) => weight(fields),
            }
    }
    fields.iter().map(|(name, value)| 2 * VALUE_BYTES + name.len() + of(value)).sum()
}
