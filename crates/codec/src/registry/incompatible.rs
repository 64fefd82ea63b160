//! Why two schemas do not go together, in words.
//!
//! Apicurio 3.0.9 says only that they do not, also when it is asked to be verbose. The rules here are the Avro
//! specification's for schema resolution, as the Avro library has them.

use apache_avro::Schema;
use apache_avro::error::CompatibilityError;
use apache_avro::schema_compatibility::SchemaCompatibility;

use super::Registered;

/// What keeps `schema` from following that version at that compatibility level; empty when these rules find nothing.
pub(super) fn reasons(earlier: &Registered, schema: &str, level: &str) -> Vec<String> {
    let (Ok(old), Ok(new)) = (Schema::parse_str(&earlier.schema), Schema::parse_str(schema)) else {
        return Vec::new();
    };
    let version = earlier.version;
    let mut reasons = Vec::new();
    if !level.starts_with("FORWARD")
        && let Err(error) = SchemaCompatibility::can_read(&old, &new)
    {
        reasons.push(format!("the new schema cannot read records of version {version}: {}", words(&error)));
    }
    if !level.starts_with("BACKWARD")
        && let Err(error) = SchemaCompatibility::can_read(&new, &old)
    {
        reasons.push(format!("version {version} cannot read records of the new schema: {}", words(&error)));
    }
    reasons
}

fn words(error: &CompatibilityError) -> String {
    match error {
        CompatibilityError::FieldTypeMismatch(field, inner) => format!("field `{field}`: {}", words(inner)),
        CompatibilityError::MissingDefaultValue(field) => {
            format!("field `{field}` is not in every record and has no default")
        }
        CompatibilityError::WrongType { writer_schema_type, reader_schema_type } => {
            format!("written as {writer_schema_type}, read as {reader_schema_type}")
        }
        CompatibilityError::NameMismatch { writer_name, reader_name } => {
            format!("written as `{writer_name}`, read as `{reader_name}`")
        }
        other => {
            let text = other.to_string();
            text.split_once("! ").map_or(text.as_str(), |(_, reason)| reason).to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn record(fields: &Value) -> String {
        json!({"type": "record", "name": "R", "fields": fields}).to_string()
    }

    fn against(old: &Value, new: &Value, level: &str) -> Vec<String> {
        reasons(&Registered { id: 1, version: 2, schema: record(old) }, &record(new), level)
    }

    #[test]
    fn a_new_field_without_default_breaks_only_backward() {
        let (old, new) = (
            json!([{"name": "x", "type": "int"}]),
            json!([
            {"name": "x", "type": "int"}, {"name": "y", "type": "string"}]),
        );
        let reason =
            "the new schema cannot read records of version 2: field `y` is not in every record and has no default";
        assert_eq!(against(&old, &new, "BACKWARD"), [reason]);
        assert_eq!(against(&old, &new, "FULL_TRANSITIVE"), [reason]);
        assert_eq!(against(&old, &new, "FORWARD"), Vec::<String>::new());
    }

    #[test]
    fn another_type_breaks_both_ways() {
        let (old, new) = (json!([{"name": "x", "type": "int"}]), json!([{"name": "x", "type": "string"}]));
        let reasons = against(&old, &new, "FULL");
        assert_eq!(reasons.len(), 2);
        assert!(reasons[0].contains("field `x`: "), "{reasons:?}");
    }
}
