//! A shape as the rules see it: by what its fields are in JSON.

use spina_core::event_shape::{EventField, EventShape, FieldKind};

use super::{Field, Kind, Shape};

impl Shape {
    /// Its fields by how they are written in JSON.
    pub fn outline(&self) -> EventShape {
        EventShape { name: self.name().to_owned(), fields: fields(self.fields()) }
    }
}

fn fields(fields: &[Field]) -> Vec<EventField> {
    let outline = |field: &Field| EventField {
        name: field.name().to_owned(),
        kind: kind(field.kind()),
        nullable: field.nullable(),
        has_default: field.default().is_some(),
    };
    fields.iter().map(outline).collect()
}

fn kind(kind: &Kind) -> FieldKind {
    match kind {
        Kind::Boolean => FieldKind::Bool,
        Kind::Int | Kind::Long => FieldKind::Integer,
        Kind::Float | Kind::Double => FieldKind::Double,
        Kind::String | Kind::Bytes | Kind::Fixed(_) | Kind::Enum(_) | Kind::TimeOfDay(_) | Kind::LocalTimestamp(_) => {
            FieldKind::Text
        }
        Kind::Uuid(_) => FieldKind::Uuid,
        Kind::Decimal(_) => FieldKind::Decimal,
        Kind::Date => FieldKind::Date,
        Kind::Timestamp(_) => FieldKind::Timestamp,
        Kind::Record(record) => FieldKind::Record(fields(record.fields())),
        Kind::Nullable(nullable) => self::kind(&nullable.value),
        Kind::Null | Kind::Array(_) | Kind::Map(_) | Kind::Union(_) => FieldKind::Nested,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outline_tells_kinds_and_nulls() {
        let schema = r#"{"type": "record", "name": "Landed", "namespace": "flights", "fields": [
            {"name": "miles", "type": ["null", "int"], "default": null},
            {"name": "day", "type": {"type": "int", "logicalType": "date"}},
            {"name": "place", "type": {"type": "record", "name": "Place", "fields": [{"name": "city", "type": "string"}]}}
        ]}"#;
        let outline = Shape::compile(schema).unwrap().outline();
        let field = |path: &[&str]| {
            let path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
            let (field, nullable) = outline.field(&path).unwrap();
            (field.kind.clone(), nullable)
        };
        assert_eq!(outline.name, "Landed");
        assert_eq!(field(&["miles"]), (FieldKind::Integer, true));
        assert_eq!(field(&["day"]), (FieldKind::Date, false));
        assert_eq!(field(&["place", "city"]), (FieldKind::Text, false));
    }
}
