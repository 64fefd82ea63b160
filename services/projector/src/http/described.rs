//! The paths of each model, described from its definition: its columns with their types, and what may be asked of them.

use serde_json::{Map, Value, json};
use spina_core::{CellType, Fold, ModelShape};
use spina_rules::projection::Model;
use spina_store::read_model::operators;
use utoipa::OpenApi as _;
use utoipa::openapi::{Components, OpenApi};

use super::Description;
use crate::project::Definition;

/// The whole description.
pub fn describe(definitions: &[Definition]) -> OpenApi {
    let mut document = Description::openapi();
    for definition in definitions {
        for model in &definition.models {
            add(&mut document, definition.context.as_str(), model);
        }
    }
    document
}

fn add(document: &mut OpenApi, context: &str, model: &Model) {
    const WELL_FORMED: &str = "it is written as OpenAPI has it";
    let (name, shape) = (model.name(), model.shape());
    let row = format!("{context}.{name}");
    let components = document.components.get_or_insert_with(Components::new);
    components.schemas.insert(row.clone(), serde_json::from_value(schema(model)).expect(WELL_FORMED));
    let (tag, path) = (format!("models of {context}"), format!("/v1/{context}/models/{name}"));
    let row = json!({ "$ref": format!("#/components/schemas/{row}") });
    let rows = json!({ "type": "object", "required": ["rows"], "properties": {
        "rows": { "type": "array", "items": row },
        "cursor": { "type": "string", "description": "Give it back as `cursor` to get the next page; absent on the last." },
    } });
    let keys: Vec<&str> = shape.key.iter().map(|key| key.name.as_str()).collect();
    let key = json!({ "name": "key", "in": "path", "required": true, "schema": { "type": "string" },
        "description": format!("{}, separated by commas", keys.join(", ")) });
    let operation = |id: &str, summary: String, parameters: Value, answer: &Value| {
        json!({ "get": { "tags": [tag], "operationId": format!("{id}_{context}_{name}"), "summary": summary,
            "description": model.doc(), "parameters": parameters,
            "responses": { "200": { "description": "as it is now", "content": { "application/json": { "schema": answer } } },
                "400": { "description": "`validation.*`" }, "503": { "description": "`state.unavailable`" } } } })
    };
    let list = operation("list", format!("Rows of {name}"), list_parameters(shape), &rows);
    let one = operation("get", format!("One row of {name}"), json!([key, after()]), &row);
    for (path, item) in [(path.clone(), list), (format!("{path}/{{key}}"), one)] {
        document.paths.paths.insert(path, serde_json::from_value(item).expect(WELL_FORMED));
    }
}

/// A row as it is read.
fn schema(model: &Model) -> Value {
    let shape = model.shape();
    // What is always there: the key, and counts and sums, which begin at 0.
    let sums = shape.columns.iter().filter(|column| column.fold == Fold::Add).map(|column| column.name.as_str());
    let never_null: Vec<&str> = shape.key.iter().map(|key| key.name.as_str()).chain(sums).collect();
    let columns: Map<String, Value> =
        shape.seen().map(|(name, cell)| (name.to_owned(), column(cell, never_null.contains(&name)))).collect();
    let names: Vec<&String> = columns.keys().collect();
    json!({ "type": "object", "description": model.doc(), "required": names, "properties": columns })
}

fn column(cell: CellType, never_null: bool) -> Value {
    let (kind, format) = match cell {
        CellType::Bool => ("boolean", None),
        CellType::Long => ("integer", Some("int64")),
        CellType::Double => ("number", Some("double")),
        CellType::Text | CellType::Decimal => ("string", None),
        CellType::Uuid => ("string", Some("uuid")),
        CellType::Date => ("string", Some("date")),
        CellType::Timestamp => ("string", Some("date-time")),
        CellType::Json => return json!({ "description": "any JSON, or null" }),
    };
    let mut column = Map::new();
    column.insert("type".to_owned(), if never_null { json!(kind) } else { json!([kind, "null"]) });
    column.extend(format.map(|format| ("format".to_owned(), json!(format))));
    Value::Object(column)
}

fn list_parameters(shape: &ModelShape) -> Value {
    let filters: Vec<String> =
        shape.seen().map(|(name, cell)| format!("{name}:({})", operators(cell).join("|"))).collect();
    let ordered: Vec<&str> = shape.seen().filter(|(_, cell)| *cell != CellType::Json).map(|(name, _)| name).collect();
    let (filters, ordered) = (filters.join("|"), ordered.join("|"));
    let query = |name: &str, schema: Value, description: &str| json!({ "name": name, "in": "query", "required": false, "schema": schema, "description": description });
    let one = format!("({ordered})(:asc|:desc)?");
    json!([
        query(
            "where",
            json!({ "type": "array", "items": { "type": "string", "pattern": format!("^({filters}):") } }),
            "`field:op:value`, repeatable, all must hold"
        ),
        query(
            "order",
            json!({ "type": "string", "pattern": format!("^{one}(,{one})*$") }),
            "nulls come last; the key decides ties"
        ),
        query("limit", json!({ "type": "integer", "minimum": 1, "maximum": 1000, "default": 100 }), "Rows of a page"),
        query("cursor", json!({ "type": "string" }), "Where the page begins: `cursor` of the page before, same order"),
        after(),
    ])
}

fn after() -> Value {
    json!({ "name": "after", "in": "query", "required": false, "schema": { "type": "string" },
        "description": "A token, as an append returns it: the answer includes the events up to it" })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use spina_codec::Readings;

    use super::*;
    use crate::project::load;

    #[test]
    fn the_models_of_this_repository_are_described_with_columns_and_filters() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let contexts = spina_rules::context::load_all(&root.join("topology")).unwrap();
        let definitions = load(&root.join("topology"), &root.join("schemas"), &contexts, &Readings::default()).unwrap();
        let document = serde_json::to_value(describe(&definitions)).unwrap();
        let row = &document["components"]["schemas"]["flights.carrier_punctuality"];
        assert_eq!(row["properties"]["carrier"], json!({ "type": "string" }));
        assert_eq!(row["properties"]["scheduled"], json!({ "type": "integer", "format": "int64" }));
        let mean = &row["properties"]["mean_arrival_delay_min"];
        assert_eq!(mean, &json!({ "type": ["number", "null"], "format": "double" }));
        let list = &document["paths"]["/v1/flights/models/flight_status"]["get"];
        let pattern = list["parameters"][0]["schema"]["items"]["pattern"].as_str().unwrap();
        assert!(pattern.contains("carrier:(eq|ne|lt|le|gt|ge|prefix|null)"), "{pattern}");
        assert!(pattern.contains("version:(eq|ne|lt|le|gt|ge|null)"), "{pattern}");
        let one = &document["paths"]["/v1/flights/models/airport_day/{key}"]["get"]["parameters"][0];
        assert_eq!(one["description"], "origin, day, separated by commas");
        assert!(document["paths"]["/v1/{context}/models/{model}/changes"].is_object());
    }
}
