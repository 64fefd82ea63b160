//! Bad input: a clear code, nothing stored, and the next good request is served.

use serde_json::{Value, json};
use spina_tests::world::World;

use crate::samples::{new_stream, scheduled};

/// A good event with one field set to something.
fn with(field: &str, value: Value) -> Value {
    let mut event = scheduled();
    event["data"][field] = value;
    event
}

fn without(field: &str) -> Value {
    let mut event = scheduled();
    event["data"].as_object_mut().unwrap().remove(field);
    event
}

fn typed(name: &str) -> Value {
    let mut event = scheduled();
    event["type"] = json!(name);
    event
}

#[tokio::test]
async fn an_event_that_does_not_fit_its_schema_is_refused_with_the_field_named() {
    let world = World::shared().await;
    let (http, context, stream) = (world.http(), &world.context.name, new_stream());
    for (event, status, code, path) in [
        (typed("FlightExploded"), 422, "validation.unknown_type", Value::Null),
        (with("gate", json!("C 12")), 422, "validation.unknown_field", json!("events[0].data.gate")),
        (with("flight", json!("1545")), 422, "validation.type", json!("events[0].data.flight")),
        (
            with("scheduled_departure", json!("soon")),
            422,
            "validation.format",
            json!("events[0].data.scheduled_departure"),
        ),
        (with("distance_miles", json!(1400.5)), 422, "validation.type", json!("events[0].data.distance_miles")),
        (
            with("distance_miles", json!(3_000_000_000_u64)),
            422,
            "validation.range",
            json!("events[0].data.distance_miles"),
        ),
        (without("carrier"), 422, "validation.missing_field", json!("events[0].data.carrier")),
        (with("carrier", json!("U".repeat(2 << 20))), 413, "validation.too_large", Value::Null),
    ] {
        let refused = http.append(context, &stream, "any", json!([event])).await;
        assert_eq!((refused.status, refused.error_code()), (status, code), "{:?}", refused.body);
        if !path.is_null() {
            assert_eq!(refused.body["details"]["path"], path, "{code}");
        }
        assert!(refused.body["message"].as_str().is_some_and(|message| !message.is_empty()), "{code}");
    }
    let one_bad = http.append(context, &stream, "any", json!([scheduled(), with("flight", json!("x"))])).await;
    assert_eq!(one_bad.body["details"]["path"], "events[1].data.flight");
    nothing_is_stored(world, &stream).await;
}

#[tokio::test]
async fn a_request_that_makes_no_sense_is_refused() {
    let world = World::shared().await;
    let (http, context, stream) = (world.http(), &world.context.name, new_stream());
    let path = format!("/v1/{context}/streams/{stream}/events");
    for body in [json!([]), json!({}), json!({"events": []}), json!({"events": [scheduled()], "expected": 1})] {
        let refused = http.post(&path, &body).await;
        assert!(matches!(refused.status, 400 | 422), "{refused:?}");
        assert!(refused.error_code().starts_with("validation."), "{refused:?}");
    }
    let other = http.post(&format!("/v1/{context}/streams/order-1/events"), &json!({"events": [scheduled()]})).await;
    assert_eq!(other.error_code(), "validation.aggregate");
    let nowhere = http.post("/v1/nowhere/streams/flight-1/events", &json!({"events": [scheduled()]})).await;
    assert_eq!((nowhere.status, nowhere.error_code()), (404, "resource.not_found"));
    nothing_is_stored(world, &stream).await;
}

#[tokio::test]
async fn bad_lines_of_an_import_are_told_and_the_good_ones_are_appended() {
    let world = World::shared().await;
    let (stream, other) = (new_stream(), new_stream());
    let line = |stream: &str, mut event: Value| {
        event["stream"] = json!(stream);
        event.to_string()
    };
    let lines = [
        line(&stream, scheduled()),
        line(&other, with("gate", json!(1))),
        "{".to_owned(),
        line(&other, with("carrier", json!("U".repeat(2 << 20)))),
        line(&stream, typed("FlightLanded")),
        String::new(),
    ];
    let file = world.stack.folder(&stream).join("lines.ndjson");
    std::fs::write(&file, lines.join("\n")).unwrap();

    let ran = world.spina().args(["import", "--output", "json"]).arg(&file).run();
    assert_eq!(ran.status.code(), Some(3), "{ran:?}");
    for code in ["validation.unknown_field", "validation.json", "validation.too_large", "validation.unknown_field"] {
        assert!(format!("{}{}", ran.stdout, ran.stderr).contains(code), "{code}: {ran:?}");
    }
    let path = format!("/v1/{}/streams/{stream}/events", world.context.name);
    assert_eq!(world.http().get(&path).await.unwrap().body["version"], 1);
    nothing_is_stored(world, &other).await;
}

/// The stream does not exist, and still takes a good event.
async fn nothing_is_stored(world: &World, stream: &str) {
    let (http, context) = (world.http(), &world.context.name);
    let read = http.get(&format!("/v1/{context}/streams/{stream}/events")).await.unwrap();
    assert_eq!((read.status, read.error_code()), (404, "resource.not_found"), "{read:?}");
    let good = http.append(context, stream, "no_stream", json!([scheduled()])).await;
    assert_eq!(good.status, 201, "{good:?}");
}
