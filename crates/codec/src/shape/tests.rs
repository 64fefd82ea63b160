//! What a shape writes, reads and refuses.

mod compiling;
mod hostile;
mod oracle;
mod prefixes;

use serde_json::{Value, json};

use super::*;

/// A record with the one field `x` of that type.
fn holding(avro_type: &Value) -> Shape {
    let schema = json!({"type": "record", "name": "test.R", "fields": [{"name": "x", "type": avro_type}]});
    Shape::compile(&schema.to_string()).unwrap()
}

fn encode(shape: &Shape, data: &Value) -> Result<Vec<u8>, Invalid> {
    shape.encode(data.as_object().unwrap())
}

fn decode(shape: &Shape, avro: &[u8]) -> Result<Value, Malformed> {
    shape.decode(avro).map(Value::Object)
}

#[test]
fn every_type_has_its_bytes() {
    let money = json!({"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2});
    let fixed_money =
        json!({"type": "fixed", "name": "D", "size": 3, "logicalType": "decimal", "precision": 6, "scale": 2});
    let uuid = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6";
    let uuid_bytes = [0xf8, 0x1d, 0x4f, 0xae, 0x7d, 0xec, 0x11, 0xd0, 0xa7, 0x65, 0x00, 0xa0, 0xc9, 0x1e, 0x6b, 0xf6];
    let sized = |bytes: &[u8]| [&[u8::try_from(bytes.len() * 2).unwrap()], bytes].concat();
    let cases = [
        (json!("null"), json!(null), vec![]),
        (json!("boolean"), json!(true), vec![1]),
        (json!("int"), json!(-65), vec![0x81, 0x01]),
        (json!("long"), json!(i64::MIN), vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
        (json!("float"), json!(1.5), vec![0, 0, 0xc0, 0x3f]),
        (json!("double"), json!(-2.0), vec![0, 0, 0, 0, 0, 0, 0, 0xc0]),
        (json!("string"), json!("foo"), b"\x06foo".to_vec()),
        (json!("bytes"), json!("Zm9v"), b"\x06foo".to_vec()),
        (json!({"type": "fixed", "name": "F", "size": 3}), json!("Zm9v"), b"foo".to_vec()),
        (json!({"type": "enum", "name": "E", "symbols": ["A", "B"]}), json!("B"), vec![2]),
        (json!({"type": "int", "logicalType": "date"}), json!("1970-01-03"), vec![4]),
        (json!({"type": "int", "logicalType": "time-millis"}), json!("00:00:00.002"), vec![4]),
        (json!({"type": "long", "logicalType": "time-micros"}), json!("00:00:00.000002"), vec![4]),
        (json!({"type": "long", "logicalType": "timestamp-millis"}), json!("1970-01-01T00:00:00.002Z"), vec![4]),
        (json!({"type": "long", "logicalType": "timestamp-micros"}), json!("1970-01-01T00:00:00.000002Z"), vec![4]),
        (json!({"type": "long", "logicalType": "timestamp-nanos"}), json!("1970-01-01T00:00:00.000000002Z"), vec![4]),
        (json!({"type": "long", "logicalType": "local-timestamp-millis"}), json!("1970-01-01T00:00:00.002"), vec![4]),
        (json!({"type": "long", "logicalType": "local-timestamp-micros"}), json!("1970-01-01T00:00:01"), {
            vec![0x80, 0x89, 0x7a]
        }),
        (json!({"type": "long", "logicalType": "local-timestamp-nanos"}), json!("1970-01-01T00:00:00"), vec![0]),
        (money, json!("-1.50"), vec![4, 0xff, 0x6a]),
        (fixed_money, json!("-1.50"), vec![0xff, 0xff, 0x6a]),
        (json!({"type": "string", "logicalType": "uuid"}), json!(uuid), sized(uuid.as_bytes())),
        (json!({"type": "fixed", "name": "U", "size": 16, "logicalType": "uuid"}), json!(uuid), uuid_bytes.to_vec()),
        (json!({"type": "array", "items": "int"}), json!([1, 2]), vec![4, 2, 4, 0]),
        (json!({"type": "array", "items": "int"}), json!([]), vec![0]),
        (json!({"type": "map", "values": "int"}), json!({"a": 1}), vec![2, 2, b'a', 2, 0]),
        (json!(["null", "int"]), json!(null), vec![0]),
        (json!(["null", "int"]), json!(1), vec![2, 2]),
        (json!(["int", "null"]), json!(null), vec![2]),
        (json!(["int", "null"]), json!(1), vec![0, 2]),
        (json!(["null", "int", "string"]), json!("a"), vec![4, 2, b'a']),
        (json!({"type": "record", "name": "N", "fields": [{"name": "y", "type": "int"}]}), json!({"y": 1}), vec![2]),
    ];
    for (avro_type, value, avro) in cases {
        let shape = holding(&avro_type);
        let data = json!({"x": value});
        assert_eq!(encode(&shape, &data), Ok(avro.clone()), "{avro_type}");
        assert_eq!(decode(&shape, &avro), Ok(data), "{avro_type}");
    }
}

#[test]
fn nothing_is_converted_silently() {
    let date = json!({"type": "int", "logicalType": "date"});
    let instant = json!({"type": "long", "logicalType": "timestamp-millis"});
    let cases = [
        (json!("long"), json!("5"), Invalid::TYPE),
        (json!("int"), json!(5.0), Invalid::TYPE),
        (json!("int"), json!(1_i64 << 31), Invalid::RANGE),
        (json!("long"), json!(u64::MAX), Invalid::RANGE),
        (json!("double"), json!("1.5"), Invalid::TYPE),
        (json!("double"), json!((1_i64 << 53) + 1), Invalid::RANGE),
        (json!("float"), json!(1e39), Invalid::RANGE),
        (json!("string"), json!(5), Invalid::TYPE),
        (json!("string"), json!(null), Invalid::TYPE),
        (json!("boolean"), json!(1), Invalid::TYPE),
        (json!("bytes"), json!("not base64!"), Invalid::FORMAT),
        (json!({"type": "fixed", "name": "F", "size": 2}), json!("Zm9v"), Invalid::RANGE),
        (json!({"type": "enum", "name": "E", "symbols": ["A"]}), json!("a"), Invalid::FORMAT),
        (date.clone(), json!(15_706), Invalid::TYPE),
        (date, json!("2013-02-29"), Invalid::FORMAT),
        (instant.clone(), json!(1_357_035_300_000_i64), Invalid::TYPE),
        (instant.clone(), json!("2013-01-01"), Invalid::FORMAT),
        (instant, json!("2013-01-01T00:00:00.0001Z"), Invalid::RANGE),
        (json!({"type": "string", "logicalType": "uuid"}), json!("f81d4fae"), Invalid::FORMAT),
        (json!(["null", "int"]), json!("a"), Invalid::TYPE),
        (json!(["null", "int", "boolean"]), json!("a"), Invalid::TYPE),
        (json!({"type": "array", "items": "int"}), json!({}), Invalid::TYPE),
        (json!({"type": "map", "values": "int"}), json!([]), Invalid::TYPE),
    ];
    for (avro_type, value, code) in cases {
        let invalid = encode(&holding(&avro_type), &json!({"x": value})).unwrap_err();
        assert_eq!((invalid.code, invalid.path.as_str()), (code, "data.x"), "{avro_type}: {invalid}");
    }
    assert!(encode(&holding(&json!("double")), &json!({"x": 5})).is_ok());
}

#[test]
fn an_error_names_the_place() {
    let leg = json!({"type": "record", "name": "Leg", "fields": [{"name": "miles", "type": ["null", "int"]}]});
    let legs = holding(&json!({"type": "array", "items": leg}));
    let bad = json!({"x": [{"miles": 1}, {"miles": null}, {"miles": "far"}]});
    let invalid = encode(&legs, &bad).unwrap_err();
    assert_eq!(invalid.to_string(), "data.x[2].miles: the text \"far\" is not a whole number");
    let grid = holding(&json!({"type": "array", "items": {"type": "map", "values": "int"}}));
    assert_eq!(encode(&grid, &json!({"x": [{"a": 1, "b": true}]})).unwrap_err().path, "data.x[0].b");
    let unknown = encode(&legs, &json!({"x": [{"miles": 1, "mlies": 2}]})).unwrap_err();
    assert_eq!((unknown.code, unknown.path.as_str()), (Invalid::UNKNOWN_FIELD, "data.x[0].mlies"));
    let missing = encode(&legs, &json!({"x": [{}]})).unwrap_err();
    assert_eq!((missing.code, missing.path.as_str()), (Invalid::MISSING_FIELD, "data.x[0].miles"));
    let cut = decode(&legs, &[2, 2, 0x80]).unwrap_err();
    assert_eq!(cut.to_string(), "malformed Avro at byte 3 in `x.miles`: the bytes end within a value");
}

#[test]
fn a_missing_field_takes_its_default() {
    let schema = json!({"type": "record", "name": "R", "fields": [
        {"name": "note", "type": ["null", "string"], "default": null},
        {"name": "seats", "type": "int", "default": 2},
        {"name": "since", "type": {"type": "int", "logicalType": "date"}, "default": 3},
        {"name": "raw", "type": "bytes", "default": "\u{ff}a"},
        {"name": "nested", "default": {}, "type":
            {"type": "record", "name": "N", "fields": [{"name": "tags", "type": {"type": "array", "items": "string"}, "default": ["a"]}]}}
    ]});
    let shape = Shape::compile(&schema.to_string()).unwrap();
    let filled = json!({"note": null, "seats": 2, "since": "1970-01-04", "raw": "/2E=", "nested": {"tags": ["a"]}});
    assert_eq!(decode(&shape, &encode(&shape, &json!({})).unwrap()), Ok(filled.clone()));
    for field in shape.fields() {
        assert_eq!(field.default(), filled.get(field.name()));
    }
    let note = shape.field("note").unwrap();
    assert_eq!((note.kind(), note.nullable()), (&Kind::String, true));
}

#[test]
fn after_an_error_the_output_is_as_it_was() {
    let mut out = b"frame".to_vec();
    let data = json!({"x": [1, 2, "three"]});
    let shape = holding(&json!({"type": "array", "items": "int"}));
    assert!(shape.encode_into(data.as_object().unwrap(), &mut out).is_err());
    assert_eq!(out, b"frame");
}

#[test]
fn only_wanted_fields_are_read() {
    let fields: Vec<Value> = (0..70).map(|n| json!({"name": format!("f{n}"), "type": "string"})).collect();
    let shape = Shape::compile(&json!({"type": "record", "name": "R", "fields": fields}).to_string()).unwrap();
    let data: Map<String, Value> = (0..70).map(|n| (format!("f{n}"), json!(n.to_string()))).collect();
    let avro = shape.encode(&data).unwrap();
    let wanted = shape.mask(["f3", "f69", "of another version"]);
    assert_eq!(Value::from(shape.decode_fields(&avro, &wanted).unwrap()), json!({"f3": "3", "f69": "69"}));
    assert_eq!(shape.decode_fields(&avro, &shape.mask([])), Ok(Map::new()));
    assert!(shape.mask([]).is_empty());
}
