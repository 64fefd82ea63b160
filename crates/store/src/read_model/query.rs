//! Reading a model: one row by key, or a page of rows.

use postgres_types::ToSql;
use serde_json::{Map, Value};
use spina_core::{Cell, CellType, ModelShape};
use tokio_postgres::Row;

use super::arrays::PgTime;
use super::filter::{BadQuery, Filter, Operator, Order, parse_cell};
use super::rows::by_keys;
use super::sql::{bound_type, ident, key_idents, table};
use super::{ModelName, Slot, cursor};
use crate::{Store, StoreError};

/// Most rows of a page.
pub const LIMIT_MAX: u32 = 1000;

/// What a list asks for.
#[derive(Debug, Clone)]
pub struct ListQuery {
    filters: Vec<Filter>,
    order: Vec<Order>,
    after: Option<Vec<Cell>>,
    limit: u32,
}

/// A page of rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The rows as JSON objects, columns in the model's order.
    pub rows: Vec<Map<String, Value>>,
    /// Where the next page begins; `None` if this was the last.
    pub cursor: Option<String>,
}

impl ListQuery {
    /// Reads a query's texts against the model's columns; see [`Filter::parse`] and [`Order::parse`].
    pub fn parse(
        shape: &ModelShape,
        filters: &[String],
        order: &str,
        limit: u32,
        cursor: Option<&str>,
    ) -> Result<Self, BadQuery> {
        if limit == 0 || limit > LIMIT_MAX {
            return Err(BadQuery(format!("limit is 1 to {LIMIT_MAX}")));
        }
        let order = Order::parse(shape, order)?;
        let after = cursor.map(|cursor| cursor::read(&order, cursor)).transpose()?;
        Ok(Self { filters: Filter::parse(shape, filters)?, order, after, limit })
    }
}

/// A key given as text, one part for each column, as cells.
pub fn parse_key(shape: &ModelShape, parts: &[&str]) -> Result<Vec<Cell>, BadQuery> {
    if parts.len() != shape.key.len() {
        let names: Vec<_> = shape.key.iter().map(|key| key.name.as_str()).collect();
        return Err(BadQuery(format!("the key has the columns {}, separated by commas", names.join(","))));
    }
    shape.key.iter().zip(parts).map(|(key, part)| parse_cell(&key.name, key.cell, part)).collect()
}

/// A statement that is being written: every value becomes a parameter.
#[derive(Default)]
struct Parameters(Vec<Box<dyn ToSql + Sync + Send>>);

impl Parameters {
    /// Adds a value and returns how the statement refers to it.
    fn bind(&mut self, cell: CellType, value: &Cell) -> String {
        self.0.push(match value {
            Cell::Null => Box::new(None::<String>),
            Cell::Bool(value) => Box::new(*value),
            Cell::Long(value) => Box::new(*value),
            Cell::Double(value) => Box::new(*value),
            Cell::Text(value) | Cell::Json(value) => Box::new(value.clone()),
            Cell::Time(value) => Box::new(PgTime(*value)),
        });
        let (bound, cast) = bound_type(cell);
        let place = format!("${}::{bound}", self.0.len());
        cast.map_or(place.clone(), |cast| format!("{place}::{cast}"))
    }

    fn as_refs(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.0.iter().map(|value| -> &(dyn ToSql + Sync) { value.as_ref() }).collect()
    }
}

impl Store {
    /// The row of a key.
    pub async fn row(
        &self,
        name: &ModelName,
        shape: &ModelShape,
        key: &[Cell],
    ) -> Result<Option<Map<String, Value>>, StoreError> {
        let mut parameters = Parameters::default();
        let matches = shape.key.iter().zip(key_idents(shape)).zip(key);
        let conditions: Vec<_> = matches
            .map(|((column, ident), cell)| format!("{ident} = {}", parameters.bind(column.cell, cell)))
            .collect();
        let sql = format!("{} WHERE {}", select(name, shape), conditions.join(" AND "));
        let client = self.client().await?;
        let row = client.query_opt(&sql, &parameters.as_refs()).await?;
        row.map(|row| json_row(shape, &row)).transpose()
    }

    /// The rows of some keys as they are now, each with its key; `None` where there is no such row.
    pub async fn rows_of(
        &self,
        name: &ModelName,
        shape: &ModelShape,
        keys: &[Vec<Cell>],
    ) -> Result<Vec<(Map<String, Value>, Option<Map<String, Value>>)>, StoreError> {
        let keys: Vec<&[Cell]> = keys.iter().map(Vec::as_slice).collect();
        let statement = by_keys(&table(name, Slot::Live), shape, &keys)?;
        let client = self.client().await?;
        let rows = client.query(&statement.sql, &statement.parameters()).await?;
        let seen = shape.seen().count();
        let found = rows.iter().map(|found| {
            let row = json_row(shape, found)?;
            let key = shape.key.iter().map(|key| (key.name.clone(), row[&key.name].clone())).collect();
            Ok((key, found.try_get::<_, bool>(seen)?.then_some(row)))
        });
        found.collect()
    }

    /// A page of rows. The statement may run for 5 s.
    pub async fn rows(&self, name: &ModelName, shape: &ModelShape, query: &ListQuery) -> Result<Page, StoreError> {
        let mut parameters = Parameters::default();
        let sql = list_sql(name, shape, query, &mut parameters);
        let mut client = self.client().await?;
        let transaction = client.build_transaction().read_only(true).start().await?;
        transaction.batch_execute("SET LOCAL statement_timeout = 5000").await?;
        let found = transaction.query(&sql, &parameters.as_refs()).await?;
        transaction.commit().await?;
        let mut rows = found.iter().map(|row| json_row(shape, row)).collect::<Result<Vec<_>, _>>()?;
        // One row more than asked for tells whether there is a next page.
        let more = rows.len() > query.limit as usize;
        rows.truncate(query.limit as usize);
        let last = rows.last().filter(|_| more);
        let cursor = last.map(|row| cursor::after(&query.order, row)).transpose()?;
        Ok(Page { rows, cursor })
    }
}

fn list_sql(name: &ModelName, shape: &ModelShape, query: &ListQuery, parameters: &mut Parameters) -> String {
    let mut conditions: Vec<String> = query.filters.iter().map(|filter| condition(filter, parameters)).collect();
    conditions.extend(query.after.as_ref().map(|values| beyond(&query.order, values, parameters)));
    let filter = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    let order = query.order.iter().map(|term| {
        let nulls = if term.nullable { " NULLS LAST" } else { "" };
        format!("{}{}{nulls}", ident(&term.column), if term.descending { " DESC" } else { "" })
    });
    let order = order.collect::<Vec<_>>().join(", ");
    format!("{}{filter} ORDER BY {order} LIMIT {}", select(name, shape), query.limit + 1)
}

fn condition(filter: &Filter, parameters: &mut Parameters) -> String {
    let column = ident(&filter.column);
    match filter.operator {
        Operator::Compare(operator) => format!("{column} {operator} {}", parameters.bind(filter.cell, &filter.value)),
        Operator::Prefix => format!("starts_with({column}, {})", parameters.bind(filter.cell, &filter.value)),
        Operator::IsNull(true) => format!("{column} IS NULL"),
        Operator::IsNull(false) => format!("{column} IS NOT NULL"),
    }
}

/// The rows after the given values: equal in the first terms, then beyond in the next. Nulls come last in both
/// directions. In the order of the key this is one comparison that the index answers.
fn beyond(order: &[Order], values: &[Cell], parameters: &mut Parameters) -> String {
    if order.iter().all(|term| !term.nullable && !term.descending) {
        let columns: Vec<_> = order.iter().map(|term| ident(&term.column)).collect();
        let places: Vec<_> = order.iter().zip(values).map(|(term, value)| parameters.bind(term.cell, value)).collect();
        return format!("({}) > ({})", columns.join(", "), places.join(", "));
    }
    let mut alternatives = Vec::new();
    let mut equal = Vec::new();
    for (term, value) in order.iter().zip(values) {
        let column = ident(&term.column);
        if matches!(value, Cell::Null) {
            // Nothing is beyond a null.
            equal.push(format!("{column} IS NULL"));
            continue;
        }
        let place = parameters.bind(term.cell, value);
        let operator = if term.descending { "<" } else { ">" };
        let mut alternative = equal.clone();
        let or_null = if term.nullable { format!(" OR {column} IS NULL") } else { String::new() };
        alternative.push(format!("({column} {operator} {place}{or_null})"));
        alternatives.push(format!("({})", alternative.join(" AND ")));
        equal.push(format!("{column} = {place}"));
    }
    format!("({})", alternatives.join(" OR "))
}

fn select(name: &ModelName, shape: &ModelShape) -> String {
    let columns = shape.seen().map(|(name, cell)| as_read(ident(name), cell));
    format!("SELECT {} FROM {}", columns.collect::<Vec<_>>().join(", "), table(name, Slot::Live))
}

/// A column as [`json_row`] reads it.
pub(super) fn as_read(column: String, cell: CellType) -> String {
    match cell {
        CellType::Uuid | CellType::Decimal | CellType::Date => format!("{column}::text"),
        CellType::Bool | CellType::Long | CellType::Double | CellType::Text | CellType::Timestamp | CellType::Json => {
            column
        }
    }
}

/// A row whose columns are those that a reader sees, in order; others may follow.
pub(super) fn json_row(shape: &ModelShape, row: &Row) -> Result<Map<String, Value>, StoreError> {
    let mut object = Map::new();
    for (index, (name, cell)) in shape.seen().enumerate() {
        let value = match cell {
            CellType::Bool => row.try_get::<_, Option<bool>>(index)?.map(Value::from),
            CellType::Long => row.try_get::<_, Option<i64>>(index)?.map(Value::from),
            CellType::Double => row.try_get::<_, Option<f64>>(index)?.map(Value::from),
            CellType::Timestamp => row.try_get::<_, Option<PgTime>>(index)?.map(|time| Value::from(time.0.to_string())),
            CellType::Text | CellType::Uuid | CellType::Decimal | CellType::Date => {
                row.try_get::<_, Option<String>>(index)?.map(Value::from)
            }
            CellType::Json => row.try_get::<_, Option<Value>>(index)?,
        };
        object.insert(name.to_owned(), value.unwrap_or(Value::Null));
    }
    Ok(object)
}
