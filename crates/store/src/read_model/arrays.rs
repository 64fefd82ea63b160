//! Cells gathered column by column, as the array parameters of one statement.

use bytes::{BufMut, BytesMut};
use postgres_types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};
use spina_core::{Cell, CellType, Timestamp};

use crate::StoreError;

/// 2000-01-01T00:00:00Z in microseconds since 1970: where PostgreSQL's binary instants start.
const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;

/// An instant in PostgreSQL's binary form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PgTime(pub Timestamp);

impl ToSql for PgTime {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.put_i64(self.0.micros() - POSTGRES_EPOCH_MICROS);
        Ok(IsNull::No)
    }

    accepts!(TIMESTAMPTZ);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for PgTime {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        let micros = i64::from_be_bytes(raw.try_into()?).checked_add(POSTGRES_EPOCH_MICROS);
        micros.and_then(Timestamp::from_micros).map(Self).ok_or_else(|| "an instant out of range".into())
    }

    accepts!(TIMESTAMPTZ);
}

/// One column of many rows.
#[derive(Debug)]
pub(super) enum Array<'a> {
    Bool(Vec<Option<bool>>),
    Long(Vec<Option<i64>>),
    Double(Vec<Option<f64>>),
    Text(Vec<Option<&'a str>>),
    Time(Vec<Option<PgTime>>),
}

impl<'a> Array<'a> {
    /// An empty column for cells of the type.
    pub fn new(cell: CellType, rows: usize) -> Self {
        match cell {
            CellType::Bool => Self::Bool(Vec::with_capacity(rows)),
            CellType::Long => Self::Long(Vec::with_capacity(rows)),
            CellType::Double => Self::Double(Vec::with_capacity(rows)),
            CellType::Timestamp => Self::Time(Vec::with_capacity(rows)),
            CellType::Text | CellType::Uuid | CellType::Decimal | CellType::Date | CellType::Json => {
                Self::Text(Vec::with_capacity(rows))
            }
        }
    }

    /// Adds the value of one more row.
    pub fn push(&mut self, cell: &'a Cell) -> Result<(), StoreError> {
        match (self, cell) {
            (Self::Bool(column), Cell::Bool(value)) => column.push(Some(*value)),
            (Self::Long(column), Cell::Long(value)) => column.push(Some(*value)),
            (Self::Double(column), Cell::Double(value)) => column.push(Some(*value)),
            (Self::Time(column), Cell::Time(value)) => column.push(Some(PgTime(*value))),
            (Self::Text(column), Cell::Text(value) | Cell::Json(value)) => column.push(Some(value)),
            (column, Cell::Null) => column.push_null(),
            (
                Self::Bool(_) | Self::Long(_) | Self::Double(_) | Self::Text(_) | Self::Time(_),
                Cell::Bool(_) | Cell::Long(_) | Cell::Double(_) | Cell::Text(_) | Cell::Time(_) | Cell::Json(_),
            ) => return Err(StoreError::Corrupt { what: "a cell that is not of its column's type" }),
        }
        Ok(())
    }

    /// Adds a null for one more row.
    pub fn push_null(&mut self) {
        match self {
            Self::Bool(column) => column.push(None),
            Self::Long(column) => column.push(None),
            Self::Double(column) => column.push(None),
            Self::Text(column) => column.push(None),
            Self::Time(column) => column.push(None),
        }
    }

    /// The column as a parameter.
    pub fn parameter(&self) -> &(dyn ToSql + Sync) {
        match self {
            Self::Bool(column) => column,
            Self::Long(column) => column,
            Self::Double(column) => column,
            Self::Text(column) => column,
            Self::Time(column) => column,
        }
    }
}
