//! The tables of a model, generated from its shape.

use spina_core::{Column, Fold, ModelShape};

use super::sql::{column_type, hidden, ident, key_idents, tables};
use super::{ModelName, Slot};

/// `CREATE TABLE` for a model and its child rows. The key of children begins with their parent's, so its index finds the
/// children of a parent.
pub(super) fn create_tables(name: &ModelName, slot: Slot, shape: &ModelShape) -> String {
    tables(name, slot, shape).map(|(table, shape)| create_table(&table, shape)).collect::<Vec<_>>().join(";\n")
}

/// Free space is left in each page, so that most updates stay beside their row and touch no index.
fn create_table(table: &str, shape: &ModelShape) -> String {
    let mut lines: Vec<String> =
        shape.key.iter().map(|key| format!("{} {} NOT NULL", ident(&key.name), column_type(key.cell))).collect();
    lines.extend(shape.columns.iter().flat_map(columns));
    lines.push(format!("PRIMARY KEY ({})", key_idents(shape).join(", ")));
    format!("CREATE TABLE {table} (\n    {}\n) WITH (fillfactor = 75)", lines.join(",\n    "))
}

fn columns(column: &Column) -> Vec<String> {
    let name = ident(&column.name);
    let plain = format!("{name} {}", column_type(column.cell));
    match column.fold {
        Fold::Set | Fold::Min | Fold::Max => vec![plain],
        Fold::Add => vec![format!("{name} bigint NOT NULL DEFAULT 0")],
        Fold::Last => vec![
            plain,
            format!("{} bigint", hidden(&column.name, "at")),
            format!("{} text COLLATE \"C\"", hidden(&column.name, "tie")),
        ],
        Fold::Mean => {
            let (sum, count) = (hidden(&column.name, "sum"), hidden(&column.name, "count"));
            vec![
                format!("{sum} bigint NOT NULL DEFAULT 0"),
                format!("{count} bigint NOT NULL DEFAULT 0"),
                format!(
                    "{name} double precision GENERATED ALWAYS AS ({sum}::double precision / NULLIF({count}, 0)) STORED"
                ),
            ]
        }
    }
}

#[cfg(test)]
mod tests {
    use spina_core::{CellType, ChildTable, KeyColumn};

    use super::*;

    #[test]
    fn a_shape_becomes_a_table_and_those_of_its_children() {
        let column = |name: &str, cell, fold| Column { name: name.into(), cell, fold };
        let key = |names: &[&str]| {
            names.iter().map(|name| KeyColumn { name: (*name).into(), cell: CellType::Text }).collect::<Vec<_>>()
        };
        let gates = ModelShape {
            key: key(&["origin", "gate"]),
            columns: vec![column("uses", CellType::Long, Fold::Add)],
            children: vec![],
        };
        let shape = ModelShape {
            key: key(&["origin"]),
            children: vec![ChildTable { name: "gates".into(), shape: gates }],
            columns: vec![
                column("n", CellType::Long, Fold::Add),
                column("seen", CellType::Date, Fold::Last),
                column("mean", CellType::Long, Fold::Mean),
            ],
        };
        let name = ModelName { context: "air-traffic".parse().unwrap(), model: "order".into() };
        let expected = r#"CREATE TABLE "air-traffic"."order__rebuild" (
    "origin" text COLLATE "C" NOT NULL,
    "n" bigint NOT NULL DEFAULT 0,
    "seen" date,
    "seen__at" bigint,
    "seen__tie" text COLLATE "C",
    "mean__sum" bigint NOT NULL DEFAULT 0,
    "mean__count" bigint NOT NULL DEFAULT 0,
    "mean" double precision GENERATED ALWAYS AS ("mean__sum"::double precision / NULLIF("mean__count", 0)) STORED,
    PRIMARY KEY ("origin")
) WITH (fillfactor = 75);
CREATE TABLE "air-traffic"."order__gates__rebuild" (
    "origin" text COLLATE "C" NOT NULL,
    "gate" text COLLATE "C" NOT NULL,
    "uses" bigint NOT NULL DEFAULT 0,
    PRIMARY KEY ("origin", "gate")
) WITH (fillfactor = 75)"#;
        assert_eq!(create_tables(&name, Slot::Rebuild, &shape), expected);
    }
}
