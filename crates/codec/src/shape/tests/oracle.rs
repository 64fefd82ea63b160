//! Against the Avro library: what we write it reads, what it writes we read, on schemas and data made up at random.

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use time::format_description::well_known::Rfc3339;
use time::{Date, Duration, OffsetDateTime, Time};

use super::*;

/// A type made up at random, and a value of it in our JSON.
#[derive(Debug, Clone)]
struct Made {
    avro_type: Value,
    value: Value,
}

fn made(avro_type: Value, value: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Made> {
    value.prop_map(move |value| Made { avro_type: avro_type.clone(), value }).boxed()
}

fn logical(base: &str, name: &str) -> Value {
    json!({"type": base, "logicalType": name})
}

const YEARS: std::ops::Range<i64> = -62_167_219_200..253_402_300_800;

/// RFC 3339 of a second and nanoseconds, by the time library alone.
fn rfc3339(second: i64, nanos: i64) -> String {
    let instant = OffsetDateTime::from_unix_timestamp(second).unwrap() + Duration::nanoseconds(nanos);
    instant.format(&Rfc3339).unwrap()
}

fn instants(name: &'static str, per_second: i64) -> BoxedStrategy<Made> {
    let seconds = if per_second == 1_000_000_000 { -9_000_000_000..9_000_000_000 } else { YEARS };
    let local = name.starts_with("local");
    let text = move |(second, part): (i64, i64)| {
        let text = rfc3339(second, part * (1_000_000_000 / per_second));
        Value::from(if local { text.trim_end_matches('Z') } else { &text })
    };
    made(logical("long", name), (seconds, 0..per_second).prop_map(text))
}

fn days() -> BoxedStrategy<Made> {
    let text = |days: i64| json!((Date::from_ordinal_date(1970, 1).unwrap() + Duration::days(days)).to_string());
    made(logical("int", "date"), (-719_528..2_932_897_i64).prop_map(text))
}

fn decimals() -> BoxedStrategy<Made> {
    let digits = (1..=38_u32).prop_flat_map(|precision| (Just(precision), 0..=precision, any::<i128>()));
    let made = |(precision, scale, any): (u32, u32, i128)| {
        let unscaled = any % 10_i128.pow(precision);
        let avro_type = json!({"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale});
        Made { avro_type, value: decimal_json(unscaled, scale) }
    };
    digits.prop_map(made).boxed()
}

/// Decimal text by arithmetic.
fn decimal_json(unscaled: i128, scale: u32) -> Value {
    let sign = if unscaled < 0 { "-" } else { "" };
    let (unscaled, unit) = (unscaled.unsigned_abs(), 10_u128.pow(scale));
    let width = scale as usize;
    match scale {
        0 => json!(format!("{sign}{unscaled}")),
        _ => json!(format!("{sign}{}.{:0width$}", unscaled / unit, unscaled % unit)),
    }
}

fn leaves() -> impl Strategy<Value = Made> {
    let base64 = |bytes: Vec<u8>| json!(STANDARD.encode(bytes));
    prop_oneof![
        made(json!("null"), Just(Value::Null)),
        made(json!("boolean"), any::<bool>().prop_map(Value::from)),
        made(json!("int"), any::<i32>().prop_map(Value::from)),
        made(json!("long"), any::<i64>().prop_map(Value::from)),
        made(json!("float"), (-1e30_f32..1e30).prop_map(|float| json!(f64::from(float)))),
        made(json!("double"), (-1e300..1e300).prop_map(Value::from)),
        made(json!("string"), any::<String>().prop_map(Value::from)),
        made(json!("bytes"), vec(any::<u8>(), 0..20).prop_map(base64)),
        made(json!({"type": "fixed", "name": "?", "size": 5}), vec(any::<u8>(), 5).prop_map(base64)),
        made(json!({"type": "enum", "name": "?", "symbols": ["A", "B", "C"]}), "[ABC]".prop_map(Value::from)),
        made(logical("string", "uuid"), any::<u128>().prop_map(|id| json!(uuid::Uuid::from_u128(id).to_string()))),
        days(),
        instants("timestamp-millis", 1_000),
        instants("timestamp-micros", 1_000_000),
        instants("timestamp-nanos", 1_000_000_000),
        instants("local-timestamp-millis", 1_000),
        instants("local-timestamp-micros", 1_000_000),
        decimals(),
    ]
}

/// A type with values of it, so that arrays and maps can have several.
fn made_of(inner: &Made, count: usize) -> Vec<Value> {
    vec![inner.value.clone(); count]
}

fn types() -> impl Strategy<Value = Made> {
    leaves().prop_recursive(4, 24, 5, |inner| {
        let array = (inner.clone(), 0..3_usize).prop_map(|(inner, count)| Made {
            value: json!(made_of(&inner, count)),
            avro_type: json!({"type": "array", "items": inner.avro_type}),
        });
        let map = (inner.clone(), vec(any::<String>(), 0..3)).prop_map(|(inner, keys)| Made {
            value: keys.into_iter().map(|key| (key, inner.value.clone())).collect(),
            avro_type: json!({"type": "map", "values": inner.avro_type}),
        });
        let nullable = (inner.clone(), any::<bool>(), any::<bool>())
            .prop_filter("null twice", |(inner, ..)| inner.avro_type != "null" && !inner.avro_type.is_array())
            .prop_map(|(inner, null, first)| Made {
                value: if null { Value::Null } else { inner.value },
                avro_type: if first { json!(["null", inner.avro_type]) } else { json!([inner.avro_type, "null"]) },
            });
        let one_of = [json!(null), json!("a"), json!(1), json!(true)];
        let union = made(json!(["string", "null", "long", "boolean"]), proptest::sample::select(one_of.to_vec()));
        let record = records(inner);
        prop_oneof![array, map, nullable, union, record]
    })
}

fn records(inner: impl Strategy<Value = Made>) -> impl Strategy<Value = Made> {
    btree_map("[a-z]{1,8}", inner, 0..5).prop_map(|fields| {
        let types = fields.iter().map(|(name, field)| json!({"name": name, "type": field.avro_type}));
        Made {
            avro_type: json!({"type": "record", "name": "?", "fields": types.collect::<Vec<_>>()}),
            value: fields.into_iter().map(|(name, field)| (name, field.value)).collect(),
        }
    })
}

/// Gives every named type its own name.
fn name_types(avro_type: &mut Value, next: &mut u32) {
    match avro_type {
        Value::Array(branches) => branches.iter_mut().for_each(|branch| name_types(branch, next)),
        Value::Object(object) => {
            if object.get("name") == Some(&json!("?")) {
                *next += 1;
                object.insert("name".to_owned(), json!(format!("T{next}")));
            }
            object.values_mut().for_each(|value| name_types(value, next));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The library's value in our JSON, written from its documentation and without our own code.
fn json_of(avro: &Avro, schema: &Schema) -> Value {
    match (avro, schema) {
        (Avro::Null, _) => Value::Null,
        (Avro::Boolean(flag), _) => json!(flag),
        (Avro::Int(int), _) => json!(int),
        (Avro::Long(long), _) => json!(long),
        (Avro::Float(float), _) => json!(f64::from(*float)),
        (Avro::Double(double), _) => json!(double),
        (Avro::String(text) | Avro::Enum(_, text), _) => json!(text),
        (Avro::Bytes(bytes) | Avro::Fixed(_, bytes), _) => json!(STANDARD.encode(bytes)),
        (Avro::Union(index, value), Schema::Union(union)) => json_of(value, &union.variants()[*index as usize]),
        (Avro::Array(items), Schema::Array(array)) => items.iter().map(|item| json_of(item, &array.items)).collect(),
        (Avro::Map(values), Schema::Map(map)) => {
            values.iter().map(|(key, value)| (key.clone(), json_of(value, &map.types))).collect()
        }
        (Avro::Record(fields), Schema::Record(record)) => {
            let pairs = fields.iter().zip(&record.fields);
            pairs.map(|((name, value), field)| (name.clone(), json_of(value, &field.schema))).collect()
        }
        (Avro::Uuid(uuid), _) => json!(uuid.to_string()),
        (Avro::Decimal(decimal), Schema::Decimal(schema)) => {
            let bytes = Vec::<u8>::try_from(decimal).unwrap();
            let sign = if bytes.first().is_some_and(|byte| *byte > 127) { -1 } else { 0 };
            let unscaled = bytes.iter().fold(sign, |sum: i128, byte| sum << 8 | i128::from(*byte));
            decimal_json(unscaled, u32::try_from(schema.scale).unwrap())
        }
        (time, _) => time_json(time),
    }
}

fn time_json(time: &Avro) -> Value {
    let (count, per_second, local) = match time {
        Avro::Date(days) => (i64::from(*days), 0, false),
        Avro::TimestampMillis(count) => (*count, 1_000, false),
        Avro::TimestampMicros(count) => (*count, 1_000_000, false),
        Avro::TimestampNanos(count) => (*count, 1_000_000_000, false),
        Avro::LocalTimestampMillis(count) => (*count, 1_000, true),
        Avro::LocalTimestampMicros(count) => (*count, 1_000_000, true),
        other => panic!("not a time: {other:?}"),
    };
    if per_second == 0 {
        return json!((Date::from_ordinal_date(1970, 1).unwrap() + Duration::days(count)).to_string());
    }
    let nanos = count.rem_euclid(per_second) * (1_000_000_000 / per_second);
    let text = rfc3339(count.div_euclid(per_second), nanos);
    json!(if local { text.trim_end_matches('Z') } else { &text })
}

fn library_reads(schema: &Schema, avro: &mut &[u8]) -> Avro {
    GenericDatumReader::builder(schema).build().unwrap().read_value(avro).unwrap()
}

proptest! {
    #[test]
    fn we_and_the_library_read_each_other(made in records(types())) {
        let Made { mut avro_type, value: data } = made;
        name_types(&mut avro_type, &mut 0);
        let shape = Shape::compile(&avro_type.to_string()).unwrap();
        let library = Schema::parse(&avro_type).unwrap();

        let ours = encode(&shape, &data).unwrap();
        let mut rest = ours.as_slice();
        let read = library_reads(&library, &mut rest);
        prop_assert!(rest.is_empty());
        prop_assert_eq!(json_of(&read, &library), data.clone());

        let theirs = GenericDatumWriter::builder(&library).build().unwrap().write_value_to_vec(read).unwrap();
        prop_assert_eq!(decode(&shape, &theirs), Ok(data.clone()));
        prop_assert_eq!(decode(&shape, &ours), Ok(data));
        prop_assert!(shape.is_sound(&ours) || avro_type.to_string().contains(r#""map""#));

        for end in 0..ours.len() {
            prop_assert!(shape.decode(&ours[..end]).is_err(), "the first {end} bytes");
            prop_assert!(!shape.is_sound(&ours[..end]), "the first {end} bytes");
            prop_assert!(shape.decode_fields(&ours[..end], &FieldMask::default()).is_err(), "the first {end} bytes");
        }
        for more in [0, 2, 0xff] {
            let longer = [ours.as_slice(), &[more]].concat();
            prop_assert!(shape.decode(&longer).is_err() && !shape.is_sound(&longer));
            prop_assert!(shape.decode_fields(&longer, &FieldMask::default()).is_err());
        }
    }
}

#[test]
fn times_of_day_are_the_librarys() {
    for (name, base, text, count) in [
        ("time-millis", "int", "10:15:00.25", Avro::TimeMillis(36_900_250)),
        ("time-micros", "long", "23:59:59.000001", Avro::TimeMicros(86_399_000_001)),
    ] {
        let schema = json!({"type": "record", "name": "R", "fields": [{"name": "x", "type": logical(base, name)}]});
        let avro = encode(&Shape::compile(&schema.to_string()).unwrap(), &json!({"x": text})).unwrap();
        let read = library_reads(&Schema::parse(&schema).unwrap(), &mut avro.as_slice());
        assert_eq!(read, Avro::Record(vec![("x".to_owned(), count)]));
    }
    assert_eq!(Time::from_hms_milli(10, 15, 0, 250).unwrap() - Time::MIDNIGHT, Duration::milliseconds(36_900_250));
}
