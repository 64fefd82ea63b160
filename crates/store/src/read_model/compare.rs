//! Comparing a rebuilt table with the live one, row by row.

use std::collections::BTreeMap;

use deadpool_postgres::Transaction;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use spina_core::{ChildTable, ModelShape};
use tokio_postgres::types::ToSql;

use super::sql::{child_table, ident, key_idents, table};
use super::{Lease, ModelName, Slot};
use crate::{Store, StoreError};

/// Rows that a comparison shows of each kind.
const SAMPLES_MAX: u32 = 5;
/// Longest run of a comparison: it reads both tables whole.
const LONGEST: &str = "SET LOCAL statement_timeout = '15min'";

/// What a rebuilt table has that the live one has not, and the other way round.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Rows that only the rebuilt table has.
    pub added: i64,
    /// Rows that only the live table has.
    pub removed: i64,
    /// Rows that both have, with another value in a column that both have.
    pub changed: i64,
    /// Columns and tables of child rows that only the rebuilt table has.
    pub columns_added: Vec<String>,
    /// Columns and tables of child rows that only the live table has.
    pub columns_removed: Vec<String>,
    /// Some of the rows that differ.
    pub samples: Vec<Difference>,
    /// The same for each table of child rows that both have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub children: BTreeMap<String, Self>,
}

/// A row that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// As the live table has it; `None` if it is added.
    pub live: Option<Map<String, Value>>,
    /// As the rebuilt table has it; `None` if it is removed.
    pub rebuilt: Option<Map<String, Value>>,
}

const SHAPE: &str = "SELECT shape FROM spina.models WHERE context = $1 AND model = $2 AND slot = 'live'";
const NOTE: &str = "UPDATE spina.models SET comparison = $4 \
    WHERE context = $1 AND model = $2 AND slot = 'rebuild' AND generation = $3";
const NOTED: &str = "SELECT comparison FROM spina.models WHERE context = $1 AND model = $2 AND slot = $3";

impl Store {
    /// Compares the rebuilt table with the live one and notes the outcome in the books. Both must stand at the same
    /// offsets to say anything. `None` when the two cannot be compared: there is no live table, or its key is another.
    pub async fn compare_rebuilt(
        &self,
        name: &ModelName,
        rebuilt: &ModelShape,
        lease: &Lease,
    ) -> Result<Option<Comparison>, StoreError> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        transaction.batch_execute(LONGEST).await?;
        let Some(row) = transaction.query_opt(SHAPE, &[&name.context.as_str(), &name.model]).await? else {
            return Ok(None);
        };
        let live: ModelShape = serde_json::from_value(row.try_get(0)?)?;
        if live.key != rebuilt.key {
            return Ok(None);
        }
        let join = Join::of([table(name, Slot::Live), table(name, Slot::Rebuild)], &live, rebuilt);
        let mut comparison = compare(&transaction, &join, &live, rebuilt).await?;
        for child in &live.children {
            let Some(other) = rebuilt.child(&child.name).filter(|other| comparable(child, other)) else { continue };
            let tables = [Slot::Live, Slot::Rebuild].map(|slot| child_table(name, slot, &child.name));
            let join = Join::of(tables, &child.shape, &other.shape);
            let found = compare(&transaction, &join, &child.shape, &other.shape).await?;
            comparison.children.insert(child.name.clone(), found);
        }
        let noted = serde_json::to_value(&comparison)?;
        let of: [&(dyn ToSql + Sync); 4] = [&name.context.as_str(), &name.model, &lease.generation, &noted];
        transaction.execute(NOTE, &of).await?;
        transaction.commit().await?;
        Ok(Some(comparison))
    }

    /// What was noted about a table when it was compared, if it was.
    pub async fn comparison(&self, name: &ModelName, slot: Slot) -> Result<Option<Comparison>, StoreError> {
        let client = self.client().await?;
        let row = client.query_opt(NOTED, &[&name.context.as_str(), &name.model, &slot.name()]).await?;
        let Some(row) = row else { return Ok(None) };
        let noted: Option<Value> = row.try_get(0)?;
        Ok(noted.map(serde_json::from_value).transpose()?)
    }
}

async fn compare(
    transaction: &Transaction<'_>,
    join: &Join,
    live: &ModelShape,
    rebuilt: &ModelShape,
) -> Result<Comparison, StoreError> {
    let counts = transaction.query_one(&join.counts(), &[]).await?;
    let mut samples = Vec::new();
    for row in transaction.query(&join.samples(), &[]).await? {
        samples.push(Difference { live: visible(row.try_get(0)?), rebuilt: visible(row.try_get(1)?) });
    }
    Ok(Comparison {
        added: counts.try_get(0)?,
        removed: counts.try_get(1)?,
        changed: counts.try_get(2)?,
        columns_added: missing(rebuilt, live),
        columns_removed: missing(live, rebuilt),
        samples,
        children: BTreeMap::new(),
    })
}

fn comparable(one: &ChildTable, other: &ChildTable) -> bool {
    one.name == other.name && one.shape.key == other.shape.key
}

/// The columns of one shape that the other does not have just so, and its tables of child rows that cannot be compared.
fn missing(of: &ModelShape, other: &ModelShape) -> Vec<String> {
    let columns = of.columns.iter().filter(|column| !other.columns.contains(column)).map(|column| &column.name);
    let known = |child: &ChildTable| other.children.iter().any(|other| comparable(child, other));
    let children = of.children.iter().filter(|child| !known(child)).map(|child| &child.name);
    columns.chain(children).cloned().collect()
}

/// A row without the columns that only the folds need.
fn visible(row: Option<Value>) -> Option<Map<String, Value>> {
    match row {
        Some(Value::Object(row)) => Some(row.into_iter().filter(|(column, _)| !column.contains("__")).collect()),
        Some(_) | None => None,
    }
}

/// Both tables side by side, `l` the live one and `r` the rebuilt one.
struct Join {
    from: String,
    key: String,
    changed: String,
}

impl Join {
    fn of([left, right]: [String; 2], live: &ModelShape, rebuilt: &ModelShape) -> Self {
        let keys = key_idents(live);
        let on: Vec<String> = keys.iter().map(|key| format!("l.{key} = r.{key}")).collect();
        let shared = live.columns.iter().filter(|column| rebuilt.columns.contains(column));
        let differ: Vec<String> = shared
            .map(|column| ident(&column.name))
            .map(|name| format!("l.{name} IS DISTINCT FROM r.{name}"))
            .collect();
        Self {
            from: format!("{left} AS l FULL JOIN {right} AS r ON {}", on.join(" AND ")),
            key: keys[0].clone(),
            changed: if differ.is_empty() { "false".to_owned() } else { format!("({})", differ.join(" OR ")) },
        }
    }

    fn counts(&self) -> String {
        let Self { from, key, changed } = self;
        format!(
            "SELECT count(*) FILTER (WHERE l.{key} IS NULL), count(*) FILTER (WHERE r.{key} IS NULL), \
             count(*) FILTER (WHERE l.{key} IS NOT NULL AND r.{key} IS NOT NULL AND {changed}) FROM {from}"
        )
    }

    /// The first few of each kind in the order of the key's first column.
    fn samples(&self) -> String {
        let Self { from, key, changed } = self;
        let kinds = [
            format!("l.{key} IS NULL"),
            format!("r.{key} IS NULL"),
            format!("l.{key} IS NOT NULL AND r.{key} IS NOT NULL AND {changed}"),
        ];
        let select = |kind: String| {
            let rows = "to_jsonb(l) AS live, to_jsonb(r) AS rebuilt";
            format!("(SELECT {rows} FROM {from} WHERE {kind} ORDER BY COALESCE(l.{key}, r.{key}) LIMIT {SAMPLES_MAX})")
        };
        kinds.map(select).join(" UNION ALL ")
    }
}
