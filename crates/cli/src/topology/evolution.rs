//! How a schema differs from the one that is registered, and what of it breaks.
//!
//! Backward compatibility by the resolution rules of the Avro specification ("Schema Resolution"): the new schema must
//! be able to read everything that was written with the old one. Two rules are stricter here, because recorded events
//! would change their meaning without any reader noticing: a logical type must not change, and neither must the
//! record's full name. What upcasters do to old events before they are read is done to the old schema's fields here.

use std::collections::BTreeSet;

use super::avro::{Field, Record, Type, parse};

/// One difference between two schemas of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// The field is new.
    Added { field: String, r#type: String },
    /// The field is gone.
    Removed { field: String },
    /// The field is another one than before: `int -> long`.
    Changed { field: String, how: String },
    /// Only names, documentation or attributes differ.
    Wording,
}

/// Why the new schema cannot read what the old one wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Break {
    /// The field of the record that is the reason, if it is one.
    pub field: Option<String>,
    /// The reason, as a sentence.
    pub reason: String,
}

/// A field's name in the old schema, if it was there, and what upcasters have made of that name.
pub type Now = (Option<String>, String);

/// How `new` differs from `old`, field by field of the top level. Empty if both mean the same JSON.
pub fn differences(new: &str, old: &str) -> Vec<Difference> {
    if same_json(new, old) {
        return Vec::new();
    }
    let (Ok(new), Ok(old)) = (parse(new), parse(old)) else { return vec![Difference::Wording] };
    let mut found: Vec<Difference> = new.fields.iter().filter_map(|field| difference(field, &old)).collect();
    let gone = old.fields.iter().filter(|field| new.fields.iter().all(|other| other.name != field.name));
    found.extend(gone.map(|field| Difference::Removed { field: field.name.clone() }));
    if found.is_empty() {
        found.push(Difference::Wording);
    }
    found
}

/// Whether two schemas are the same JSON, whatever the order of keys and the space between them.
pub fn same_json(one: &str, other: &str) -> bool {
    let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    value(one).is_some_and(|one| Some(one) == value(other))
}

fn difference(field: &Field, old: &Record) -> Option<Difference> {
    let name = field.name.clone();
    let Some(before) = old.fields.iter().find(|other| other.name == field.name) else {
        return Some(Difference::Added { field: name, r#type: field.r#type.to_string() });
    };
    let (was, is) = (before.r#type.to_string(), field.r#type.to_string());
    let how = match () {
        () if was != is => format!("{was} -> {is}"),
        () if before.r#type != field.r#type => format!("{is} changed inside"),
        () if before.default != field.default => "other default".to_owned(),
        () if before.doc != field.doc || before.aliases != field.aliases => "other documentation or aliases".to_owned(),
        () => return None,
    };
    Some(Difference::Changed { field: name, how })
}

/// Everything because of which `new` cannot read what `old` wrote; empty if it can.
pub fn breaks(new: &str, old: &str) -> Vec<Break> {
    breaks_upcast(new, old, None)
}

/// Like [`breaks`], where upcasters have made `upcast` of the old fields. Of a field that they made themselves the
/// samples show whether it fits.
pub fn breaks_upcast(new: &str, old: &str, upcast: Option<&[Now]>) -> Vec<Break> {
    match (parse(new), parse(old)) {
        (Ok(new), Ok(mut old)) => {
            if let Some(fields) = upcast {
                old.fields = upcast_fields(&new, &old, fields);
            }
            let mut found = Breaks::default();
            if new.name != old.name {
                found.note("", format!("the record was renamed from {} to {}", old.name, new.name));
            }
            found.record(&new, &old, "");
            found.0
        }
        (Err(reason), _) => vec![Break { field: None, reason }],
        (_, Err(reason)) => vec![Break { field: None, reason: format!("the registered schema: {reason}") }],
    }
}

fn upcast_fields(new: &Record, old: &Record, fields: &[Now]) -> Vec<Field> {
    let named = |record: &Record, name: &str| record.fields.iter().find(|field| field.name == name).cloned();
    let field = |(written, now): &Now| match written {
        Some(written) => named(old, written).map(|field| Field { name: now.clone(), ..field }),
        None => named(new, now),
    };
    fields.iter().filter_map(field).collect()
}

#[derive(Default)]
struct Breaks(Vec<Break>);

impl Breaks {
    fn note(&mut self, path: &str, reason: String) {
        let field = path.split(['.', '[']).next().filter(|field| !field.is_empty()).map(str::to_owned);
        self.0.push(Break { field, reason });
    }

    fn record(&mut self, new: &Record, old: &Record, path: &str) {
        for field in &new.fields {
            let path = if path.is_empty() { field.name.clone() } else { format!("{path}.{}", field.name) };
            let named = |before: &&Field| before.name == field.name || field.aliases.contains(&before.name);
            match old.fields.iter().find(named) {
                Some(before) => self.types(&field.r#type, &before.r#type, &path),
                None if field.default.is_none() => {
                    self.note(&path, format!("field {path} was added without a default"));
                }
                None => {}
            }
        }
    }

    /// Whether `new` reads what `old` wrote; notes why not.
    fn types(&mut self, new: &Type, old: &Type, path: &str) {
        match (new, old) {
            (_, Type::Union(branches)) => {
                for branch in branches.iter().filter(|branch| !reads(new, branch)) {
                    let loss = match is_null(branch) {
                        true => "is no longer nullable".to_owned(),
                        false => format!("no longer allows {branch}"),
                    };
                    self.note(path, format!("field {path} {loss}"));
                }
            }
            (Type::Union(branches), _) => {
                if !branches.iter().any(|branch| reads(branch, old)) {
                    self.note(path, format!("field {path} no longer allows {old}"));
                }
            }
            (Type::Record(new), Type::Record(old)) if short(&new.name) == short(&old.name) => {
                self.record(new, old, path);
            }
            (Type::Array(new), Type::Array(old)) => self.types(new, old, &format!("{path}[]")),
            (Type::Map(new), Type::Map(old)) => self.types(new, old, &format!("{path}[]")),
            (Type::Enum { name, symbols, default }, Type::Enum { name: before, symbols: known, .. })
                if short(name) == short(before) =>
            {
                self.symbols(symbols, known, default.is_some(), path);
            }
            (new, old) => self.plain(new, old, path),
        }
    }

    fn symbols(&mut self, new: &[String], old: &[String], has_default: bool, path: &str) {
        let new: BTreeSet<_> = new.iter().collect();
        for symbol in old.iter().filter(|symbol| !new.contains(symbol) && !has_default) {
            self.note(path, format!("field {path} lost the symbol {symbol}, and its enum has no default"));
        }
    }

    fn plain(&mut self, new: &Type, old: &Type, path: &str) {
        let fits = if let (Type::Plain { name, logical }, Type::Plain { name: before, logical: meant }) = (new, old) {
            logical == meant && (name == before || promotes(before, name))
        } else {
            matches!((new, old), (Type::Fixed { .. }, Type::Fixed { .. })) && new == old
        };
        if !fits {
            self.note(path, format!("field {path} changed from {old} to {new}"));
        }
    }
}

fn reads(new: &Type, old: &Type) -> bool {
    let mut found = Breaks::default();
    found.types(new, old, "x");
    found.0.is_empty()
}

fn is_null(r#type: &Type) -> bool {
    matches!(r#type, Type::Plain { name, .. } if name == "null")
}

/// Promotions that the specification allows.
fn promotes(from: &str, to: &str) -> bool {
    matches!(
        (from, to),
        ("int", "long" | "float" | "double")
            | ("long", "float" | "double")
            | ("float", "double")
            | ("string", "bytes")
            | ("bytes", "string")
    )
}

fn short(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(fields: &str) -> String {
        format!(r#"{{"type": "record", "name": "FlightLanded", "namespace": "flights", "fields": [{fields}]}}"#)
    }

    fn reasons(new: &str, old: &str) -> Vec<String> {
        breaks(&record(new), &record(old)).into_iter().map(|found| found.reason).collect()
    }

    #[test]
    fn what_readers_can_cope_with_is_no_break() {
        let same = r#"{"name": "a", "type": "int"}"#;
        for (new, old) in [
            (same, same),
            (r#"{"name": "a", "type": "long"}"#, same),
            (r#"{"name": "a", "type": ["null", "int"], "default": null}"#, same),
            (r#"{"name": "a", "type": "int"}, {"name": "b", "type": "string", "default": ""}"#, same),
            (same, r#"{"name": "a", "type": "int"}, {"name": "gone", "type": "string"}"#),
            (r#"{"name": "b", "type": "int", "aliases": ["a"]}"#, same),
            (
                r#"{"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["X", "Y"]}}"#,
                r#"{"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["X"]}}"#,
            ),
        ] {
            assert_eq!(reasons(new, old), Vec::<String>::new(), "{new} from {old}");
        }
    }

    #[test]
    fn each_break_names_its_field() {
        let leg = |fields: &str| {
            let items = format!(r#"{{"type": "record", "name": "Leg", "fields": [{fields}]}}"#);
            format!(r#"{{"name": "legs", "type": {{"type": "array", "items": {items}}}}}"#)
        };
        let time = |unit: &str| format!(r#"{{"name": "at", "type": {{"type": "long", "logicalType": "{unit}"}}}}"#);
        let letters =
            |s: &str| format!(r#"{{"name": "e", "type": {{"type": "enum", "name": "E", "symbols": [{s}]}}}}"#);
        let int = r#"{"name": "a", "type": "int"}"#;
        for (new, old, reason) in [
            (int, "", "field a was added without a default"),
            (int, r#"{"name": "a", "type": "string"}"#, "field a changed from string to int"),
            (int, r#"{"name": "a", "type": "long"}"#, "field a changed from long to int"),
            (int, r#"{"name": "a", "type": ["null", "int"]}"#, "field a is no longer nullable"),
            (r#"{"name": "a", "type": ["null", "string"]}"#, int, "field a no longer allows int"),
            (
                &time("timestamp-micros"),
                &time("timestamp-millis"),
                "field at changed from timestamp-millis to timestamp-micros",
            ),
            (&letters(r#""X""#), &letters(r#""X", "Y""#), "field e lost the symbol Y, and its enum has no default"),
            (&leg(int), &leg(""), "field legs[].a was added without a default"),
        ] {
            assert_eq!(reasons(new, old), [reason]);
        }
        let found = breaks(&record(&leg(int)), &record(&leg("")));
        assert_eq!(found[0].field.as_deref(), Some("legs"));
    }

    #[test]
    fn a_record_keeps_its_name() {
        let old = record("");
        let new = old.replace("FlightLanded", "Landed");
        assert_eq!(breaks(&new, &old)[0].reason, "the record was renamed from flights.FlightLanded to flights.Landed");
    }

    #[test]
    fn differences_are_told_field_by_field() {
        let old =
            record(r#"{"name": "a", "type": "int"}, {"name": "b", "type": "string"}, {"name": "c", "type": "int"}"#);
        let new = record(
            r#"{"name": "a", "type": "long"}, {"name": "c", "doc": "x", "type": "int"}, {"name": "d", "type": "int"}"#,
        );
        let changed = |field: &str, how: &str| Difference::Changed { field: field.into(), how: how.into() };
        assert_eq!(
            differences(&new, &old),
            [
                changed("a", "int -> long"),
                changed("c", "other documentation or aliases"),
                Difference::Added { field: "d".into(), r#type: "int".into() },
                Difference::Removed { field: "b".into() },
            ]
        );
        let spaced = old.replace(',', " ,\n");
        assert_eq!(differences(&spaced, &old), []);
    }
}
