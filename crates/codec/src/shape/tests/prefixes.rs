//! Records that end too early or too late.

use super::*;

/// Valid records that are cut at every byte.
const RECORDS: u32 = 10_000;

/// Every kind of value that takes bytes.
const SCHEMA: &str = r#"{"type": "record", "name": "test.Everything", "fields": [
    {"name": "flag", "type": "boolean"}, {"name": "count", "type": "long"}, {"name": "ratio", "type": "double"},
    {"name": "name", "type": "string"}, {"name": "blob", "type": "bytes"},
    {"name": "hash", "type": {"type": "fixed", "name": "Hash", "size": 3}},
    {"name": "colour", "type": {"type": "enum", "name": "Colour", "symbols": ["RED", "GREEN"]}},
    {"name": "at", "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}]},
    {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
    {"name": "legs", "type": {"type": "array", "items": {"type": "record", "name": "Leg", "fields": [
        {"name": "to", "type": "string"}, {"name": "miles", "type": "int"}]}}},
    {"name": "notes", "type": {"type": "map", "values": "string"}}]}"#;

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn text(&mut self) -> String {
        (0..self.below(5)).map(|_| char::from(b'a' + u8::try_from(self.below(26)).unwrap())).collect()
    }

    fn record(&mut self) -> Value {
        let legs: Vec<Value> =
            (0..self.below(3)).map(|_| json!({"to": self.text(), "miles": self.below(5_000)})).collect();
        let notes: Map<String, Value> = (0..self.below(2)).map(|_| (self.text(), json!(self.text()))).collect();
        let at =
            if self.below(2) == 0 { Value::Null } else { json!(format!("2013-01-01T10:{}:00Z", 10 + self.below(50))) };
        json!({
            "flag": self.below(2) == 1, "count": self.below(1 << 31), "ratio": self.below(1_000), "name": self.text(),
            "blob": "AAEC", "hash": "AAEC", "colour": if self.below(2) == 0 { "RED" } else { "GREEN" }, "at": at,
            "price": format!("{}.50", self.below(10_000)), "legs": legs, "notes": notes,
        })
    }
}

#[test]
fn nasty_13_every_prefix_of_10_000_records_and_all_trailing_junk_is_refused() {
    let shape = Shape::compile(SCHEMA).unwrap();
    let few = shape.mask(["legs"]);
    let mut numbers = Numbers(42);
    let mut cut = 0_u64;
    for _ in 0..RECORDS {
        let data = numbers.record();
        let avro = encode(&shape, &data).unwrap();
        for end in 0..avro.len() {
            let error = shape.decode(&avro[..end]).unwrap_err();
            assert!(!error.reason.is_empty(), "{end} of {data}");
            assert!(shape.decode_fields(&avro[..end], &few).is_err(), "{end} of {data}");
        }
        cut += avro.len() as u64;
        let junk = [avro.as_slice(), &[u8::try_from(numbers.below(256)).unwrap()]].concat();
        for read in [shape.decode(&junk), shape.decode_fields(&junk, &few)] {
            assert_eq!(read.unwrap_err().reason, "bytes are left behind the record");
        }
        assert!(shape.decode(&avro).is_ok(), "{data}");
    }
    assert!(cut > 400_000, "{cut} prefixes");
}

#[test]
fn a_sample_fits_its_shape_and_comes_back() {
    let shape = Shape::compile(SCHEMA).unwrap();
    let sample = shape.sample();
    let avro = shape.encode(&sample).unwrap();
    assert_eq!(shape.decode(&avro), Ok(sample.clone()));
    assert!(sample.values().all(|value| !value.is_null()));
}
