//! Events of older schemas, through the cache and [`crate::recorded`], as all readers go.

use serde_json::json;
use spina_core::{Position, Version};

use super::*;
use crate::frame::frame;
use crate::recorded::{DecodeError, Opened, open_value};
use crate::{RegistryClient, SchemaCache};

fn schema(name: &str, fields: &str) -> Shape {
    let text = format!(r#"{{"type": "record", "name": "{name}", "namespace": "flights", "fields": [{fields}]}}"#);
    Shape::compile(&text).unwrap()
}

const DELAY: &str = r#"{"name": "delay", "type": "int"}"#;
const TODAY: &str = r#"{"name": "delay_min", "type": "int"}, {"name": "gate", "type": "string", "default": "?"}"#;

/// `FlightArrived` is `FlightLanded` today, and its `delay` is called `delay_min`.
#[derive(Debug)]
struct Arrivals;

#[derive(Debug)]
struct Arrival(BTreeSet<String>);

impl Upcasting for Arrivals {
    fn plan(&self, written: &Written<'_>) -> Option<Arc<dyn Upcast>> {
        let known = written.record == "flights.FlightArrived" && written.version == Some(1);
        known.then(|| Arc::new(Arrival(BTreeSet::from(["delay".to_owned()]))) as Arc<dyn Upcast>)
    }
    fn former_names(&self, _name: &str) -> Vec<String> {
        vec!["FlightArrived".to_owned()]
    }
    fn fingerprint(&self, _events: &[&str]) -> String {
        "1".to_owned()
    }
}

impl Upcast for Arrival {
    fn name(&self) -> &str {
        "FlightLanded"
    }
    fn needs(&self) -> Option<&BTreeSet<String>> {
        Some(&self.0)
    }
    fn apply(&self, fields: &mut Map<String, Value>) -> Result<(), UpcastError> {
        let delay = fields.remove("delay").unwrap_or_default();
        if delay == json!(99) {
            return Err(UpcastError { record: "flights.FlightArrived".to_owned(), cause: "99 is no delay".to_owned() });
        }
        fields.insert("delay_min".to_owned(), delay);
        Ok(())
    }
}

fn cache() -> SchemaCache {
    let arrived = schema("FlightArrived", DELAY);
    let file = ReleasedFile { path: "x".into(), name: "FlightArrived".to_owned(), version: 1, shape: arrived.clone() };
    let schemas = Schemas { today: vec![schema("FlightLanded", TODAY)], released: vec![file] };
    let readings = Readings::new([("flights".parse().unwrap(), schemas.read_with(Arc::new(Arrivals)))]);
    let cache = SchemaCache::reading(RegistryClient::new("http://127.0.0.1:1").unwrap(), readings);
    let older = schema("FlightLanded", r#"{"name": "delay_min", "type": "int"}"#);
    for (id, shape) in [(1, arrived), (2, older), (3, schema("FlightLanded", TODAY))] {
        cache.insert(id, Arc::new(shape)).unwrap();
    }
    cache
}

fn headers(name: &str) -> EventHeaders {
    EventHeaders {
        id: "e-1".to_owned(),
        event_type: format!("flights.flight.{name}"),
        stream: "flight-1".parse().unwrap(),
        version: Version(1),
        time: "2013-01-01T10:15:00Z".parse().unwrap(),
        correlation_id: None,
        causation_id: None,
        traceparent: None,
        tracestate: None,
        epoch: 1,
        request_id: None,
    }
}

fn opened<'v>(value: &'v [u8], name: &str, cache: &SchemaCache) -> Opened<'v> {
    let position = Position { topic: "flights.events.v1".to_owned(), partition: 0, offset: 0 };
    open_value(headers(name), position, value, cache).unwrap()
}

fn written(id: u32, data: &Value, cache: &SchemaCache) -> Vec<u8> {
    frame(id, &cache.get(id).unwrap().encode(data.as_object().unwrap()).unwrap())
}

#[test]
fn an_old_event_is_read_under_todays_name_and_fields() {
    let cache = cache();
    let value = written(1, &json!({"delay": 7}), &cache);
    let event = opened(&value, "FlightArrived", &cache).decode().unwrap();
    assert_eq!(event.headers.event_type, "flights.flight.FlightLanded");
    assert_eq!(Value::from(event.data), json!({"delay_min": 7, "gate": "?"}));
    let raw = opened(&value, "FlightArrived", &cache).decode_raw().unwrap();
    assert_eq!((raw.headers.event_name(), Value::from(raw.data)), ("FlightArrived", json!({"delay": 7})));
}

#[test]
fn a_field_that_came_later_has_its_default() {
    let cache = cache();
    let value = written(2, &json!({"delay_min": 7}), &cache);
    let event = opened(&value, "FlightLanded", &cache).decode().unwrap();
    assert_eq!(Value::from(event.data), json!({"delay_min": 7, "gate": "?"}));
}

#[test]
fn todays_schema_has_no_reading() {
    let cache = cache();
    assert!(cache.known(3).unwrap().reading.is_none());
    let value = written(3, &json!({"delay_min": 7, "gate": "C12"}), &cache);
    let event = opened(&value, "FlightLanded", &cache).decode().unwrap();
    assert_eq!(event.data["gate"], "C12");
}

#[test]
fn a_value_that_no_upcaster_knows_is_an_error_that_names_it() {
    let cache = cache();
    let value = written(1, &json!({"delay": 99}), &cache);
    let error = opened(&value, "FlightArrived", &cache).decode().unwrap_err();
    assert!(matches!(error, DecodeError::Upcast(_)), "{error}");
    assert_eq!(error.to_string(), "upcasting flights.FlightArrived: 99 is no delay");
}

#[test]
fn an_id_keeps_its_first_schema() {
    let cache = cache();
    cache.insert(1, Arc::new(schema("FlightArrived", DELAY))).unwrap();
    let error = cache.insert(1, Arc::new(schema("FlightArrived", TODAY))).unwrap_err();
    assert!(error.to_string().contains("ids never change their meaning"), "{error}");
    assert!(cache.get(1).unwrap().field("delay").is_some());
}
