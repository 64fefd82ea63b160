//! Bytes that nobody wrote in good faith.

use proptest::prelude::*;

use super::*;

fn refused(shape: &Shape, avro: &[u8], reason: &str) {
    assert_eq!(decode(shape, avro).unwrap_err().reason, reason);
    assert_eq!(shape.decode_fields(avro, &FieldMask::default()).unwrap_err().reason, reason);
}

/// The varint of a count or length.
fn varint(value: i64) -> Vec<u8> {
    let mut out = Vec::new();
    encode::write_long(&mut out, value);
    out
}

#[test]
fn lengths_beyond_the_input_cost_nothing() {
    for avro_type in [json!("string"), json!("bytes")] {
        let shape = holding(&avro_type);
        for length in [1, 1 << 20, i64::MAX] {
            refused(&shape, &varint(length), "the bytes end within a value");
        }
        for length in [-1, i64::MIN] {
            refused(&shape, &varint(length), "a length is negative");
        }
    }
    let strings = holding(&json!({"type": "array", "items": "string"}));
    refused(&strings, &varint(i64::MAX), "the bytes end within a value");
    refused(&strings, &varint(i64::MIN), "the bytes end within a value");
}

#[test]
fn items_that_take_no_bytes_are_bounded() {
    let empty = json!({"type": "record", "name": "Empty", "fields": []});
    for items in [json!("null"), empty, json!({"type": "fixed", "name": "None", "size": 0})] {
        let shape = holding(&json!({"type": "array", "items": items}));
        refused(&shape, &varint(i64::MAX), "more than 1,000,000 values");
        let few = [varint(3), varint(0)].concat();
        assert_eq!(decode(&shape, &few).unwrap()["x"].as_array().unwrap().len(), 3);
    }
}

#[test]
fn a_schema_that_doubles_at_every_level_is_bounded() {
    let mut inner = json!({"type": "record", "name": "L0", "fields": []});
    for level in 1..30 {
        let again = json!(format!("L{}", level - 1));
        let fields = json!([{"name": "a", "type": inner}, {"name": "b", "type": again}]);
        inner = json!({"type": "record", "name": format!("L{level}"), "fields": fields});
    }
    let shape = Shape::compile(&inner.to_string()).unwrap();
    refused(&shape, &[], "more than 1,000,000 values");
}

#[test]
fn blocks_with_their_length_are_read_and_passed_over() {
    let shape = holding(&json!({"type": "array", "items": "int"}));
    let avro = [varint(-2), varint(2), varint(1), varint(2), varint(1), varint(3), varint(0)].concat();
    assert_eq!(decode(&shape, &avro), Ok(json!({"x": [1, 2, 3]})));
    assert_eq!(shape.decode_fields(&avro, &FieldMask::default()), Ok(Map::new()));
    assert!(!shape.is_sound(&avro), "whether the length is true is not looked at");
    for length in [0, 1] {
        let lying = [varint(-2), varint(length), vec![2, 4, 0]].concat();
        assert_eq!(decode(&shape, &lying).unwrap_err().reason, "a block is not as long as it says");
        assert!(!shape.is_sound(&lying));
    }
    for length in [-1, 100, i64::MAX] {
        refused(&shape, &[varint(-2), varint(length), vec![2, 4, 0]].concat(), "a block is longer than what is left");
    }
}

#[test]
fn values_outside_their_type_are_refused() {
    let date = json!({"type": "int", "logicalType": "date"});
    let instant = json!({"type": "long", "logicalType": "timestamp-millis"});
    let cases = [
        (json!("boolean"), vec![2]),
        (json!("int"), varint(1 << 31)),
        (json!("long"), vec![0xff; 10]),
        (json!("long"), [[0x80; 10].as_slice(), &[1]].concat()),
        (json!("float"), f32::NAN.to_le_bytes().to_vec()),
        (json!("double"), f64::INFINITY.to_le_bytes().to_vec()),
        (json!("string"), vec![2, 0xff]),
        (json!({"type": "enum", "name": "E", "symbols": ["A"]}), vec![2]),
        (json!(["null", "int"]), vec![4]),
        (json!(["null", "int"]), vec![1]),
        (date, varint(i64::from(i32::MAX))),
        (instant, varint(i64::MAX)),
        (json!({"type": "int", "logicalType": "time-millis"}), varint(86_400_000)),
        (json!({"type": "bytes", "logicalType": "decimal", "precision": 2}), vec![2, 100]),
        (json!({"type": "string", "logicalType": "uuid"}), b"\x06foo".to_vec()),
    ];
    for (avro_type, avro) in cases {
        let shape = holding(&avro_type);
        assert!(decode(&shape, &avro).is_err() && !shape.is_sound(&avro), "{avro_type}");
    }
}

#[test]
fn too_much_is_refused_both_ways() {
    let text = holding(&json!("string"));
    let long = json!({"x": "x".repeat(AVRO_BYTES_MAX)});
    assert_eq!(encode(&text, &long).unwrap_err().code, Invalid::TOO_LARGE);
    refused(&text, &vec![0; AVRO_BYTES_MAX + 1], "longer than 10 MiB");
    let nulls = holding(&json!({"type": "array", "items": "null"}));
    let many = json!({"x": vec![Value::Null; VALUES_MAX]});
    assert_eq!(encode(&nulls, &many).unwrap_err().code, Invalid::TOO_LARGE);
    let defaults = json!({"type": "array", "items": {"type": "record", "name": "D", "fields": [
        {"name": "d", "type": "string", "default": "x".repeat(60_000)}]}});
    assert_eq!(
        encode(&holding(&defaults), &json!({"x": vec![json!({}); 1_000]})).unwrap_err().code,
        Invalid::TOO_LARGE
    );
}

/// A shape with about everything in it.
fn everything() -> Shape {
    let leg = json!({"type": "record", "name": "Leg", "fields": [
        {"name": "miles", "type": ["null", "int"]},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-nanos"}},
        {"name": "kind", "type": {"type": "enum", "name": "E", "symbols": ["A", "B", "C"]}}]});
    holding(&json!({"type": "record", "name": "All", "fields": [
        {"name": "legs", "type": {"type": "array", "items": leg}},
        {"name": "tags", "type": {"type": "map", "values": ["null", "string", "double", {"type": "array", "items": "Leg"}]}},
        {"name": "money", "type": {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 38}},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        {"name": "noon", "type": {"type": "long", "logicalType": "time-micros"}},
        {"name": "local", "type": {"type": "long", "logicalType": "local-timestamp-micros"}},
        {"name": "raw", "type": {"type": "fixed", "name": "F", "size": 2}},
        {"name": "id", "type": {"type": "fixed", "name": "U", "size": 16, "logicalType": "uuid"}}]}))
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_mean_something(avro in proptest::collection::vec(
        prop_oneof![4 => Just(0_u8), 4 => 0..8_u8, 1 => any::<u8>()], 0..200)) {
        let shape = everything();
        let skipped = shape.decode_fields(&avro, &FieldMask::default());
        prop_assert!(!shape.is_sound(&avro) || shape.decode(&avro).is_ok());
        if let Ok(data) = shape.decode(&avro) {
            prop_assert_eq!(skipped, Ok(Map::new()));
            let again = shape.encode(&data).unwrap();
            prop_assert_eq!(shape.decode(&again), Ok(data));
        }
    }
}
