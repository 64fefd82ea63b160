//! What rules need to know of an event type: its fields and their kinds, without any word of Avro.

/// An event type of a context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventShape {
    /// Its name without context and aggregate: `FlightLanded`.
    pub name: String,
    /// Its fields.
    pub fields: Vec<EventField>,
}

/// One field of an event, or of a record inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventField {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: FieldKind,
    /// Whether it may be null.
    pub nullable: bool,
    /// Whether it may be left out: the schema says what stands in then.
    pub has_default: bool,
}

/// What a field holds, by how it is written in JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldKind {
    /// A boolean.
    Bool,
    /// An integer of 32 or 64 bits.
    Integer,
    /// A floating-point number.
    Double,
    /// Text: strings, enums, times of day, base64 of bytes.
    Text,
    /// A UUID, as text.
    Uuid,
    /// A decimal number, as text.
    Decimal,
    /// A calendar day, as `YYYY-MM-DD`.
    Date,
    /// An instant, as RFC 3339 text.
    Timestamp,
    /// A record with fields of its own.
    Record(Vec<EventField>),
    /// Arrays, maps and unions.
    Nested,
}

impl EventShape {
    /// The field at a path such as `["address", "city"]`, and whether a null can be met on the way to it.
    ///
    /// `Err` names the first part of the path that does not exist, and what there is instead.
    pub fn field(&self, path: &[String]) -> Result<(&EventField, bool), NoSuchField> {
        let mut fields = self.fields.as_slice();
        let mut nullable = false;
        let mut found = None;
        for name in path {
            let unknown = || NoSuchField { name: name.clone(), known: fields.iter().map(|f| f.name.clone()).collect() };
            let field = fields.iter().find(|field| field.name == *name).ok_or_else(unknown)?;
            nullable |= field.nullable;
            fields = if let FieldKind::Record(inner) = &field.kind { inner } else { &[] };
            found = Some(field);
        }
        found.map(|field| (field, nullable)).ok_or(NoSuchField { name: String::new(), known: Vec::new() })
    }
}

/// A path leads to no field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoSuchField {
    /// The name that does not exist.
    pub name: String,
    /// The names that exist in its place.
    pub known: Vec<String>,
}
