//! Where the next page begins: the order's values in the last row of the page before.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use spina_core::Cell;

use super::filter::{BadQuery, Order, parse_cell};

/// Longest cursor that is looked at, in bytes.
const CURSOR_BYTES_MAX: usize = 16 * 1024;

/// The inside of a cursor. `order` keeps it from being used with another order.
#[derive(Serialize, Deserialize)]
struct Inside {
    order: String,
    values: Vec<Option<String>>,
}

/// The cursor after a row.
pub(super) fn after(order: &[Order], row: &serde_json::Map<String, Value>) -> Result<String, serde_json::Error> {
    let text = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    let values = order.iter().map(|term| row.get(&term.column).and_then(text)).collect();
    let inside = Inside { order: signature(order), values };
    Ok(URL_SAFE_NO_PAD.encode(serde_json::to_vec(&inside)?))
}

/// The values that a cursor holds, one for each column of the order.
pub(super) fn read(order: &[Order], cursor: &str) -> Result<Vec<Cell>, BadQuery> {
    let bad = || BadQuery("the cursor is not one that this query gave".to_owned());
    if cursor.len() > CURSOR_BYTES_MAX {
        return Err(bad());
    }
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| bad())?;
    let inside: Inside = serde_json::from_slice(&bytes).map_err(|_| bad())?;
    if inside.order != signature(order) || inside.values.len() != order.len() {
        return Err(bad());
    }
    let cell = |(term, value): (&Order, Option<String>)| match value {
        None => Ok(Cell::Null),
        Some(text) => parse_cell(&term.column, term.cell, &text).map_err(|_| bad()),
    };
    order.iter().zip(inside.values).map(cell).collect()
}

fn signature(order: &[Order]) -> String {
    let terms = order.iter().map(|term| format!("{}{}", if term.descending { "-" } else { "+" }, term.column));
    terms.collect::<Vec<_>>().join(",")
}
