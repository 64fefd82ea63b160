//! The shape of a read model: its key, its columns, and what each column does with what it is given.

use serde::{Deserialize, Serialize};

/// The columns of a read model. Stored beside its table, so that the table can be read without the definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelShape {
    /// The columns that tell rows apart, in order.
    pub key: Vec<KeyColumn>,
    /// The other columns; a [`crate::Change`] refers to them by index.
    pub columns: Vec<Column>,
    /// Tables whose rows belong to rows of this one; a [`crate::Change`] refers to them by index.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<ChildTable>,
}

/// A table of child rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildTable {
    /// Its name beside the parent's.
    pub name: String,
    /// Its columns. The key begins with the parent's; the rest tells the children of a parent apart. It has no children.
    pub shape: ModelShape,
}

/// Columns of another model's row that are read together with a row's own. No part of the table: whoever reads makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    /// The other model, of the same context.
    pub model: String,
    /// The columns of its key, each with the column of the own row that it must equal.
    pub on: Vec<(String, String)>,
    /// What is read of it.
    pub columns: Vec<JoinedColumn>,
}

/// A column that is read of another model's row; null where there is no such row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedColumn {
    /// What it is called beside the own columns.
    pub name: String,
    /// What it is called there.
    pub of: String,
}

/// A column of the key. Never null.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyColumn {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub cell: CellType,
}

/// A column outside the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What it holds. For [`Fold::Mean`] this is what is averaged; the column itself is a double.
    pub cell: CellType,
    /// How values come together.
    pub fold: Fold,
}

/// What a cell holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CellType {
    /// A boolean.
    Bool,
    /// A 64-bit integer.
    Long,
    /// A double.
    Double,
    /// Text, ordered by its bytes.
    Text,
    /// A UUID; its cell is text.
    Uuid,
    /// A decimal number; its cell is text.
    Decimal,
    /// A calendar day; its cell is text, `YYYY-MM-DD`.
    Date,
    /// An instant.
    Timestamp,
    /// Anything nested; its cell is JSON text.
    Json,
}

/// How the values that a column is given come together. One column has one fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fold {
    /// The latest in the order of the stream.
    Set,
    /// The one of the latest event time.
    Last,
    /// Their sum; a count is a sum of ones. 0 before the first.
    Add,
    /// The smallest.
    Min,
    /// The greatest.
    Max,
    /// Their mean. Null before the first.
    Mean,
}

impl Column {
    /// What a reader sees in it: means are doubles whatever they average.
    pub fn seen_as(&self) -> CellType {
        match self.fold {
            Fold::Mean => CellType::Double,
            Fold::Add => CellType::Long,
            Fold::Set | Fold::Last | Fold::Min | Fold::Max => self.cell,
        }
    }
}

impl ModelShape {
    /// The table of child rows of that name.
    pub fn child(&self, name: &str) -> Option<&ChildTable> {
        self.children.iter().find(|child| child.name == name)
    }

    /// What a reader sees: names and types of the key's columns, then of the others, in order.
    pub fn seen(&self) -> impl Iterator<Item = (&str, CellType)> {
        let key = self.key.iter().map(|key| (key.name.as_str(), key.cell));
        key.chain(self.columns.iter().map(|column| (column.name.as_str(), column.seen_as())))
    }
}

impl CellType {
    /// Its name in a definition file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Long => "long",
            Self::Double => "double",
            Self::Text => "text",
            Self::Uuid => "uuid",
            Self::Decimal => "decimal",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::Json => "json",
        }
    }

    /// All of them, in the order a user would look for them.
    pub const ALL: [Self; 9] = [
        Self::Bool,
        Self::Long,
        Self::Double,
        Self::Text,
        Self::Uuid,
        Self::Decimal,
        Self::Date,
        Self::Timestamp,
        Self::Json,
    ];

    /// Whether cells of the type have an order that the database and [`crate::Cell::compare`] agree on.
    pub fn is_ordered(self) -> bool {
        match self {
            Self::Long | Self::Double | Self::Text | Self::Date | Self::Timestamp => true,
            Self::Bool | Self::Uuid | Self::Decimal | Self::Json => false,
        }
    }

    /// Whether a key column may have the type: what has one spelling for each value.
    pub fn may_be_key(self) -> bool {
        match self {
            Self::Bool | Self::Long | Self::Text | Self::Uuid | Self::Date | Self::Timestamp => true,
            Self::Double | Self::Decimal | Self::Json => false,
        }
    }
}
