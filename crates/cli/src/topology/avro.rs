//! Avro schemas as a small tree, as far as it takes to tell how one differs from another.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

/// Most types in one schema, each use of a named type counted: a bound on work, far above any sensible event.
const TYPES_MAX: usize = 10_000;
/// Deepest nesting of types.
const DEPTH_MAX: usize = 32;

/// A type.
#[derive(Debug, Clone, PartialEq)]
pub enum Type {
    /// A primitive, with its logical type: `long`, `timestamp-millis`.
    Plain {
        /// The primitive's name.
        name: String,
        /// How it is to be understood.
        logical: Option<String>,
    },
    /// A record.
    Record(Record),
    /// An enum.
    Enum {
        /// Its name.
        name: String,
        /// Its symbols.
        symbols: Vec<String>,
        /// What an unknown symbol is read as.
        default: Option<String>,
    },
    /// A fixed number of bytes.
    Fixed {
        /// Its name.
        name: String,
        /// Number of bytes.
        size: u64,
        /// How they are to be understood.
        logical: Option<String>,
    },
    /// A list.
    Array(Box<Type>),
    /// A map with text keys.
    Map(Box<Type>),
    /// One of several types.
    Union(Vec<Type>),
}

/// A record.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Name with namespace.
    pub name: String,
    /// Its fields in order.
    pub fields: Vec<Field>,
}

/// A field of a record.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Names under which older records have it.
    pub aliases: Vec<String>,
    /// Its type.
    pub r#type: Type,
    /// What it is read as where it is absent.
    pub default: Option<Value>,
    /// Its documentation.
    pub doc: Option<String>,
}

/// Parses a schema whose top level is a record; tells why it cannot.
pub fn parse(schema: &str) -> Result<Record, String> {
    let json: Value = serde_json::from_str(schema).map_err(|error| format!("not JSON: {error}"))?;
    match (Parser { names: BTreeMap::new(), types: 0 }).parse(&json, "", 0)? {
        Type::Record(record) => Ok(record),
        other => Err(format!("a record is needed, not {other}")),
    }
}

struct Parser {
    /// Named types whose definition is complete.
    names: BTreeMap<String, Type>,
    types: usize,
}

impl Parser {
    fn parse(&mut self, json: &Value, namespace: &str, depth: usize) -> Result<Type, String> {
        self.types += 1;
        if self.types > TYPES_MAX || depth > DEPTH_MAX {
            return Err(format!("more than {TYPES_MAX} types, or nested deeper than {DEPTH_MAX}"));
        }
        match json {
            Value::String(name) => self.named(name, namespace),
            Value::Array(branches) => {
                let branches = branches.iter().map(|branch| self.parse(branch, namespace, depth + 1));
                Ok(Type::Union(branches.collect::<Result<_, _>>()?))
            }
            Value::Object(_) => self.object(json, namespace, depth),
            Value::Null | Value::Bool(_) | Value::Number(_) => Err(format!("`{json}` is not a type")),
        }
    }

    fn named(&mut self, name: &str, namespace: &str) -> Result<Type, String> {
        if ["null", "boolean", "int", "long", "float", "double", "bytes", "string"].contains(&name) {
            return Ok(Type::Plain { name: name.to_owned(), logical: None });
        }
        let full = full_name(name, namespace);
        let known = self.names.get(&full).cloned().ok_or_else(|| format!("type `{full}` is unknown or recursive"))?;
        self.types += weight(&known);
        if self.types > TYPES_MAX {
            return Err(format!("more than {TYPES_MAX} types"));
        }
        Ok(known)
    }

    fn object(&mut self, json: &Value, namespace: &str, depth: usize) -> Result<Type, String> {
        let logical = json["logicalType"].as_str().map(str::to_owned);
        let Some(kind) = json["type"].as_str() else { return self.parse(&json["type"], namespace, depth + 1) };
        match kind {
            "array" => Ok(Type::Array(Box::new(self.parse(&json["items"], namespace, depth + 1)?))),
            "map" => Ok(Type::Map(Box::new(self.parse(&json["values"], namespace, depth + 1)?))),
            "record" | "enum" | "fixed" => self.definition(json, kind, logical, namespace, depth),
            name => Ok(match self.named(name, namespace)? {
                Type::Plain { name, logical: None } => Type::Plain { name, logical },
                other => other,
            }),
        }
    }

    fn definition(
        &mut self,
        json: &Value,
        kind: &str,
        logical: Option<String>,
        namespace: &str,
        depth: usize,
    ) -> Result<Type, String> {
        let name = json["name"].as_str().ok_or_else(|| format!("a {kind} has no name"))?;
        let name = full_name(name, json["namespace"].as_str().unwrap_or(namespace));
        let namespace = name.rsplit_once('.').map_or("", |(namespace, _)| namespace);
        let defined = match kind {
            "record" => {
                let fields = json["fields"].as_array().ok_or_else(|| format!("record `{name}` has no fields"))?;
                let fields =
                    fields.iter().map(|field| self.field(field, namespace, depth)).collect::<Result<_, _>>()?;
                Type::Record(Record { name: name.clone(), fields })
            }
            "enum" => Type::Enum {
                name: name.clone(),
                symbols: texts(&json["symbols"]),
                default: json["default"].as_str().map(str::to_owned),
            },
            _ => Type::Fixed { name: name.clone(), size: json["size"].as_u64().unwrap_or(0), logical },
        };
        self.names.insert(name, defined.clone());
        Ok(defined)
    }

    fn field(&mut self, json: &Value, namespace: &str, depth: usize) -> Result<Field, String> {
        Ok(Field {
            name: json["name"].as_str().ok_or("a field has no name")?.to_owned(),
            aliases: texts(&json["aliases"]),
            r#type: self.parse(&json["type"], namespace, depth + 1)?,
            default: json.get("default").cloned(),
            doc: json["doc"].as_str().map(str::to_owned),
        })
    }
}

fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") }
}

fn texts(json: &Value) -> Vec<String> {
    json.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn weight(r#type: &Type) -> usize {
    1 + match r#type {
        Type::Plain { .. } | Type::Enum { .. } | Type::Fixed { .. } => 0,
        Type::Record(record) => record.fields.iter().map(|field| weight(&field.r#type)).sum(),
        Type::Array(inner) | Type::Map(inner) => weight(inner),
        Type::Union(branches) => branches.iter().map(weight).sum(),
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain { logical: Some(logical), .. } | Self::Fixed { logical: Some(logical), .. } => {
                f.write_str(logical)
            }
            Self::Plain { name, logical: None } => f.write_str(name),
            Self::Record(Record { name, .. }) | Self::Enum { name, .. } | Self::Fixed { name, .. } => f.write_str(name),
            Self::Array(items) => write!(f, "list of {items}"),
            Self::Map(values) => write!(f, "map of {values}"),
            Self::Union(branches) => {
                for (index, branch) in branches.iter().enumerate() {
                    write!(f, "{}{branch}", if index == 0 { "" } else { " or " })?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_becomes_a_tree_with_its_names_resolved() {
        let schema = r#"{"type": "record", "name": "Trip", "namespace": "a", "fields": [
            {"name": "from", "type": {"type": "record", "name": "Place", "fields": [{"name": "code", "type": "string"}]}},
            {"name": "to", "type": ["null", "Place"], "default": null},
            {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
            {"name": "notes", "type": {"type": "map", "values": {"type": "array", "items": "string"}}}]}"#;
        let record = parse(schema).unwrap();
        let types: Vec<_> = record.fields.iter().map(|field| field.r#type.to_string()).collect();
        assert_eq!(types, ["a.Place", "null or a.Place", "timestamp-millis", "map of list of string"]);
        assert_eq!(record.name, "a.Trip");
    }

    #[test]
    fn what_cannot_be_a_tree_is_refused() {
        let wide = |depth: usize| {
            let mut fields = r#"{"name": "x", "type": "int"}"#.to_owned();
            for level in 0..depth {
                let inner = format!(r#"{{"type": "record", "name": "R{level}", "fields": [{fields}]}}"#);
                fields = format!(r#"{{"name": "a", "type": {inner}}}, {{"name": "b", "type": "R{level}"}}"#);
            }
            format!(r#"{{"type": "record", "name": "Wide", "fields": [{fields}]}}"#)
        };
        assert!(parse(&wide(3)).is_ok());
        for (schema, word) in [
            (wide(20).as_str(), "more than"),
            (r#"{"type": "record", "name": "T", "fields": [{"name": "next", "type": ["null", "T"]}]}"#, "recursive"),
            (r#""string""#, "record is needed"),
            ("{", "not JSON"),
        ] {
            let error = parse(schema).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
