//! Text tables: columns as wide as their widest cell.

use std::fmt;

use serde_json::Value;

/// Cells wider than this are cut; `--output json` has them whole.
const CELL_CHARS_MAX: usize = 100;

/// Rows under a header. Numbers stand right, everything else left.
pub struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new<H: Into<String>>(header: impl IntoIterator<Item = H>) -> Self {
        Self { header: header.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row<C: Into<String>>(&mut self, cells: impl IntoIterator<Item = C>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// A table of JSON objects: a column for every field of the first one, in its order.
    pub fn of_objects(rows: &[Value]) -> Self {
        let fields: Vec<String> =
            rows.first().and_then(Value::as_object).map(|row| row.keys().cloned().collect()).unwrap_or_default();
        let mut table = Self::new(fields.clone());
        for row in rows {
            table.row(fields.iter().map(|field| cell(&row[field.as_str()])));
        }
        table
    }
}

/// A JSON value as a cell: text bare, null empty, numbers with a fraction to two places.
pub fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => format!("{:.2}", number.as_f64().unwrap_or(f64::NAN)),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

fn shown(cell: &str) -> String {
    let mut chars = cell.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut text: String = chars.by_ref().take(CELL_CHARS_MAX).collect();
    if chars.next().is_some() {
        text.pop();
        text.push('…');
    }
    text
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<Vec<String>> = self.rows.iter().map(|row| row.iter().map(|cell| shown(cell)).collect()).collect();
        let column = |index: usize| rows.iter().filter_map(move |row| row.get(index));
        let width = |(index, name): (usize, &String)| {
            column(index).map(|cell| cell.chars().count()).max().unwrap_or(0).max(name.chars().count())
        };
        let widths: Vec<usize> = self.header.iter().enumerate().map(width).collect();
        let numeric: Vec<bool> = (0..widths.len())
            .map(|index| column(index).all(|cell| cell.is_empty() || cell.replace(',', "").parse::<f64>().is_ok()))
            .collect();
        for (number, row) in std::iter::once(&self.header).chain(&rows).enumerate() {
            let mut text = String::new();
            for ((cell, width), numeric) in row.iter().zip(&widths).zip(&numeric) {
                let padding = " ".repeat(width - cell.chars().count());
                text += &if *numeric { format!("{padding}{cell}  ") } else { format!("{cell}{padding}  ") };
            }
            if number > 0 {
                f.write_str("\n")?;
            }
            f.write_str(text.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_line_up_and_numbers_stand_right() {
        let table = Table::of_objects(&[json!({"a": "UA", "n": 5}), json!({"a": "9E1", "n": 1234.5})]);
        assert_eq!(table.to_string(), "a          n\nUA         5\n9E1  1234.50");
    }

    #[test]
    fn long_cells_and_control_characters_do_no_harm() {
        let mut table = Table::new(["x"]);
        table.row([format!("a\u{1b}{}", "b".repeat(200))]);
        let text = table.to_string();
        let row = text.lines().nth(1).unwrap();
        assert_eq!((row.chars().count(), row.starts_with("a b"), row.ends_with('…')), (CELL_CHARS_MAX, true, true));
    }
}
