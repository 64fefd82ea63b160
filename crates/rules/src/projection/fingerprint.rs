//! Whether two definitions give the same rows.

use spina_core::{ModelShape, StreamKey};

use super::definition::{ModelDef, RuleDef};
use crate::source::Entries;

/// A hash of everything that decides about the rows: columns, key and rules, but no words for people. 32 hexadecimal
/// digits. Other columns in another order count as another definition, since the table would differ.
pub(super) fn fingerprint(shape: &ModelShape, def: &ModelDef) -> String {
    // Written by hand, so that a model without children keeps the print that it had before there were any.
    let columns = |shape: &ModelShape| format!("ModelShape {{ key: {:?}, columns: {:?} }}", shape.key, shape.columns);
    let mut lines = vec![format!("1 {}", columns(shape))];
    lines.extend(def.key.iter().map(|(name, text)| format!("key {} {:?}", name.value, text.value)));
    rules(&mut lines, &def.on);
    for (table, (name, child)) in shape.children.iter().zip(def.children.iter()) {
        lines.push(format!("child {} {}", name.value, columns(&table.shape)));
        lines.extend(child.key.iter().map(|(name, text)| format!("key {} {:?}", name.value, text.value)));
        rules(&mut lines, &child.on);
    }
    format!("{:032x}", StreamKey::of(&lines.join("\n")).0)
}

fn rules(lines: &mut Vec<String>, on: &Entries<RuleDef>) {
    let mut rules: Vec<_> = on.iter().collect();
    rules.sort_by(|(a, _), (b, _)| a.value.cmp(&b.value));
    for (event, rule) in rules {
        let when = rule.when.as_ref().map(|when| &when.value);
        let counts: Vec<_> = rule.count.iter().map(|name| name.value.as_str()).collect();
        lines.push(format!("on {} when {when:?} delete {} count {counts:?}", event.value, rule.delete.value));
        lines.extend(rule.key.iter().map(|(name, text)| format!("by {} {:?}", name.value, text.value)));
        for (fold, entries) in rule.folds() {
            lines.extend(entries.iter().map(|(name, text)| format!("{fold:?} {} {:?}", name.value, text.value)));
        }
    }
}
