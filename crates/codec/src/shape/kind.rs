//! What an Avro schema looks like once it is compiled: a small tree without recursion.

use std::sync::Arc;

use serde_json::Value;

/// The type of a value.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Nothing; JSON null.
    Null,
    /// JSON true or false.
    Boolean,
    /// 32-bit integer.
    Int,
    /// 64-bit integer.
    Long,
    /// 32-bit float.
    Float,
    /// 64-bit float.
    Double,
    /// Text.
    String,
    /// Bytes; base64 in JSON.
    Bytes,
    /// That many bytes; base64 in JSON.
    Fixed(usize),
    /// One of some words.
    Enum(Arc<[String]>),
    /// A calendar day; `2013-01-01` in JSON.
    Date,
    /// A time of day; `10:15:00` in JSON.
    TimeOfDay(Precision),
    /// An instant; RFC 3339 in UTC in JSON, `2013-01-01T10:15:00Z`.
    Timestamp(Precision),
    /// A calendar day and time of day of no time zone; `2013-01-01T10:15:00` in JSON.
    LocalTimestamp(Precision),
    /// A decimal number; text in JSON, always with `scale` decimals.
    Decimal(Decimal),
    /// A UUID; its hyphenated lower-case text in JSON.
    Uuid(UuidForm),
    /// Any number of values of one kind.
    Array(Arc<Kind>),
    /// Any number of values of one kind, by name.
    Map(Arc<Kind>),
    /// Fields.
    Record(Arc<Record>),
    /// A value or null: a union of null and one other branch.
    Nullable(Arc<Nullable>),
    /// Any other union: the first branch that fits a JSON value is written.
    Union(Arc<[Kind]>),
}

/// How finely a time is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// Milliseconds.
    Millis,
    /// Microseconds.
    Micros,
    /// Nanoseconds.
    Nanos,
}

impl Precision {
    /// How many make a second.
    pub fn per_second(self) -> i64 {
        match self {
            Self::Millis => 1_000,
            Self::Micros => 1_000_000,
            Self::Nanos => 1_000_000_000,
        }
    }
}

/// A decimal number: an integer divided by ten to the power of `scale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decimal {
    /// Digits in all, 1 to 38.
    pub precision: u32,
    /// Digits behind the point.
    pub scale: u32,
    /// Bytes on the wire; `None` where the length is written with the value.
    pub fixed: Option<usize>,
}

/// How a UUID is written in Avro.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UuidForm {
    /// As its text.
    Text,
    /// As 16 bytes, without their length.
    Fixed,
    /// As 16 bytes after their length.
    Bytes,
}

/// A value that may be null.
#[derive(Debug, Clone, PartialEq)]
pub struct Nullable {
    /// Index of null in the union, 0 or 1.
    pub null_index: u8,
    /// What it is when it is not null.
    pub value: Kind,
}

/// A record's name and fields.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub(super) full_name: String,
    pub(super) fields: Vec<Field>,
}

impl Record {
    /// Name with namespace: `flights.FlightLanded`.
    pub fn full_name(&self) -> &str {
        &self.full_name
    }

    /// Name without namespace: `FlightLanded`.
    pub fn name(&self) -> &str {
        self.full_name.rsplit('.').next().unwrap_or(&self.full_name)
    }

    /// The fields in the schema's order.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }
}

/// A field of a record.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) default: Option<FieldDefault>,
}

/// A field's default in both forms.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FieldDefault {
    pub(super) avro: Vec<u8>,
    pub(super) json: Value,
    /// Values in it, counting nested ones.
    pub(super) values: usize,
}

impl Field {
    /// The field's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the field holds when it is not null. A nullable field is the kind it may be null of.
    pub fn kind(&self) -> &Kind {
        match &self.kind {
            Kind::Nullable(nullable) => &nullable.value,
            kind => kind,
        }
    }

    /// Whether the field may be null.
    pub fn nullable(&self) -> bool {
        match &self.kind {
            Kind::Null | Kind::Nullable(_) => true,
            Kind::Union(branches) => branches.contains(&Kind::Null),
            _ => false,
        }
    }

    /// What stands in for the field where it is missing, in JSON as [`super::Shape::decode`] would give it.
    pub fn default(&self) -> Option<&Value> {
        self.default.as_ref().map(|default| &default.json)
    }
}
