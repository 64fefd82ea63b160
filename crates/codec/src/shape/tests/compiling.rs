//! Which schemas compile.

use super::*;

fn compile(schema: &Value) -> Result<Shape, ShapeError> {
    Shape::compile(&schema.to_string())
}

fn record(fields: Value) -> Value {
    json!({"type": "record", "name": "R", "namespace": "test", "fields": fields})
}

#[test]
fn names_and_fields_can_be_looked_at() {
    let shape =
        compile(&record(json!([{"name": "a", "type": "int"}, {"name": "b", "type": ["string", "null"]}]))).unwrap();
    assert_eq!((shape.full_name(), shape.name()), ("test.R", "R"));
    let fields: Vec<_> = shape.fields().iter().map(|field| (field.name(), field.kind(), field.nullable())).collect();
    assert_eq!(fields, [("a", &Kind::Int, false), ("b", &Kind::String, true)]);
}

#[test]
fn a_named_type_may_be_used_again() {
    let place = json!({"type": "record", "name": "Place", "fields": [{"name": "code", "type": "string"}]});
    let shape = compile(&record(json!([{"name": "from", "type": place}, {"name": "to", "type": "Place"}]))).unwrap();
    let data = json!({"from": {"code": "EWR"}, "to": {"code": "IAH"}});
    assert_eq!(decode(&shape, &encode(&shape, &data).unwrap()), Ok(data));
}

#[test]
fn what_is_no_record_is_refused() {
    for schema in ["", "{", r#"{"type": "rekord"}"#, r#"{"type": "record", "name": "R"}"#] {
        assert!(matches!(Shape::compile(schema), Err(ShapeError::Syntax { .. } | ShapeError::NotRecord)), "{schema}");
    }
    assert_eq!(compile(&json!("string")), Err(ShapeError::NotRecord));
    assert_eq!(compile(&json!(["null", record(json!([]))])), Err(ShapeError::NotRecord));
}

#[test]
fn a_type_that_contains_itself_is_refused() {
    for inner in [
        json!({"name": "next", "type": ["null", "test.R"]}),
        json!({"name": "next", "type": {"type": "array", "items": "R"}}),
        json!({"name": "next", "type": "R"}),
        json!({"name": "next", "type": ["null", "R"], "default": null}),
        json!({"name": "next", "type": "R", "default": {}}),
    ] {
        let answer = compile(&record(json!([inner])));
        assert!(matches!(answer, Err(ShapeError::Recursive { .. } | ShapeError::Syntax { .. })), "{answer:?}");
    }
}

#[test]
fn what_has_no_json_form_is_refused() {
    let duration = json!({"type": "fixed", "name": "D", "size": 12, "logicalType": "duration"});
    let big = json!({"type": "bytes", "logicalType": "big-decimal"});
    let wide = json!({"type": "bytes", "logicalType": "decimal", "precision": 39, "scale": 2});
    for avro_type in [duration, big, wide, json!([])] {
        let answer = compile(&record(json!([{"name": "x", "type": avro_type}])));
        assert!(matches!(&answer, Err(ShapeError::Unsupported { path, .. }) if path == "x"), "{answer:?}");
    }
}

#[test]
fn schemas_have_limits() {
    let deep = (0..40).fold(json!("int"), |inner, _| json!({"type": "array", "items": inner}));
    assert!(matches!(
        compile(&record(json!([{"name": "x", "type": deep}]))),
        Err(ShapeError::TooBig { what: "levels", .. })
    ));
    let fields: Vec<Value> = (0..=FIELDS_MAX).map(|n| json!({"name": format!("f{n}"), "type": "int"})).collect();
    assert!(matches!(compile(&record(json!(fields))), Err(ShapeError::TooBig { what: "fields", .. })));
    let long = " ".repeat(SCHEMA_BYTES_MAX + 1);
    assert!(matches!(Shape::compile(&long), Err(ShapeError::TooBig { what: "bytes", .. })));
    let bottomless = "[".repeat(100_000);
    assert!(matches!(Shape::compile(&bottomless), Err(ShapeError::Syntax { .. })));
}

#[test]
fn a_default_must_fit_its_field() {
    for field in [
        json!({"name": "x", "type": "int", "default": "1"}),
        json!({"name": "x", "type": {"type": "enum", "name": "E", "symbols": ["A"]}, "default": "B"}),
        json!({"name": "x", "type": "bytes", "default": "\u{100}"}),
    ] {
        let answer = compile(&record(json!([field])));
        assert!(matches!(answer, Err(ShapeError::Default { .. } | ShapeError::Syntax { .. })), "{answer:?}");
    }
}
