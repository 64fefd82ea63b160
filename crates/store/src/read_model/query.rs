//! Reading a model: one row by key, or a page of rows.

use postgres_types::ToSql;
use serde_json::{Map, Value};
use spina_core::{Cell, CellType, ModelShape};
use tokio_postgres::Row;

use super::arrays::PgTime;
use super::filter::{BadQuery, Filter, Operator, Order};
use super::rows::by_keys;
use super::sql::{bound_type, table};
use super::view::View;
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
        view: &View,
        filters: &[String],
        order: &str,
        limit: u32,
        cursor: Option<&str>,
    ) -> Result<Self, BadQuery> {
        if limit == 0 || limit > LIMIT_MAX {
            return Err(BadQuery(format!("limit is 1 to {LIMIT_MAX}")));
        }
        let order = Order::parse(view, order)?;
        let after = cursor.map(|cursor| cursor::read(&order, cursor)).transpose()?;
        Ok(Self { filters: Filter::parse(view, filters)?, order, after, limit })
    }

    /// Of these rows only those whose key begins with these cells.
    #[must_use]
    pub fn under(mut self, view: &View, key: &[Cell]) -> Self {
        self.filters.extend(Filter::under(view, key));
        self
    }
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
    pub async fn row(&self, view: &View, key: &[Cell]) -> Result<Option<Map<String, Value>>, StoreError> {
        let mut parameters = Parameters::default();
        let conditions: Vec<_> = Filter::under(view, key).map(|filter| condition(&filter, &mut parameters)).collect();
        let sql = format!("{} WHERE {}", view.select(), conditions.join(" AND "));
        let client = self.client().await?;
        let row = client.query_opt(&sql, &parameters.as_refs()).await?;
        row.map(|row| json_row(view.columns(), &row)).transpose()
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
            let row = json_row(shape.seen(), found)?;
            let key = shape.key.iter().map(|key| (key.name.clone(), row[&key.name].clone())).collect();
            Ok((key, found.try_get::<_, bool>(seen)?.then_some(row)))
        });
        found.collect()
    }

    /// A page of rows. The statement may run for 5 s.
    pub async fn rows(&self, view: &View, query: &ListQuery) -> Result<Page, StoreError> {
        let mut parameters = Parameters::default();
        let sql = list_sql(view, query, &mut parameters);
        let mut client = self.client().await?;
        let transaction = client.build_transaction().read_only(true).start().await?;
        transaction.batch_execute("SET LOCAL statement_timeout = 5000").await?;
        let found = transaction.query(&sql, &parameters.as_refs()).await?;
        transaction.commit().await?;
        let mut rows = found.iter().map(|row| json_row(view.columns(), row)).collect::<Result<Vec<_>, _>>()?;
        // One row more than asked for tells whether there is a next page.
        let more = rows.len() > query.limit as usize;
        rows.truncate(query.limit as usize);
        let last = rows.last().filter(|_| more);
        let cursor = last.map(|row| cursor::after(&query.order, row)).transpose()?;
        Ok(Page { rows, cursor })
    }
}

fn list_sql(view: &View, query: &ListQuery, parameters: &mut Parameters) -> String {
    let mut conditions: Vec<String> = query.filters.iter().map(|filter| condition(filter, parameters)).collect();
    conditions.extend(query.after.as_ref().map(|values| beyond(&query.order, values, parameters)));
    let filter = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    let order = query.order.iter().map(|term| {
        let nulls = if term.nullable { " NULLS LAST" } else { "" };
        format!("{}{}{nulls}", term.place, if term.descending { " DESC" } else { "" })
    });
    let order = order.collect::<Vec<_>>().join(", ");
    format!("{}{filter} ORDER BY {order} LIMIT {}", view.select(), query.limit + 1)
}

fn condition(filter: &Filter, parameters: &mut Parameters) -> String {
    let column = &filter.place;
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
        let columns: Vec<_> = order.iter().map(|term| term.place.as_str()).collect();
        let places: Vec<_> = order.iter().zip(values).map(|(term, value)| parameters.bind(term.cell, value)).collect();
        return format!("({}) > ({})", columns.join(", "), places.join(", "));
    }
    let mut alternatives = Vec::new();
    let mut equal = Vec::new();
    for (term, value) in order.iter().zip(values) {
        let column = &term.place;
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

/// A column as [`json_row`] reads it.
pub(super) fn as_read(column: String, cell: CellType) -> String {
    match cell {
        CellType::Uuid | CellType::Decimal | CellType::Date => format!("{column}::text"),
        CellType::Bool | CellType::Long | CellType::Double | CellType::Text | CellType::Timestamp | CellType::Json => {
            column
        }
    }
}

/// A row of these columns, in order; others may follow.
pub(super) fn json_row<'c>(
    columns: impl Iterator<Item = (&'c str, CellType)>,
    row: &Row,
) -> Result<Map<String, Value>, StoreError> {
    let mut object = Map::new();
    for (index, (name, cell)) in columns.enumerate() {
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
