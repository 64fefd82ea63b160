//! `where` and `order` of a list, read against the model's columns: unknown names and values of a wrong type are told
//! before any SQL exists.

use spina_core::{Cell, CellType};

use super::view::{Seen, View};

/// Most conditions of one query.
const FILTERS_MAX: usize = 16;
/// Most columns of an order.
const ORDER_MAX: usize = 4;

/// A query that makes no sense for the model. The message is for its sender.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadQuery(pub String);

/// One condition.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    /// How the statement refers to its column.
    pub(super) place: String,
    pub(super) cell: CellType,
    pub(super) operator: Operator,
    pub(super) value: Cell,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Compare(&'static str),
    Prefix,
    IsNull(bool),
}

/// One column of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    pub(super) column: String,
    /// How the statement refers to it.
    pub(super) place: String,
    pub(super) cell: CellType,
    pub(super) descending: bool,
    /// Columns of the key are never null.
    pub(super) nullable: bool,
}

impl Filter {
    /// Reads `<field>:<op>:<value>` with the operators `eq ne lt le gt ge`, `prefix` for text, and `null` with the value
    /// `true` or `false`. All conditions must hold.
    pub fn parse(view: &View, texts: &[String]) -> Result<Vec<Self>, BadQuery> {
        if texts.len() > FILTERS_MAX {
            return Err(BadQuery(format!("at most {FILTERS_MAX} conditions are allowed")));
        }
        texts.iter().map(|text| Self::one(view, text)).collect()
    }

    fn one(view: &View, text: &str) -> Result<Self, BadQuery> {
        let mut parts = text.splitn(3, ':');
        let (Some(field), Some(operator), Some(value)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(BadQuery(format!("`{}` is not of the form field:operator:value", short(text))));
        };
        let Seen { cell, place, .. } = column(view, field)?.clone();
        let operator = operator_of(operator, field, cell, value)?;
        let value = match operator {
            Operator::IsNull(_) => Cell::Null,
            Operator::Compare(_) | Operator::Prefix => parse_cell(field, cell, value)?,
        };
        Ok(Self { place, cell, operator, value })
    }

    /// That the first columns of the key are these.
    pub(super) fn under<'v>(view: &'v View, key: &'v [Cell]) -> impl Iterator<Item = Self> + 'v {
        view.key.iter().zip(key).map(|(column, value)| Self {
            place: column.place.clone(),
            cell: column.cell,
            operator: Operator::Compare("="),
            value: value.clone(),
        })
    }
}

impl Order {
    /// Reads `<field>[:asc|:desc]` separated by commas. The key follows by itself, so that the order is total.
    pub fn parse(view: &View, text: &str) -> Result<Vec<Self>, BadQuery> {
        let mut order = Vec::new();
        for term in text.split(',').filter(|term| !term.is_empty()) {
            let (field, direction) = term.split_once(':').unwrap_or((term, "asc"));
            let seen = column(view, field)?;
            let descending = match direction {
                "asc" => false,
                "desc" => true,
                _ => return Err(BadQuery(format!("`{}` is not asc or desc", short(direction)))),
            };
            if seen.cell == CellType::Json {
                return Err(BadQuery(format!("`{field}` is json, which has no order")));
            }
            if order.iter().any(|known: &Self| known.column == field) {
                return Err(BadQuery(format!("the order names `{field}` twice")));
            }
            order.push(Self::of(seen, descending));
        }
        if order.len() > ORDER_MAX {
            return Err(BadQuery(format!("an order has at most {ORDER_MAX} columns")));
        }
        for key in &view.key {
            if !order.iter().any(|known| known.column == key.name) {
                order.push(Self::of(key, false));
            }
        }
        Ok(order)
    }

    fn of(seen: &Seen, descending: bool) -> Self {
        let Seen { name, cell, place, nullable } = seen.clone();
        Self { column: name, place, cell, descending, nullable }
    }
}

fn column<'v>(view: &'v View, field: &str) -> Result<&'v Seen, BadQuery> {
    view.column(field).ok_or_else(|| {
        let names: Vec<_> = view.columns().map(|(name, _)| name).collect();
        BadQuery(format!("unknown field `{}`, the model has {}", short(field), names.join(", ")))
    })
}

/// The operators that a condition on a column may have.
pub fn operators(cell: CellType) -> &'static [&'static str] {
    match cell {
        CellType::Text => &["eq", "ne", "lt", "le", "gt", "ge", "prefix", "null"],
        CellType::Json => &["null"],
        CellType::Bool
        | CellType::Long
        | CellType::Double
        | CellType::Uuid
        | CellType::Decimal
        | CellType::Date
        | CellType::Timestamp => &["eq", "ne", "lt", "le", "gt", "ge", "null"],
    }
}

fn operator_of(name: &str, field: &str, cell: CellType, value: &str) -> Result<Operator, BadQuery> {
    let operator = match name {
        "eq" => Operator::Compare("="),
        "ne" => Operator::Compare("<>"),
        "lt" => Operator::Compare("<"),
        "le" => Operator::Compare("<="),
        "gt" => Operator::Compare(">"),
        "ge" => Operator::Compare(">="),
        "prefix" if cell == CellType::Text => Operator::Prefix,
        "null" => match value {
            "true" => return Ok(Operator::IsNull(true)),
            "false" => return Ok(Operator::IsNull(false)),
            _ => return Err(BadQuery("the operator null takes true or false".to_owned())),
        },
        _ => {
            let known = operators(cell).join(" ");
            return Err(BadQuery(format!("unknown operator `{}` for `{field}`, known are {known}", short(name))));
        }
    };
    if cell == CellType::Json {
        return Err(BadQuery(format!("`{field}` is json: only the operator null is known for it")));
    }
    Ok(operator)
}

/// The value of a query or of a key in a path, as a cell of the column's type.
pub(super) fn parse_cell(field: &str, cell: CellType, text: &str) -> Result<Cell, BadQuery> {
    let parsed = match cell {
        CellType::Bool => text.parse().ok().map(Cell::Bool),
        CellType::Long => text.parse().ok().map(Cell::Long),
        CellType::Double => text.parse().ok().filter(|value: &f64| value.is_finite()).map(Cell::Double),
        CellType::Timestamp => text.parse().ok().map(Cell::Time),
        CellType::Text => (!text.contains('\0')).then(|| Cell::Text(text.to_owned())),
        CellType::Uuid => text.parse().ok().map(|id: uuid::Uuid| Cell::Text(id.to_string())),
        CellType::Decimal => is_decimal(text).then(|| Cell::Text(text.to_owned())),
        CellType::Date => is_date(text).then(|| Cell::Text(text.to_owned())),
        CellType::Json => None,
    };
    parsed.ok_or_else(|| BadQuery(format!("`{}` is not a {} for `{field}`", short(text), cell.name())))
}

fn is_date(text: &str) -> bool {
    let instant = format!("{text}T00:00:00Z").parse::<spina_core::Timestamp>();
    text.len() == 10 && !text.starts_with("0000") && instant.is_ok()
}

fn is_decimal(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let mut parts = digits.splitn(2, '.');
    text.len() <= 200 && parts.all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
}

fn short(text: &str) -> String {
    text.chars().take(60).collect()
}
