//! From the Avro library's schema to our tree.

use std::collections::HashMap;
use std::sync::Arc;

use apache_avro::Schema;
use apache_avro::schema::{DecimalSchema, InnerDecimalSchema, Name, RecordSchema, UnionSchema, UuidSchema};

use super::decimal::DIGITS_MAX;
use super::error::ShapeError;
use super::kind::{Decimal, Field, Kind, Nullable, Precision, Record, UuidForm};
use super::{AVRO_BYTES_MAX, DEPTH_MAX, FIELDS_MAX, SCHEMA_BYTES_MAX, default};

pub(super) fn compile(schema_json: &str) -> Result<Arc<Record>, ShapeError> {
    if schema_json.len() > SCHEMA_BYTES_MAX {
        return Err(ShapeError::TooBig { what: "bytes", max: SCHEMA_BYTES_MAX });
    }
    let schema = Schema::parse_str(schema_json).map_err(|error| ShapeError::Syntax { reason: error.to_string() })?;
    match Compiler::default().kind(&schema)? {
        Kind::Record(record) => Ok(record),
        _ => Err(ShapeError::NotRecord),
    }
}

/// A named type: being compiled (so a reference to it is a recursion) or done.
enum Named {
    Open,
    Done(Kind),
}

#[derive(Default)]
struct Compiler {
    named: HashMap<String, Named>,
    /// Field names from the top to where the compiler is.
    path: Vec<String>,
    depth: usize,
    fields: usize,
}

impl Compiler {
    fn kind(&mut self, schema: &Schema) -> Result<Kind, ShapeError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(ShapeError::TooBig { what: "levels", max: DEPTH_MAX });
        }
        let kind = match schema {
            Schema::Null => Kind::Null,
            Schema::Boolean => Kind::Boolean,
            Schema::Int => Kind::Int,
            Schema::Long => Kind::Long,
            Schema::Float => Kind::Float,
            Schema::Double => Kind::Double,
            Schema::Bytes => Kind::Bytes,
            Schema::String => Kind::String,
            Schema::Date => Kind::Date,
            Schema::TimeMillis => Kind::TimeOfDay(Precision::Millis),
            Schema::TimeMicros => Kind::TimeOfDay(Precision::Micros),
            Schema::TimestampMillis => Kind::Timestamp(Precision::Millis),
            Schema::TimestampMicros => Kind::Timestamp(Precision::Micros),
            Schema::TimestampNanos => Kind::Timestamp(Precision::Nanos),
            Schema::LocalTimestampMillis => Kind::LocalTimestamp(Precision::Millis),
            Schema::LocalTimestampMicros => Kind::LocalTimestamp(Precision::Micros),
            Schema::LocalTimestampNanos => Kind::LocalTimestamp(Precision::Nanos),
            Schema::Array(array) => Kind::Array(Arc::new(self.kind(&array.items)?)),
            Schema::Map(map) => Kind::Map(Arc::new(self.kind(&map.types)?)),
            Schema::Union(union) => self.union(union)?,
            Schema::Record(record) => self.record(record)?,
            Schema::Enum(symbols) => self.define(&symbols.name, Kind::Enum(symbols.symbols.clone().into())),
            Schema::Fixed(fixed) => {
                self.check_fixed(fixed.size)?;
                self.define(&fixed.name, Kind::Fixed(fixed.size))
            }
            Schema::Decimal(decimal) => self.decimal(decimal)?,
            Schema::Uuid(UuidSchema::String) => Kind::Uuid(UuidForm::Text),
            Schema::Uuid(UuidSchema::Bytes) => Kind::Uuid(UuidForm::Bytes),
            Schema::Uuid(UuidSchema::Fixed(fixed)) => self.define(&fixed.name, Kind::Uuid(UuidForm::Fixed)),
            Schema::BigDecimal => return Err(self.unsupported("logical type `big-decimal`")),
            Schema::Duration(_) => return Err(self.unsupported("logical type `duration`")),
            Schema::Ref { name } => self.reference(name)?,
        };
        self.depth -= 1;
        Ok(kind)
    }

    fn record(&mut self, schema: &RecordSchema) -> Result<Kind, ShapeError> {
        let full_name = schema.name.fullname(None);
        self.named.insert(full_name.clone(), Named::Open);
        self.fields += schema.fields.len();
        if self.fields > FIELDS_MAX {
            return Err(ShapeError::TooBig { what: "fields", max: FIELDS_MAX });
        }
        let mut fields = Vec::with_capacity(schema.fields.len());
        for field in &schema.fields {
            self.path.push(field.name.clone());
            let kind = self.kind(&field.schema)?;
            let default = match &field.default {
                Some(value) => Some(default::compile(&kind, value).map_err(|reason| self.bad_default(reason))?),
                None => None,
            };
            fields.push(Field { name: field.name.clone(), kind, default });
            self.path.pop();
        }
        let record = Record { full_name, fields };
        Ok(self.define(&schema.name, Kind::Record(Arc::new(record))))
    }

    fn union(&mut self, union: &UnionSchema) -> Result<Kind, ShapeError> {
        let mut branches = union.variants().iter().map(|branch| self.kind(branch)).collect::<Result<Vec<_>, _>>()?;
        let null_index = branches.iter().position(|branch| *branch == Kind::Null);
        match (branches.len(), null_index) {
            (0, _) => Err(self.unsupported("a union without branches")),
            (2, Some(index)) => {
                let value = branches.swap_remove(1 - index);
                Ok(Kind::Nullable(Arc::new(Nullable { null_index: u8::from(index == 1), value })))
            }
            _ => Ok(Kind::Union(branches.into())),
        }
    }

    fn decimal(&mut self, schema: &DecimalSchema) -> Result<Kind, ShapeError> {
        let digits = |digits: usize| u32::try_from(digits).ok().filter(|digits| *digits <= DIGITS_MAX);
        let (Some(precision), Some(scale)) = (digits(schema.precision), digits(schema.scale)) else {
            return Err(self.unsupported(&format!("a decimal of more than {DIGITS_MAX} digits")));
        };
        match &schema.inner {
            InnerDecimalSchema::Bytes => Ok(Kind::Decimal(Decimal { precision, scale, fixed: None })),
            InnerDecimalSchema::Fixed(fixed) => {
                self.check_fixed(fixed.size)?;
                let kind = Kind::Decimal(Decimal { precision, scale, fixed: Some(fixed.size) });
                Ok(self.define(&fixed.name, kind))
            }
        }
    }

    fn check_fixed(&self, size: usize) -> Result<(), ShapeError> {
        if size > AVRO_BYTES_MAX { Err(self.unsupported("a `fixed` beyond 10 MiB")) } else { Ok(()) }
    }

    fn reference(&self, name: &Name) -> Result<Kind, ShapeError> {
        let name = name.fullname(None);
        match self.named.get(&name) {
            Some(Named::Done(kind)) => Ok(kind.clone()),
            Some(Named::Open) => Err(ShapeError::Recursive { name }),
            None => Err(ShapeError::Syntax { reason: format!("type `{name}` is not defined") }),
        }
    }

    fn define(&mut self, name: &Name, kind: Kind) -> Kind {
        self.named.insert(name.fullname(None), Named::Done(kind.clone()));
        kind
    }

    fn unsupported(&self, what: &str) -> ShapeError {
        ShapeError::Unsupported { path: self.path.join("."), what: what.to_owned() }
    }

    fn bad_default(&self, reason: String) -> ShapeError {
        ShapeError::Default { path: self.path.join("."), reason }
    }
}
