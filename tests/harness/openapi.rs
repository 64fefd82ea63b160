//! Alertmanager's own OpenAPI file, against which answers are held.
//!
//! `tests/data/alertmanager-openapi.yaml` is `api/v2/openapi.yaml` of Alertmanager, under the Apache License 2.0.

use serde_json::{Map, Value};

use crate::stack::root;

/// The description: Swagger 2.0, as far as Alertmanager uses it.
#[derive(Debug)]
pub struct OpenApi(Value);

impl OpenApi {
    /// Alertmanager's.
    pub fn alertmanager() -> Self {
        let text = std::fs::read_to_string(root().join("tests/data/alertmanager-openapi.yaml")).unwrap();
        Self(serde_saphyr::from_str(&text).unwrap())
    }

    /// What is wrong with an answer of status 200; nothing if it is as described.
    pub fn problems(&self, method: &str, path: &str, answer: &Value) -> Vec<String> {
        let schema = &self.0["paths"][path][method]["responses"]["200"]["schema"];
        assert!(schema.is_object(), "{method} {path} has no answer in the description");
        let mut problems = Vec::new();
        self.hold(schema, answer, path, &mut problems);
        problems
    }

    fn hold(&self, schema: &Value, value: &Value, at: &str, problems: &mut Vec<String>) {
        if let Some(name) = schema["$ref"].as_str().and_then(|name| name.strip_prefix("#/definitions/")) {
            let schema = &self.0["definitions"][name];
            assert!(schema.is_object(), "{name} is not described");
            return self.hold(schema, value, at, problems);
        }
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.hold(part, value, at, problems);
        }
        let fits = match schema["type"].as_str() {
            None => true,
            Some("object") => value.is_object(),
            Some("array") => value.is_array(),
            Some("string") => value.is_string(),
            Some("boolean") => value.is_boolean(),
            Some("integer") => value.is_i64(),
            Some(other) => panic!("type {other} is not known here"),
        };
        if !fits {
            problems.push(format!("{at}: {value} is no {}", schema["type"]));
            return;
        }
        if let Some(symbols) = schema["enum"].as_array().filter(|symbols| !symbols.contains(value)) {
            problems.push(format!("{at}: {value} is none of {symbols:?}"));
        }
        let text = value.as_str().unwrap_or_default();
        let parsed = match schema["format"].as_str() {
            Some("date-time") => text.parse::<spina_core::Timestamp>().is_ok(),
            // An empty one is none.
            Some("uri") => text.is_empty() || text.starts_with("http"),
            Some(other) => panic!("format {other} is not known here"),
            None => true,
        };
        if !parsed {
            problems.push(format!("{at}: {text} is no {}", schema["format"]));
        }
        for (n, item) in value.as_array().into_iter().flatten().enumerate() {
            self.hold(&schema["items"], item, &format!("{at}/{n}"), problems);
        }
        if let Some(fields) = value.as_object() {
            self.hold_fields(schema, fields, at, problems);
        }
    }

    fn hold_fields(&self, schema: &Value, fields: &Map<String, Value>, at: &str, problems: &mut Vec<String>) {
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !fields.contains_key(name) {
                problems.push(format!("{at}: {name} is missing"));
            }
        }
        for (name, field) in fields {
            let described = [&schema["properties"][name], &schema["additionalProperties"]];
            if let Some(described) = described.into_iter().find(|described| described.is_object()) {
                self.hold(described, field, &format!("{at}/{name}"), problems);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_that_are_not_as_described_are_told() {
        let described = OpenApi::alertmanager();
        let status = json!({ "cluster": { "status": "off" }, "config": {}, "uptime": "now", "versionInfo": [] });
        let problems = described.problems("get", "/status", &status).join("\n");
        for problem in [
            "/status/cluster/status: \"off\" is none of",
            "/status/config: original is missing",
            "/status/uptime: now is no",
            "/status/versionInfo: [] is no",
        ] {
            assert!(problems.contains(problem), "{problem}: {problems}");
        }
        let alert = json!([{ "labels": { "a": 1 } }]);
        let problems = described.problems("get", "/alerts", &alert).join("\n");
        assert!(
            problems.contains("/alerts/0/labels/a: 1 is no") && problems.contains("fingerprint is missing"),
            "{problems}"
        );
        assert_eq!(described.problems("get", "/receivers", &json!([{ "name": "ops" }])), Vec::<String>::new());
    }
}
