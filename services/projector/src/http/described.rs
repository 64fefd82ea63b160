//! The paths of each model, described from its definition: its columns with their types, and what may be asked of them.

use serde_json::{Map, Value, json};
use spina_core::{CellType, Fold, ModelShape};
use spina_rules::projection::Model;
use spina_store::read_model::{ModelName, View, operators};
use utoipa::OpenApi as _;
use utoipa::openapi::{Components, OpenApi};

use super::Description;
use crate::project::{DefinedModel, Definition};

/// The whole description.
pub fn describe(definitions: &[Definition]) -> OpenApi {
    let mut document = Description::openapi();
    for definition in definitions {
        for DefinedModel { model, .. } in &definition.models {
            add(&mut document, definition, model);
        }
    }
    document
}

fn add(document: &mut OpenApi, definition: &Definition, model: &Model) {
    const WELL_FORMED: &str = "it is written as OpenAPI has it";
    let (context, name, shape) = (definition.context.as_str(), model.name(), model.shape());
    let view = view(definition, model);
    let row = format!("{context}.{name}");
    let components = document.components.get_or_insert_with(Components::new);
    components
        .schemas
        .insert(row.clone(), serde_json::from_value(schema(&view, shape, model.doc())).expect(WELL_FORMED));
    let (tag, path) = (format!("models of {context}"), format!("/v1/{context}/models/{name}"));
    let (rows, row) = (page_of(&row), reference(&row));
    let keys: Vec<&str> = shape.key.iter().map(|key| key.name.as_str()).collect();
    let key = json!({ "name": "key", "in": "path", "required": true, "schema": { "type": "string" },
        "description": format!("{}, separated by commas", keys.join(", ")) });
    let operation = |id: &str, summary: String, doc: &str, parameters: Value, answer: &Value| {
        json!({ "get": { "tags": [tag], "operationId": format!("{id}_{context}_{name}"), "summary": summary,
            "description": doc, "parameters": parameters,
            "responses": { "200": { "description": "as it is now", "content": { "application/json": { "schema": answer } } },
                "400": { "description": "`validation.*`" }, "503": { "description": "`state.unavailable`" } } } })
    };
    let list = operation("list", format!("Rows of {name}"), model.doc(), list_parameters(&view), &rows);
    let one = operation("get", format!("One row of {name}"), model.doc(), json!([key, after()]), &row);
    let mut paths = vec![(path.clone(), list), (format!("{path}/{{key}}"), one)];
    for (table, child) in shape.children.iter().enumerate() {
        let (of, doc, seen) =
            (&child.name, model.child_doc(table), View::of_children(&name_of(definition, name), child));
        let row = format!("{context}.{name}.{of}");
        components
            .schemas
            .insert(row.clone(), serde_json::from_value(schema(&seen, &child.shape, doc)).expect(WELL_FORMED));
        let mut parameters = list_parameters(&seen);
        if let Value::Array(parameters) = &mut parameters {
            parameters.insert(0, key.clone());
        }
        let rows = page_of(&row);
        let list =
            operation(&format!("list_{of}"), format!("Children {of} of a row of {name}"), doc, parameters, &rows);
        paths.push((format!("{path}/{{key}}/{of}"), list));
    }
    for (path, item) in paths {
        document.paths.paths.insert(path, serde_json::from_value(item).expect(WELL_FORMED));
    }
}

fn name_of(definition: &Definition, model: &str) -> ModelName {
    ModelName { context: definition.context.clone(), model: model.to_owned() }
}

/// What is seen of the model once all tables are as the definitions say.
fn view(definition: &Definition, model: &Model) -> View {
    let own = View::of(&name_of(definition, model.name()), model.shape());
    model.joins().iter().fold(own, |view, join| {
        let other = definition.models.iter().map(|other| &other.model).find(|other| other.name() == join.model);
        other.map_or(view.clone(), |other| view.join(&name_of(definition, other.name()), other.shape(), join))
    })
}

/// A page of rows that are described under this name.
fn page_of(row: &str) -> Value {
    json!({ "type": "object", "required": ["rows"], "properties": {
        "rows": { "type": "array", "items": reference(row) },
        "cursor": { "type": "string", "description": "Give it back as `cursor` to get the next page; absent on the last." },
    } })
}

fn reference(row: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{row}") })
}

/// A row as it is read.
fn schema(view: &View, shape: &ModelShape, doc: &str) -> Value {
    // What is always there: the key, and counts and sums, which begin at 0.
    let sums = shape.columns.iter().filter(|column| column.fold == Fold::Add).map(|column| column.name.as_str());
    let never_null: Vec<&str> = shape.key.iter().map(|key| key.name.as_str()).chain(sums).collect();
    let columns: Map<String, Value> =
        view.columns().map(|(name, cell)| (name.to_owned(), column(cell, never_null.contains(&name)))).collect();
    let names: Vec<&String> = columns.keys().collect();
    json!({ "type": "object", "description": doc, "required": names, "properties": columns })
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

fn list_parameters(view: &View) -> Value {
    let filters: Vec<String> =
        view.columns().map(|(name, cell)| format!("{name}:({})", operators(cell).join("|"))).collect();
    let ordered: Vec<&str> = view.columns().filter(|(_, cell)| *cell != CellType::Json).map(|(name, _)| name).collect();
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
