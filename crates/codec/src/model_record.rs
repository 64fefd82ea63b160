//! The records of a read model's topic: their Avro schemas, which follow from the model's columns, and rows as records.
//!
//! ```text
//! ModelShape -> key schema    <context>.model.<Model>Key   the key's columns
//!            -> value schema  <context>.model.<Model>      the key's columns, then the others, each nullable
//! ```
//!
//! Flat, so that any sink takes it, and every column but the key's has null as default, so that a column may come or go.
//! `connect.name` says to Kafka Connect what Avro has no word for, in the terms that Debezium's JDBC sink knows; whoever
//! does not know it passes it over. A decimal is its exact text: the columns have no common number of decimals.

use serde_json::{Map, Value, json};
use spina_core::{CellType, ContextName, ModelShape};

use crate::frame;
use crate::shape::{Invalid, Shape, ShapeError};

/// The schemas of a model's topic, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelSchemas {
    /// Of the keys.
    pub key: String,
    /// Of the values.
    pub value: String,
}

impl ModelSchemas {
    /// The schemas of a model.
    pub fn of(context: &ContextName, model: &str, shape: &ModelShape) -> Self {
        let namespace = format!("{}.model", context.as_str().replace('-', "_"));
        let name: String = model.split('_').map(capitalised).collect();
        let key = shape.key.iter().map(|key| field(&key.name, avro(key.cell)));
        let others = shape.columns.iter().map(|column| nullable(&column.name, avro(column.seen_as())));
        let record = |name: String, fields: Vec<Value>| {
            let schema = json!({ "type": "record", "name": name, "namespace": namespace, "fields": fields });
            format!("{schema:#}\n")
        };
        Self {
            key: record(format!("{name}Key"), key.clone().collect()),
            value: record(name, key.chain(others).collect()),
        }
    }
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

fn field(name: &str, kind: Value) -> Value {
    json!({ "name": name, "type": kind })
}

fn nullable(name: &str, kind: Value) -> Value {
    json!({ "name": name, "type": ["null", kind], "default": null })
}

fn avro(cell: CellType) -> Value {
    match cell {
        CellType::Bool => json!("boolean"),
        CellType::Long => json!("long"),
        CellType::Double => json!("double"),
        CellType::Text | CellType::Decimal => json!("string"),
        CellType::Uuid => json!({ "type": "string", "logicalType": "uuid", "connect.name": "io.debezium.data.Uuid" }),
        CellType::Date => json!({ "type": "int", "logicalType": "date" }),
        CellType::Timestamp => json!({
            "type": "long",
            "logicalType": "timestamp-micros",
            "connect.name": "io.debezium.time.MicroTimestamp",
        }),
        CellType::Json => json!({ "type": "string", "connect.name": "io.debezium.data.Json" }),
    }
}

/// Writes rows of a model as keys and values of its topic.
#[derive(Debug, Clone)]
pub struct ModelRecords {
    key: (u32, Shape),
    value: (u32, Shape),
    json: Vec<String>,
}

impl ModelRecords {
    /// A writer with these schemas, under the ids that the registry gave them (key, value).
    ///
    /// # Errors
    /// When the model has more columns than a schema may have fields.
    pub fn new(schemas: &ModelSchemas, ids: (u32, u32), shape: &ModelShape) -> Result<Self, ShapeError> {
        let json = shape.seen().filter(|(_, cell)| *cell == CellType::Json).map(|(name, _)| name.to_owned());
        Ok(Self {
            key: (ids.0, Shape::compile(&schemas.key)?),
            value: (ids.1, Shape::compile(&schemas.value)?),
            json: json.collect(),
        })
    }

    /// A row's key: its columns by name.
    ///
    /// # Errors
    /// When the columns are not the model's.
    pub fn key(&self, columns: &Map<String, Value>) -> Result<Vec<u8>, Invalid> {
        framed(&self.key, columns)
    }

    /// A row: all its columns by name.
    ///
    /// # Errors
    /// When the columns are not the model's, or too large together.
    pub fn value(&self, mut columns: Map<String, Value>) -> Result<Vec<u8>, Invalid> {
        for name in &self.json {
            if let Some(nested) = columns.get_mut(name).filter(|nested| !nested.is_null()) {
                *nested = Value::String(nested.to_string());
            }
        }
        framed(&self.value, &columns)
    }
}

fn framed((id, shape): &(u32, Shape), columns: &Map<String, Value>) -> Result<Vec<u8>, Invalid> {
    let mut record = frame::prefix(*id).to_vec();
    shape.encode_into(columns, &mut record)?;
    Ok(record)
}

#[cfg(test)]
mod tests {
    use spina_core::{Column, Fold, KeyColumn};

    use super::*;

    fn shape() -> ModelShape {
        let column = |name: &str, cell, fold| Column { name: name.into(), cell, fold };
        let mut columns: Vec<Column> =
            CellType::ALL.into_iter().map(|cell| column(&format!("a_{}", cell.name()), cell, Fold::Set)).collect();
        columns.push(column("mean", CellType::Long, Fold::Mean));
        ModelShape { key: vec![KeyColumn { name: "day".into(), cell: CellType::Date }], columns, children: vec![] }
    }

    fn schemas() -> ModelSchemas {
        ModelSchemas::of(&"air-traffic".parse().unwrap(), "airport_day", &shape())
    }

    #[test]
    fn the_schemas_are_flat_records_of_the_columns() {
        let (key, value) = (Shape::compile(&schemas().key).unwrap(), Shape::compile(&schemas().value).unwrap());
        assert_eq!(
            (key.full_name(), value.full_name()),
            ("air_traffic.model.AirportDayKey", "air_traffic.model.AirportDay")
        );
        assert_eq!(key.fields().len(), 1);
        let names: Vec<_> = value.fields().iter().map(|field| field.name()).collect();
        let expected: Vec<_> = shape().seen().map(|(name, _)| name.to_owned()).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn a_row_of_every_type_is_written_and_read_back() {
        let row = json!({
            "day": "2013-01-31", "a_bool": true, "a_long": -7, "a_double": 1.5, "a_text": "x", "mean": 2.0,
            "a_uuid": "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "a_decimal": "-12.50", "a_date": "2013-02-28",
            "a_timestamp": "2013-01-01T10:15:00.000001Z", "a_json": { "a": [1] },
        });
        let Value::Object(row) = row else { unreachable!() };
        let records = ModelRecords::new(&schemas(), (7, 8), &shape()).unwrap();
        let written = records.value(row.clone()).unwrap();
        let (id, avro) = frame::split(&written).unwrap();
        let read = Shape::compile(&schemas().value).unwrap().decode(avro).unwrap();
        let mut expected = row.clone();
        expected.insert("a_json".into(), json!("{\"a\":[1]}"));
        assert_eq!((id, read), (8, expected));
        let key = Map::from_iter([("day".to_owned(), row["day"].clone())]);
        assert_eq!(frame::split(&records.key(&key).unwrap()).unwrap().0, 7);
        let empty: Map<String, Value> = row
            .keys()
            .map(|name| (name.clone(), if name == "day" { row[name].clone() } else { Value::Null }))
            .collect();
        assert!(records.value(empty).is_ok(), "every other column may be null");
    }
}
